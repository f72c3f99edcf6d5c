package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/internal/testenv"
)

// SoakOptions say how long a soak is. Program is needed; the zero value of every
// other field is usable.
type SoakOptions struct {
	Options
	N     int    // deliveries, over all laps and all runs; 1,000,000 by default
	Lap   int    // messages of one lap; 20,000 by default
	State string // the file with the books; "" is none, and the soak begins anew
	// Done, if not nil, is called after each lap.
	Done func(Soak)
}

// Soak is the books of a soak, over all of its runs. It is what the state file has.
type Soak struct {
	Target  int      `json:"target"` // deliveries
	Laps    int      `json:"laps"`
	Seconds float64  `json:"seconds"` // of the laps
	Seeds   []uint64 `json:"seeds"`   // of the runs

	Tally
	Wire   Wire           `json:"wire"`
	Faults map[string]int `json:"faults"` // how often each happened
	// Slowest is the longest recovery of each fault, in seconds.
	Slowest map[string]float64 `json:"slowest_s"`
	// Problems are what did not hold, with the lap.
	Problems []string `json:"problems"`
}

// RunSoak runs laps until there were enough deliveries: in each an instance works
// under steady load while faults that remove no message happen at random. After each lap
// its books are added to those of the state file, from which another run goes on. A lap
// that ctx cuts off is not counted.
func RunSoak(ctx context.Context, o SoakOptions) (Soak, error) {
	s, err := readSoak(o.State)
	if err != nil {
		return s, err
	}
	s.Target = defaulted(o.N, 1_000_000)
	if s.Wire.Delivered >= s.Target {
		return s, nil
	}
	s.Seeds = append(s.Seeds, o.Seed)
	random := rand.New(rand.NewPCG(o.Seed, 1))
	node, err := testenv.Start(ctx, testenv.Options{})
	if err != nil {
		return s, fmt.Errorf("faults: %w", err)
	}
	defer func() { _ = node.Stop() }() // it was of use
	for s.Wire.Delivered < s.Target {
		lap := lap{node: node, o: o, random: random, soak: &s, began: time.Now()}
		if err := lap.run(ctx); err != nil {
			return s, err
		}
		if err := s.write(o.State); err != nil {
			return s, err
		}
		if o.Done != nil {
			o.Done(s)
		}
	}
	return s, nil
}

func defaulted(n, usual int) int {
	if n == 0 {
		return usual
	}
	return n
}

// lap is one instance's life.
type lap struct {
	node   *testenv.Node
	o      SoakOptions
	random *rand.Rand
	soak   *Soak
	began  time.Time
}

// run does a lap and adds its books. What the instance does wrong is in the
// books; the error is about the suite.
func (l *lap) run(ctx context.Context) error {
	starting, cancel := context.WithTimeoutCause(ctx, patience, errors.New("waited long enough"))
	defer cancel()
	r, err := newRig(starting, l.node, l.o.Program, fmt.Sprintf("soak%d", l.soak.Laps))
	if err != nil {
		return err
	}
	r.sink.slow = soakTask
	r.load = newLoad(ctx, r.books, r.admin(), queue, defaulted(l.o.Rate, 500), soakPublishers)
	faults, slowest := map[string]int{}, map[string]float64{}
	var problems, order []string
	for r.books.count() < defaulted(l.o.Lap, 20_000) && ctx.Err() == nil && len(problems) == 0 {
		pause(ctx, time.Duration(l.random.Int64N(int64(3*time.Second))))
		f := harmless()[l.random.IntN(len(harmless()))]
		order = append(order, fmt.Sprintf("%s at %d", f.Name, r.books.count()))
		t, err := r.suffer(ctx, &f)
		if errors.Is(err, errSuite) { // what is in a broker that does not come back is not lost
			return errors.Join(fmt.Errorf("faults: the lap is not counted: %s: %w", f.Name, err), r.close(ctx))
		}
		if err != nil {
			problems = append(problems, fmt.Sprintf("lap %d, %s: %v", l.soak.Laps, f.Name, err))
			break
		}
		faults[f.Name]++
		slowest[f.Name] = max(slowest[f.Name], seconds(t.first.Sub(t.able)))
	}
	if err := r.finish(ctx); err != nil {
		problems = append(problems, fmt.Sprintf("lap %d, at the end: %v", l.soak.Laps, err))
	}
	tally, wire := r.books.tally(), r.tap.seen()
	if tally.Lost > 0 {
		problems = append(problems, fmt.Sprintf("lap %d: %d lost: %v; the faults: %s", l.soak.Laps, tally.Lost, tally.Missing, strings.Join(order, ", ")))
	}
	tally.Missing = nil // other laps begin with the same numbers
	r.in.keep = len(problems) > 0
	if err := r.close(ctx); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("faults: %w; the lap is not counted", context.Cause(ctx))
	}
	l.soak.add(tally, wire, faults, slowest)
	l.soak.Problems = append(l.soak.Problems, problems...)
	l.soak.Seconds += time.Since(l.began).Seconds()
	return nil
}

// harmless are the faults that a soak chooses from: those that remove no message
// and do not last long.
func harmless() []Fault {
	return slices.DeleteFunc(Faults(), func(f Fault) bool { return f.removes || f.lasts > 8*time.Second })
}

// add adds the books of a lap.
func (s *Soak) add(t Tally, w Wire, faults map[string]int, slowest map[string]float64) {
	s.Laps++
	s.Tally = s.Tally.plus(t)
	s.Wire = s.Wire.plus(w)
	if s.Faults == nil {
		s.Faults, s.Slowest = map[string]int{}, map[string]float64{}
	}
	for name, n := range faults {
		s.Faults[name] += n
		s.Slowest[name] = max(s.Slowest[name], slowest[name])
	}
}

// Pass says whether nothing was lost, nothing settled twice, and nothing else wrong.
func (s *Soak) Pass() bool {
	return s.Lost == 0 && s.Wire.Twice == 0 && s.Wire.Foreign == 0 && len(s.Problems) == 0
}

// Happened is how many faults there were.
func (s *Soak) Happened() int {
	n := 0
	for v := range maps.Values(s.Faults) {
		n += v
	}
	return n
}

// Line says the books in one line.
func (s *Soak) Line() string {
	return fmt.Sprintf("%d of %d deliveries in %d laps, %.0f s: %d faults, %d confirmed, %d executed, %d dead letters, %d lost, %d left, %d settled twice, %d duplicates, %d problems",
		s.Wire.Delivered, s.Target, s.Laps, s.Seconds, s.Happened(), s.Confirmed, s.Executed, s.Dead, s.Lost, s.Left, s.Wire.Twice+s.Wire.Foreign, s.Duplicates, len(s.Problems))
}

// JSON writes the books as one object.
func (s *Soak) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(s)
}

// readSoak reads the state file; one that does not exist yet is an empty one.
func readSoak(path string) (s Soak, err error) {
	if path == "" {
		return s, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		return s, fmt.Errorf("faults: state of the soak in %s: %w", path, err)
	}
	return s, nil
}

// write replaces the state file.
func (s *Soak) write(path string) error {
	if path == "" {
		return nil
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err == nil {
		err = os.WriteFile(path+".new", append(text, '\n'), 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("faults: state of the soak: %w", err)
	}
	return nil
}
