package quarantine_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/internal/quarantine"
)

// TestGolden runs the histories in testdata. Workers are written as the number of
// their tasks, or - for one that is down.
func TestGolden(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var w *quarantine.Ward
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "ward":
				var most, round int
				d.ScanArgs(t, "most", &most)
				d.ScanArgs(t, "round", &round)
				w = quarantine.New(most, round)
			case "left":
				var worker int
				d.ScanArgs(t, "worker", &worker)
				w.Left(worker)
			case "assigned":
				var n int
				d.ScanArgs(t, "n", &n)
				for range n {
					w.Assigned()
				}
			case "next":
				var v quarantine.View
				d.ScanArgs(t, "suspects", &v.Suspects)
				d.ScanArgs(t, "others", &v.Others)
				for word := range strings.FieldsSeq(d.Input) {
					busy, err := strconv.Atoi(word)
					v.Workers = append(v.Workers, quarantine.Worker{Up: err == nil, Busy: busy})
				}
				var b strings.Builder
				for _, a := range w.Next(v) {
					fmt.Fprintf(&b, "%v %d\n", a.Do, a.Worker)
				}
				if b.Len() == 0 {
					return "nothing\n"
				}
				return b.String()
			default:
				t.Fatalf("what is %q?", d.Cmd)
			}
			return "ok\n"
		})
	})
}

// ship is a pool as its router has it: a Ward whose acts are carried out.
type ship struct {
	t                *rapid.T
	ward             *quarantine.Ward
	most, slots      int
	suspects, others int // that wait
	workers          []seat
	ranS, ranO       int
}

type seat struct {
	up      bool
	suspect bool
	others  int
}

func (s *ship) view() quarantine.View {
	v := quarantine.View{Suspects: s.suspects, Others: s.others}
	for _, w := range s.workers {
		busy := w.others
		if w.suspect {
			busy++
		}
		v.Workers = append(v.Workers, quarantine.Worker{Up: w.up, Busy: busy})
	}
	return v
}

// dispatch is what a router does whenever something has changed.
func (s *ship) dispatch() {
	v := s.view()
	keeps := func() (n int) {
		for i := range s.workers {
			if s.ward.Keeps(i) {
				n++
			}
		}
		return n
	}
	before, more := keeps(), false
	for _, a := range s.ward.Next(v) {
		w := &s.workers[a.Worker]
		more = more || a.Do != quarantine.Free
		if a.Do == quarantine.Admit {
			if !w.up || w.suspect || w.others > 0 || s.suspects == 0 {
				s.t.Fatalf("a suspect is admitted to %+v, %d wait", *w, s.suspects)
			}
			w.suspect = true
			s.suspects--
			s.ranS++
		}
	}
	s.checkBounds(v, more, keeps() > before)
	for i := range s.workers {
		for w := &s.workers[i]; w.up && !s.ward.Keeps(i) && w.others < s.slots && s.others > 0; {
			w.others++
			s.others--
			s.ranO++
			s.ward.Assigned()
		}
	}
}

// checkBounds: what a decision adds is within the bounds; what was admitted earlier
// may be more, if workers have gone down or others have come since.
func (s *ship) checkBounds(v quarantine.View, acts, more bool) {
	up, open, kept := 0, 0, 0
	for i, w := range s.workers {
		if w.suspect && !s.ward.Keeps(i) {
			s.t.Fatalf("worker %d runs a suspect and gets other tasks", i)
		}
		if w.up {
			up++
		}
		if w.up && !s.ward.Keeps(i) {
			open++
		}
		if s.ward.Keeps(i) {
			kept++
		}
	}
	if acts && up > 1 && open == 0 {
		s.t.Fatalf("no worker is left for others: %+v", s.workers)
	}
	if more && v.Others > 0 && kept > s.most {
		s.t.Fatalf("%d workers are kept while others wait, want at most %d", kept, s.most)
	}
	if s.ward.Idle() != (kept == 0) {
		s.t.Fatalf("idle %t with %d kept", s.ward.Idle(), kept)
	}
}

func (s *ship) end(i int) bool {
	w := &s.workers[i]
	switch {
	case w.suspect:
		w.suspect = false
		s.ward.Left(i)
	case w.others > 0:
		w.others--
	default:
		return false
	}
	return true
}

func drawShip(t *rapid.T) *ship {
	s := &ship{t: t, most: rapid.IntRange(1, 3).Draw(t, "most"), slots: rapid.IntRange(1, 4).Draw(t, "slots")}
	s.ward = quarantine.New(s.most, s.slots)
	s.workers = make([]seat, rapid.IntRange(1, 4).Draw(t, "workers"))
	return s
}

// TestSuspectsAreAlone: whatever happens, a suspect is alone, the bounds hold, and
// everything has run when all workers are up and all tasks end.
func TestSuspectsAreAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawShip(t)
		some := rapid.IntRange(0, len(s.workers)-1)
		t.Repeat(map[string]func(*rapid.T){
			"":         func(*rapid.T) { s.dispatch() },
			"suspects": func(t *rapid.T) { s.suspects += rapid.IntRange(1, 3).Draw(t, "n") },
			"others":   func(t *rapid.T) { s.others += rapid.IntRange(1, 6).Draw(t, "n") },
			"end":      func(t *rapid.T) { s.end(some.Draw(t, "worker")) },
			"up":       func(t *rapid.T) { s.workers[some.Draw(t, "worker")].up = true },
			"down":     func(t *rapid.T) { s.workers[some.Draw(t, "worker")].up = false },
			"dies": func(t *rapid.T) {
				i := some.Draw(t, "worker")
				for s.workers[i].up = false; s.end(i); {
				}
			},
			"handed back": func(*rapid.T) { s.suspects, s.others = 0, 0 },
		})
		for i := range s.workers {
			s.workers[i].up = true
		}
		for s.dispatch(); slices.ContainsFunc(s.workers, func(w seat) bool { return w.suspect || w.others > 0 }); s.dispatch() {
			for i := range s.workers {
				s.end(i)
			}
		}
		if s.suspects+s.others > 0 || !s.ward.Idle() {
			t.Fatalf("%d suspects and %d others wait for ever, idle %t", s.suspects, s.others, s.ward.Idle())
		}
	})
}

// TestNobodyStarves: while both kinds never end, neither waits longer than until a
// worker has ended what it has and, with one worker, a round.
func TestNobodyStarves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawShip(t)
		for i := range s.workers {
			s.workers[i].up = true
		}
		s.suspects, s.others = 1000, 1000
		const rounds = 50
		lastS, lastO := 0, 0
		patience := 4 * s.slots
		for step := range rounds {
			beforeS, beforeO := s.ranS, s.ranO
			s.dispatch()
			if s.ranS > beforeS {
				lastS = step
			}
			if s.ranO > beforeO {
				lastO = step
			}
			if step-lastS > patience || step-lastO > patience {
				t.Fatalf("step %d: a suspect began last in step %d, another task in step %d", step, lastS, lastO)
			}
			for i := range s.workers { // one task of each ends
				s.end(i)
			}
		}
	})
}
