package process

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/magne-actors/magne-actors/internal/osproc"
	"github.com/magne-actors/magne-actors/internal/wire"
	"github.com/magne-actors/magne-actors/task"
)

// The files hold one machine each time "new" is called and then feed it events,
// one a line; the output is the effects that each of them leads to.
func TestMachine(t *testing.T) {
	datadriven.Walk(t, "testdata/machine", func(t *testing.T, path string) {
		var g *golden
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "new":
				g = newGolden(t, d)
				return ""
			case "events":
				var b strings.Builder
				for line := range strings.Lines(d.Input) {
					line = strings.TrimSpace(line)
					fmt.Fprintf(&b, "%-22s %s\n", line, g.feed(t, d, line))
				}
				return b.String()
			default:
				d.Fatalf(t, "unknown command %s", d.Cmd)
				return ""
			}
		})
	})
}

type golden struct {
	m     *machine
	now   time.Time
	calls map[string]*call
	reqs  map[string]*request
	opts  *Options
	waits time.Duration // of every worker, for a processor
}

// newGolden reads arguments like soft=25s hard=30s pipeline=2 dump.
func newGolden(t *testing.T, d *datadriven.TestData) *golden {
	o := Options{PingInterval: time.Hour, Tasks: []string{"a"}}
	for _, a := range d.CmdArgs {
		switch a.Key {
		case "soft":
			o.Timeout.Soft = parseDuration(t, a.Vals[0])
		case "hard":
			o.Timeout.Hard = parseDuration(t, a.Vals[0])
		case "dump":
			o.Timeout.DumpSignal = syscall.SIGQUIT
		case "pipeline":
			o.Pipeline = parseInt(t, a.Vals[0])
		case "concurrency":
			o.Concurrency = parseInt(t, a.Vals[0])
		case "watchdog":
			o.Watchdog = parseDuration(t, a.Vals[0])
		case "ping":
			o.PingInterval = parseDuration(t, a.Vals[0])
		case "tasks":
			o.Recycle.MaxTasks = parseInt(t, a.Vals[0])
		case "rss":
			o.Recycle.MaxRSS = int64(parseInt(t, a.Vals[0])) << 20
		case "rsshard":
			o.Recycle.MaxRSSHard = int64(parseInt(t, a.Vals[0])) << 20
		case "lifetime":
			o.Recycle.Lifetime = parseDuration(t, a.Vals[0])
		default:
			d.Fatalf(t, "unknown argument %s", a.Key)
		}
	}
	g := &golden{now: time.Unix(0, 0), calls: map[string]*call{}, reqs: map[string]*request{}, opts: withDefaults(o)}
	g.m = newMachine(g.opts, func() float64 { return 0.5 })
	g.m.waited = func(int) time.Duration { return g.waits }
	return g
}

func parseDuration(t *testing.T, s string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func parseInt(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// feed understands what eventOf does, and "wait 3s", which fires the timer as
// often as it is due, "starved 8s", the time that workers have waited for a processor,
// "drain", "kill", "start", and about calls and requests by
// their names: "run a", "suspect a", "revoke a", "late a" (its deadline is over), "recycle r",
// "replace r", "forgo r".
func (g *golden) feed(t *testing.T, d *datadriven.TestData, line string) string {
	verb, arg, _ := strings.Cut(line, " ")
	switch verb {
	case "wait":
		return g.wait(parseDuration(t, arg))
	case "starved":
		g.waits = parseDuration(t, arg)
		return "-"
	case "start":
		return g.on(evStart{})
	case "drain":
		return g.on(evDrain{})
	case "kill":
		return g.on(evKill{})
	case "run", "suspect":
		g.calls[arg] = &call{name: arg, id: arg, frame: wire.Frame{Type: wire.Task}, suspect: verb == "suspect"}
		return g.on(evRun{g.calls[arg]})
	case "revoke", "late":
		return g.on(evRevoke{g.calls[arg], verb == "late"})
	case "recycle":
		g.reqs[arg] = &request{}
		return g.on(evRequest{g.reqs[arg]})
	case "replace":
		o := *g.opts
		g.reqs[arg] = &request{opts: &o}
		return g.on(evRequest{g.reqs[arg]})
	case "forgo":
		return g.on(evForgo{g.reqs[arg]})
	default:
		return g.on(eventOf(t, d, verb, arg))
	}
}

// wait lets the time pass, from one timer to the next.
func (g *golden) wait(d time.Duration) string {
	end := g.now.Add(d)
	var out []string
	for at := g.m.wake(); !at.IsZero() && !at.After(end); at = g.m.wake() {
		g.now = at
		if text := g.on(evTime{}); text != "-" {
			out = append(out, fmt.Sprintf("@%v %s", at.Sub(time.Unix(0, 0)), text))
		}
	}
	g.now = end
	if out == nil {
		return "-"
	}
	return strings.Join(out, "; ")
}

// eventOf understands about worker 1: "spawned 1", "unborn 1", "hello 1" with
// "cancel-signal", "beat" or "old" and "x3" for its concurrency, "ok 1 17" and
// likewise error, discard, retry, "beat 1", "bye 1", "step 1", "pong 1",
// "closed 1", "garbage 1", "broken 1 17", "hung 1", "refused 1 17", "rss 1 100",
// "tree 1 150 100", "exit 1" and "killed 1".
func eventOf(t *testing.T, d *datadriven.TestData, verb, arg string) event {
	t.Helper()
	words := strings.Fields(arg)
	key := parseInt(t, words[0])
	nth := func(i int) int64 {
		if i < len(words) {
			if n, err := strconv.ParseInt(words[i], 10, 64); err == nil {
				return n
			}
		}
		return 0
	}
	id := uint64(nth(1))
	frame := func(f wire.Frame) event {
		f.ID = id
		return evFrame{key, &f}
	}
	switch verb {
	case "spawned":
		return evSpawned{key}
	case "unborn":
		return evUnborn{key, errors.New("no such file")}
	case "hello":
		return frame(helloOf(words[1:]))
	case "ok":
		return frame(wire.Frame{Type: wire.OK})
	case "error":
		return frame(wire.Frame{Type: wire.Error, Message: "boom"})
	case "discard":
		return frame(wire.Frame{Type: wire.Error, Message: "boom", Permanent: true})
	case "retry":
		return frame(wire.Frame{Type: wire.Retry, After: time.Second})
	case "beat":
		return frame(wire.Frame{Type: wire.Beat})
	case "bye":
		return frame(wire.Frame{Type: wire.Bye, Reason: "memory"})
	case "step":
		return frame(wire.Frame{Type: wire.Step, Message: "import"})
	case "progress":
		return frame(wire.Frame{Type: wire.Progress})
	case "pong":
		return frame(wire.Frame{Type: wire.Pong})
	case "closed":
		return evClosed{key, nil}
	case "garbage":
		return evClosed{key, &wire.ProtocolError{What: "garbage"}}
	case "broken":
		return evBroken{key, id, false, errors.New("broken pipe")}
	case "hung":
		return evBroken{key, id, true, errors.New("i/o timeout")}
	case "refused":
		return evRefused{key, id, errors.New("over the limit")}
	case "rss":
		return evSampled{key, nth(1) << 20}
	case "tree":
		return evTree{key, nth(1) << 20, nth(2) << 20}
	case "exit":
		return evExited{key, osproc.Exit{PID: key, Code: 1}}
	case "killed":
		return evExited{key, osproc.Exit{PID: key, Code: -1, Signal: syscall.SIGKILL, Cause: osproc.Killed}}
	}
	d.Fatalf(t, "unknown event %s", verb)
	return nil
}

func helloOf(words []string) wire.Frame {
	f := wire.Frame{Type: wire.Hello, Proto: 1, Tasks: []string{"a"}, Concurrency: 1}
	for _, w := range words {
		switch w {
		case "old":
			f.Proto = 0
		case "x2", "x3":
			f.Concurrency = int(w[1] - '0')
		default:
			f.Caps = append(f.Caps, w)
		}
	}
	return f
}

func (g *golden) on(ev event) string {
	var out []string
	for _, e := range g.m.on(ev, g.now) {
		if text := g.format(e); text != "" {
			out = append(out, text)
		}
	}
	if len(out) == 0 {
		return "-"
	}
	return strings.Join(out, "; ")
}

// format leaves out what the tests of the driver see to: samples and who is head.
func (g *golden) format(e effect) string {
	switch e := e.(type) {
	case effSpawn:
		if e.opts != g.opts {
			return fmt.Sprintf("spawn %d (new options)", e.key)
		}
		return fmt.Sprintf("spawn %d", e.key)
	case effWelcome:
		return fmt.Sprintf("welcome %d x%d", e.key, e.concurrency)
	case effTask:
		if e.left > 0 {
			return fmt.Sprintf("task %d#%d %s %v", e.key, e.call.frame.ID, e.call.name, e.left)
		}
		return fmt.Sprintf("task %d#%d %s", e.key, e.call.frame.ID, e.call.name)
	case effCancel:
		if e.signal {
			return fmt.Sprintf("cancel %d#%d %s, signal", e.key, e.call.frame.ID, e.reason)
		}
		return fmt.Sprintf("cancel %d#%d %s", e.key, e.call.frame.ID, e.reason)
	case effPing:
		return fmt.Sprintf("ping %d %d", e.key, e.n)
	case effDrain:
		return fmt.Sprintf("drain %d %v", e.key, e.left)
	case effDump:
		return fmt.Sprintf("dump %d", e.key)
	case effTerm:
		return fmt.Sprintf("term %d", e.key)
	case effKill:
		return fmt.Sprintf("kill %d", e.key)
	case effTree:
		return fmt.Sprintf("look at the tree of %d", e.key)
	case effStep:
		return fmt.Sprintf("step %d %s", e.key, e.text)
	case effBuried:
		return g.formatBuried(e)
	case effAnswer:
		return fmt.Sprintf("%s: %s", e.call.name, formatAnswer(e.err))
	case effReply:
		return fmt.Sprintf("reply %s: %v", g.reqName(e.req), e.err)
	case effCurrent:
		return fmt.Sprintf("current %d", e.key)
	case effReady:
		return "ready"
	case effAvailable:
		return map[bool]string{true: "able", false: "unable"}[e.able]
	case effCommit:
		return "new options"
	case effQuit:
		if e.err == nil {
			return "quit"
		}
		return "quit: " + formatAnswer(e.err)
	case effRun, effSample, effProgress, effStrange:
		return ""
	}
	return fmt.Sprintf("%#v", e)
}

func (g *golden) formatBuried(e effBuried) string {
	text := fmt.Sprintf("bury %d", e.key)
	if e.asked {
		text += " as asked"
	}
	if e.autopsy.Why != "" {
		text += " " + e.autopsy.Why
	}
	if e.autopsy.Task != "" {
		text += fmt.Sprintf(" (%s for %v)", e.autopsy.Task, e.autopsy.For)
	}
	return text
}

func (g *golden) reqName(r *request) string {
	for name, o := range g.reqs {
		if o == r {
			return name
		}
	}
	return "?"
}

func formatAnswer(err error) string {
	if err == nil {
		return "done"
	}
	if lost, ok := errors.AsType[*LostError](err); ok {
		text := "lost " + lost.Why
		if lost.Err != nil {
			text += " (" + lost.Err.Error() + ")"
		}
		if lost.Company > 0 {
			text += fmt.Sprintf(" beside %d", lost.Company)
		}
		return text
	}
	if errors.Is(err, ErrNotStarted) {
		return "not started"
	}
	return task.OutcomeOf(err).Kind.String()
}

// Jitter only shortens, so that no limit is exceeded.
func TestJitter(t *testing.T) {
	for r, want := range map[float64][]int{0: {100, 100, 100}, 0.5: {100, 93, 50}, 0.999: {100, 86, 1}} {
		m := newMachine(nil, func() float64 { return r })
		var got []int
		for _, jitter := range []float64{0, 0.15, 1} {
			o := withDefaults(Options{Recycle: Recycle{MaxTasks: 100, Jitter: jitter}})
			got = append(got, m.spawn(o).limit)
		}
		for i, jitter := range []float64{0, 0.15, 1} {
			if d := got[i] - want[i]; d < -1 || d > 1 {
				t.Errorf("random %v, jitter %v: got %d, want %d", r, jitter, got[i], want[i])
			}
		}
		if slices.Contains(got, 0) {
			t.Errorf("random %v: got %v", r, got)
		}
	}
}
