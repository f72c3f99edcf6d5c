package supervisor

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// world is a model of what a machine drives: it carries out the actions, keeps
// its own books of what is alive, and fails the test when an action breaks a
// promise of the package.
type world struct {
	t        *rapid.T
	spec     Spec
	m        *machine
	now      time.Time
	kids     []modelKid
	timers   map[evTimer]bool // armed and not fired; stale ones as well
	firing   evTimer
	restarts []time.Time
	ready    bool
	stopping bool // asked to, or it gave up
	finished bool
	err      *ExhaustedError
}

type modelKid struct {
	Child
	gen   int
	alive bool // spawned, not ended, not abandoned
	up    bool
	asked bool
	dying bool // it has begun to end by itself
	ever  bool // was up, or ended for good, once
	done  bool // it ended and is not to be restarted on its own account
	limit int  // token of its newest timer
}

func newWorld(t *rapid.T) *world {
	spec := Spec{
		Strategy:  rapid.SampledFrom([]Strategy{OneForOne, OneForAll, RestForOne}).Draw(t, "strategy"),
		Intensity: rapid.SampledFrom([]int{-1, 1, 3, 1000}).Draw(t, "intensity"),
		Period:    10 * time.Second,
		Parallel:  rapid.Bool().Draw(t, "parallel"),
	}
	if rapid.Bool().Draw(t, "backoff") {
		spec.Backoff = Backoff{Initial: time.Second, Max: 4 * time.Second, Jitter: 0.5}
	}
	kids := make([]Child, rapid.IntRange(0, 5).Draw(t, "children"))
	w := &world{t: t, spec: spec, now: time.Unix(0, 0), timers: map[evTimer]bool{}}
	for i := range kids {
		kids[i] = Child{
			ID:       fmt.Sprint(i),
			Restart:  rapid.SampledFrom([]Restart{Permanent, Permanent, Transient, Temporary}).Draw(t, "restart"),
			Shutdown: rapid.SampledFrom([]time.Duration{0, Infinity, BrutalKill}).Draw(t, "shutdown"),
		}
		w.kids = append(w.kids, modelKid{Child: kids[i]})
	}
	w.m = machineOf(spec, kids...)
	return w
}

func (w *world) feed(ev event) {
	if w.finished {
		return
	}
	actions := append([]action(nil), w.m.step(ev, w.now)...)
	for _, a := range actions {
		if w.finished {
			w.t.Fatalf("after the end: %T", a)
		}
		w.do(a)
	}
}

func (w *world) do(a action) {
	switch a := a.(type) {
	case actSpawn:
		w.spawn(a)
	case actStop:
		k := &w.kids[a.i]
		if !k.alive || k.asked || a.gen != k.gen {
			w.t.Fatalf("asked to stop: %+v", *k)
		}
		if !w.spec.Parallel {
			for j := a.i + 1; j < len(w.kids); j++ {
				if w.kids[j].alive {
					w.t.Fatalf("%d was asked to stop before %d was down", a.i, j)
				}
			}
		}
		k.asked = true
	case actAbandon:
		k := &w.kids[a.i]
		brutal := k.asked && k.Shutdown == BrutalKill
		if !k.alive || k.Shutdown == Infinity || !brutal && w.firing != (evTimer{a.i, k.limit}) {
			w.t.Fatalf("abandoned: %+v", *k)
		}
	case actExit:
		k := &w.kids[a.i]
		k.alive = false
		if k.Restart == Temporary {
			k.done, k.ever = true, true
		}
	case actBackoff:
		if w.stopping {
			w.t.Fatalf("restart of %d while stopping", a.i)
		}
	case actTimer:
		w.timers[evTimer{a.i, a.token}] = true
		if a.i >= 0 {
			w.kids[a.i].limit = a.token
		}
	case actReady:
		w.ready = true
	case actGiveUp:
		w.stopping = true
	case actFinish:
		w.finish(a)
	}
}

func (w *world) spawn(a actSpawn) {
	k := &w.kids[a.i]
	switch {
	case k.alive:
		w.t.Fatalf("two incarnations of %d are alive", a.i)
	case a.gen <= k.gen:
		w.t.Fatalf("generation %d after %d", a.gen, k.gen)
	case w.stopping:
		w.t.Fatalf("%d was started while stopping", a.i)
	case w.spec.Strategy == OneForOne && k.done:
		w.t.Fatalf("%d was restarted after an exit that asks for none", a.i)
	case k.Restart == Temporary && k.gen > 0:
		w.t.Fatalf("temporary %d was restarted", a.i)
	}
	for j := range a.i {
		b := &w.kids[j]
		if w.spec.Strategy == OneForOne && !b.ever {
			w.t.Fatalf("%d was started before %d", a.i, j)
		}
		if w.spec.Strategy != OneForOne && !(b.alive && b.up) && !b.done {
			w.t.Fatalf("%d was started while %d is not up", a.i, j)
		}
	}
	k.gen, k.alive, k.up, k.asked, k.dying, k.done, k.limit = a.gen, true, false, false, false, false, 0
}

func (w *world) finish(a actFinish) {
	if w.finished, w.err = true, a.err; !w.stopping {
		w.t.Fatal("finished without a reason")
	}
	for i := range w.kids {
		if w.kids[i].alive {
			w.t.Fatalf("finished while %d is alive", i)
		}
	}
}

// exit ends child i in the model and tells the machine.
func (w *world) exit(i int, reason Reason) {
	k := &w.kids[i]
	e := Exit{Reason: reason}
	if reason == Abnormal {
		e.Err = errors.New("boom")
	}
	if _, found := w.m.current(i, k.gen); !found {
		w.t.Fatalf("the machine does not know that %d is alive", i)
	}
	if !w.asked(i) {
		if needs := k.Restart == Permanent || k.Restart == Transient && reason == Abnormal; needs {
			w.count()
		} else {
			k.done, k.ever = true, true
		}
	}
	w.feed(evExit{i, k.gen, e})
}

// asked says whether the end of a child was asked for, or is about to be.
func (w *world) asked(i int) bool { return w.m.kids[i].phase == stopping || w.m.planned(i) }

// count checks a failure that needs a restart against the intensity.
func (w *world) count() {
	in := 0
	for _, t := range w.restarts {
		if w.now.Sub(t) <= w.spec.Period {
			in++
		}
	}
	if in >= max(w.spec.Intensity, 0) {
		w.stopping = true // the machine has to give up now; do and spawn hold it to that
		return
	}
	w.restarts = append(w.restarts, w.now)
}

func (w *world) live(pred func(*modelKid) bool) []int {
	var is []int
	for i := range w.kids {
		if k := &w.kids[i]; k.alive && pred(k) {
			is = append(is, i)
		}
	}
	return is
}

// with calls fn with one of the live children that pred holds for, if any.
func (w *world) with(t *rapid.T, pred func(*modelKid) bool, fn func(i int)) {
	w.t = t
	if is := w.live(pred); len(is) > 0 && !w.finished {
		fn(rapid.SampledFrom(is).Draw(t, "child"))
	}
}

func (w *world) cameUp(i int) {
	k := &w.kids[i]
	k.up, k.ever = true, true
	w.feed(evUp{i, k.gen})
}

func (w *world) fire(ev evTimer) {
	delete(w.timers, ev)
	// Who hangs in its own end is abandoned, and that counts as its failure.
	if ev.i >= 0 && w.m.kids[ev.i].token == ev.token && !w.asked(ev.i) {
		if k := &w.kids[ev.i]; k.alive && k.dying && k.Restart != Temporary {
			w.count()
		}
	}
	w.firing = ev
	w.feed(ev)
	w.firing = evTimer{}
}

// settle plays a well-behaved world until nothing happens any more.
func (w *world) settle() {
	for range 200 {
		w.now = w.now.Add(time.Minute)
		if is := w.live(func(k *modelKid) bool { return k.asked || k.dying }); len(is) > 0 {
			reason := Shutdown
			if w.kids[is[0]].dying {
				reason = Abnormal
			}
			w.exit(is[0], reason)
			continue
		}
		if is := w.live(func(k *modelKid) bool { return !k.up }); len(is) > 0 {
			w.cameUp(is[0])
			continue
		}
		if len(w.timers) == 0 {
			return
		}
		for ev := range w.timers {
			w.fire(ev)
			break
		}
	}
	w.t.Fatal("it does not settle")
}

func TestMachineKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.feed(evStart{})
		t.Repeat(w.actions())
		w.t = t
		w.end()
	})
}

// end lets everything come to rest and checks that what should run runs, and
// that it can be stopped.
func (w *world) end() {
	w.settle()
	if !w.stopping {
		for i := range w.kids {
			if k := &w.kids[i]; !(k.alive && k.up) && !k.done {
				w.t.Fatalf("at rest %d is not up: %+v", i, *k)
			}
		}
		if !w.ready {
			w.t.Fatal("at rest it is not ready")
		}
		w.stopping = true
		w.feed(evStop{})
		w.settle()
	}
	if !w.finished {
		w.t.Fatal("it does not end")
	}
}

func (w *world) actions() map[string]func(*rapid.T) {
	starting := func(k *modelKid) bool { return !k.up && !k.dying }
	running := func(k *modelKid) bool { return !k.asked && !k.dying }
	asked := func(k *modelKid) bool { return k.asked }
	return map[string]func(*rapid.T){
		"up":      func(t *rapid.T) { w.with(t, starting, w.cameUp) },
		"fail":    func(t *rapid.T) { w.with(t, func(*modelKid) bool { return true }, func(i int) { w.exit(i, Abnormal) }) },
		"normal":  func(t *rapid.T) { w.with(t, running, func(i int) { w.exit(i, Normal) }) },
		"stopped": func(t *rapid.T) { w.with(t, asked, func(i int) { w.exit(i, Shutdown) }) },
		"ending":  func(t *rapid.T) { w.with(t, running, w.beginToEnd) },
		"stale":   func(t *rapid.T) { w.with(t, func(k *modelKid) bool { return k.gen > 1 }, w.stale) },
		"timer":   func(t *rapid.T) { w.t = t; w.someTimer() },
		"time": func(t *rapid.T) {
			w.now = w.now.Add(time.Duration(rapid.IntRange(0, 8).Draw(t, "seconds")) * time.Second)
		},
		"stop": func(t *rapid.T) {
			if rapid.IntRange(0, 9).Draw(t, "really") == 0 {
				w.t, w.stopping = t, true
				w.feed(evStop{})
			}
		},
	}
}

func (w *world) beginToEnd(i int) {
	w.kids[i].dying = true
	w.feed(evEnding{i, w.kids[i].gen, Exit{Reason: Abnormal, Err: errors.New("boom")}})
}

func (w *world) stale(i int) {
	old := rapid.IntRange(1, w.kids[i].gen-1).Draw(w.t, "generation")
	if n := len(w.m.step(evExit{i, old, Exit{}}, w.now)) + len(w.m.step(evUp{i, old}, w.now)); n != 0 {
		w.t.Fatalf("a stale event led to %d actions", n)
	}
}

// someTimer fires a timer, perhaps a stale one.
func (w *world) someTimer() {
	var evs []evTimer
	for token := range w.m.token + 1 { // in a fixed order, for reproduction
		for i := -1; i < len(w.kids); i++ {
			if ev := (evTimer{i, token}); w.timers[ev] {
				evs = append(evs, ev)
			}
		}
	}
	if len(evs) > 0 {
		w.fire(rapid.SampledFrom(evs).Draw(w.t, "timer"))
	}
}
