package supervisor

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"pgregory.net/rapid"
)

// plant is what a machine drives while operators change it. Unlike a world it
// does not foresee what the machine does; it only knows what must never be.
type plant struct {
	t        *rapid.T
	spec     Spec
	m        *machine
	now      time.Time
	kids     map[int]*plantKid // by key
	timers   []evTimer
	counts   []time.Time
	requests map[int]bool // open
	reqs     int
	made     int // children so far
	ending   bool
	finished bool
}

type plantKid struct {
	child Child
	gen   int
	live  bool
	up    bool
	asked bool
	dying bool
}

func newPlant(t *rapid.T) *plant {
	w := &plant{
		t: t, now: time.Unix(0, 0), kids: map[int]*plantKid{}, requests: map[int]bool{},
		spec: Spec{
			Strategy:     rapid.SampledFrom([]Strategy{OneForOne, OneForAll, RestForOne, Dynamic}).Draw(t, "strategy"),
			Intensity:    rapid.SampledFrom([]int{-1, 2, 1000}).Draw(t, "intensity"),
			Period:       10 * time.Second,
			AutoShutdown: rapid.SampledFrom([]AutoShutdown{Never, Never, AnySignificant, AllSignificant}).Draw(t, "auto shutdown"),
			MaxStarting:  rapid.IntRange(1, 3).Draw(t, "max starting"),
		},
	}
	if rapid.Bool().Draw(t, "backoff") {
		w.spec.Backoff = Backoff{Initial: time.Second, Max: 4 * time.Second, Jitter: 0.5}
	}
	kids := make([]Child, rapid.IntRange(0, 4).Draw(t, "children"))
	for i := range kids {
		kids[i] = w.draw()
		w.kids[i] = &plantKid{child: kids[i]}
	}
	w.m = machineOf(w.spec, kids...)
	return w
}

func (w *plant) draw() Child {
	w.made++
	c := Child{
		ID:       fmt.Sprint(w.made),
		Producer: func() actor.Actor { return nil },
		Restart:  rapid.SampledFrom([]Restart{Permanent, Permanent, Transient, Temporary}).Draw(w.t, "restart"),
		Shutdown: rapid.SampledFrom([]time.Duration{0, Infinity, BrutalKill}).Draw(w.t, "shutdown"),
	}
	c.Significant = w.spec.AutoShutdown != Never && c.Restart != Permanent && rapid.Bool().Draw(w.t, "significant")
	if rapid.Bool().Draw(w.t, "can be killed") {
		c.Kill = func(*actor.PID, int) {}
	}
	if rapid.Bool().Draw(w.t, "has a start timeout") {
		c.StartTimeout = time.Second
	}
	return c
}

func (w *plant) feed(ev event) {
	if w.finished {
		return
	}
	for _, a := range slices.Clone(w.m.step(ev, w.now)) {
		if w.finished {
			w.t.Fatalf("after the end: %#v", a)
		}
		w.do(a)
	}
}

func (w *plant) do(a action) {
	switch a := a.(type) {
	case actSpawn:
		w.spawn(w.kids[a.i], a.gen)
	case actStop:
		k := w.kids[a.i]
		if !k.live || k.asked || a.gen != k.gen {
			w.t.Fatalf("asked to stop: %+v", *k)
		}
		k.asked = true
	case actKill:
		if k := w.kids[a.i]; !k.live || k.child.Kill == nil {
			w.t.Fatalf("killed: %+v", *k)
		}
	case actExit:
		k := w.kids[a.i]
		if !k.live || a.gen != k.gen {
			w.t.Fatalf("exit: %+v", *k)
		}
		k.live = false
	case actTimer:
		w.timers = append(w.timers, evTimer{a.i, a.token})
	case actCount:
		w.count()
	case actGiveUp:
		w.ending = true
	case actAdd:
		w.kids[a.i] = &plantKid{child: *a.node.spec}
	case actRemove:
		if w.kids[a.i].live {
			w.t.Fatalf("removed and alive: %+v", *w.kids[a.i])
		}
		delete(w.kids, a.i)
	case actReply:
		if !w.requests[a.req] {
			w.t.Fatalf("a reply to request %d, which is not open", a.req)
		}
		delete(w.requests, a.req)
	case actFinish:
		w.finish()
	}
}

func (w *plant) spawn(k *plantKid, gen int) {
	if k.live || gen <= k.gen || w.m.ending {
		w.t.Fatalf("generation %d was spawned: %+v", gen, *k)
	}
	*k = plantKid{child: k.child, gen: gen, live: true}
	if w.spec.Strategy == Dynamic {
		if n := w.starting(); n > w.spec.MaxStarting || w.m.breaker.Open() && n > 1 {
			w.t.Fatalf("%d are starting", n)
		}
	}
}

func (w *plant) starting() int {
	n := 0
	for _, k := range w.kids {
		if k.live && !k.up && !k.asked {
			n++
		}
	}
	return n
}

// count holds the intensity: never more restarts in any period.
func (w *plant) count() {
	w.counts = append(w.counts, w.now)
	n := 0
	for _, t := range w.counts {
		if w.now.Sub(t) <= w.spec.Period {
			n++
		}
	}
	if n > max(w.spec.Intensity, 0) {
		w.t.Fatalf("%d restarts within the period", n)
	}
}

func (w *plant) finish() {
	w.finished = true
	for key, k := range w.kids {
		if k.live {
			w.t.Fatalf("finished while %d is alive", key)
		}
	}
}

// keys are those of the children that pred holds for, in order.
func (w *plant) keys(pred func(*plantKid) bool) []int {
	var keys []int
	for key, k := range w.kids {
		if pred(k) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func (w *plant) some(t *rapid.T, pred func(*plantKid) bool, f func(key int, k *plantKid)) {
	w.t = t
	if keys := w.keys(pred); len(keys) > 0 && !w.finished {
		key := rapid.SampledFrom(keys).Draw(t, "child")
		f(key, w.kids[key])
	}
}

func (w *plant) request(ev func(req int) event) {
	if !w.finished {
		w.reqs++
		w.requests[w.reqs] = true
		w.feed(ev(w.reqs))
	}
}

func (w *plant) actions() map[string]func(*rapid.T) {
	live := func(k *plantKid) bool { return k.live }
	every := func(*plantKid) bool { return true }
	return map[string]func(*rapid.T){
		"up": func(t *rapid.T) {
			w.some(t, func(k *plantKid) bool { return k.live && !k.up && !k.asked && !k.dying }, func(key int, k *plantKid) {
				k.up = true
				w.feed(evUp{key, k.gen})
			})
		},
		"exit": func(t *rapid.T) {
			reason := rapid.SampledFrom([]Reason{Normal, Shutdown, Abnormal}).Draw(t, "reason")
			w.some(t, live, func(key int, k *plantKid) { w.exit(key, k, reason) })
		},
		"ending": func(t *rapid.T) {
			w.some(t, func(k *plantKid) bool { return k.live && !k.asked && !k.dying }, func(key int, k *plantKid) {
				k.dying = true
				w.feed(evEnding{key, k.gen, Exit{Reason: Abnormal, Err: errors.New("boom")}})
			})
		},
		"timer": func(t *rapid.T) { w.t = t; w.fire() },
		"time": func(t *rapid.T) {
			w.now = w.now.Add(time.Duration(rapid.IntRange(0, 8).Draw(t, "seconds")) * time.Second)
		},
		"terminate": func(t *rapid.T) {
			remove := rapid.Bool().Draw(t, "remove")
			w.some(t, every, func(key int, _ *plantKid) {
				w.request(func(req int) event { return evTerminate{req, key, remove} })
			})
		},
		"restart": func(t *rapid.T) {
			w.some(t, every, func(key int, _ *plantKid) { w.request(func(req int) event { return evRestart{req, key} }) })
		},
		"add or scale": func(t *rapid.T) { w.t = t; w.resize() },
		"stop": func(t *rapid.T) {
			if rapid.IntRange(0, 9).Draw(t, "really") == 0 {
				w.t = t
				w.feed(evStop{})
			}
		},
	}
}

func (w *plant) exit(key int, k *plantKid, reason Reason) {
	e := Exit{Reason: reason}
	if reason == Abnormal {
		e.Err = errors.New("boom")
	}
	w.feed(evExit{key, k.gen, e})
}

func (w *plant) fire() {
	if len(w.timers) > 0 {
		i := rapid.IntRange(0, len(w.timers)-1).Draw(w.t, "timer")
		ev := w.timers[i]
		w.timers = slices.Delete(w.timers, i, i+1)
		w.feed(ev)
	}
}

func (w *plant) resize() {
	if w.spec.Strategy != Dynamic {
		c := w.draw()
		w.request(func(req int) event { return evAdd{req, []*node{nodeOf(&c, 0)}} })
		return
	}
	size := rapid.IntRange(0, 6).Draw(w.t, "size")
	missing := size - len(w.m.slots())
	if missing <= 0 {
		w.request(func(req int) event { return evShrink{req, size} })
		return
	}
	ev := evAdd{}
	for _, slot := range w.m.free(missing) {
		c := w.draw()
		ev.kids = append(ev.kids, nodeOf(&c, slot))
	}
	w.request(func(req int) event { ev.req = req; return ev })
	if got := len(w.m.slots()); got != size && !w.m.ending {
		w.t.Fatalf("scaled to %d: got %d", size, got)
	}
}

// settle has everybody do what is expected of him until nothing moves.
func (w *plant) settle() {
	for range 500 {
		w.now = w.now.Add(time.Minute)
		switch {
		case w.finished:
			return
		case w.each(func(k *plantKid) bool { return k.live && (k.asked || k.dying) }, func(key int, k *plantKid) { w.exit(key, k, Shutdown) }):
		case w.each(func(k *plantKid) bool { return k.live && !k.up }, func(key int, k *plantKid) { k.up = true; w.feed(evUp{key, k.gen}) }):
		case len(w.timers) > 0:
			ev := w.timers[0]
			w.timers = w.timers[1:]
			w.feed(ev)
		default:
			return
		}
	}
	w.t.Fatal("it does not settle")
}

func (w *plant) each(pred func(*plantKid) bool, f func(key int, k *plantKid)) bool {
	keys := w.keys(pred)
	for _, key := range keys {
		if k := w.kids[key]; k != nil && pred(k) && !w.finished {
			f(key, k)
		}
	}
	return len(keys) > 0
}

func TestWhateverOperatorsAskForTheMachineKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newPlant(t)
		w.feed(evStart{})
		t.Repeat(w.actions())
		w.t = t
		w.settle()
		if !w.finished {
			w.rested()
			w.feed(evStop{})
			w.settle()
		}
		if !w.finished {
			t.Fatal("it does not end")
		}
	})
}

// rested checks a plant at rest: nobody waits for an answer, and each child is
// up or down for a reason.
func (w *plant) rested() {
	if len(w.requests) > 0 {
		w.t.Fatalf("at rest requests are open: %v", w.requests)
	}
	if !w.m.ready || w.m.plan.step != none || w.m.starting != 0 {
		w.t.Fatalf("at rest: ready %t, plan %+v, %d starting", w.m.ready, w.m.plan, w.m.starting)
	}
	for _, k := range w.m.kids {
		if k.phase != up && k.phase != over && k.phase != gone {
			w.t.Fatalf("at rest %s is in phase %d", k.id, k.phase)
		}
		if k.phase == over && k.restart == Permanent && !k.ever {
			w.t.Fatalf("at rest %s has never been up", k.id)
		}
	}
}

// However the children are ordered and however far the start has come, those
// that were started are the first of them, in their order, and they are stopped
// in the reverse of it.
func TestStartOrderIsAPrefixAndStopOrderItsReverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.Permutation([]string{"a", "b", "c", "d", "e", "f"}).Draw(t, "order")
		kids := make([]Child, len(ids))
		for i, id := range ids {
			kids[i] = Child{ID: id, Producer: func() actor.Actor { return nil }}
		}
		m := machineOf(Spec{Strategy: rapid.SampledFrom([]Strategy{OneForOne, OneForAll, RestForOne}).Draw(t, "strategy")}, kids...)
		var started, stopped []string
		finished := false
		feed := func(ev event) {
			for _, a := range slices.Clone(m.step(ev, time.Unix(0, 0))) {
				switch a := a.(type) {
				case actSpawn:
					started = append(started, ids[a.i])
				case actStop:
					stopped = append(stopped, ids[a.i])
				case actFinish:
					finished = true
				}
			}
		}
		feed(evStart{})
		for i := range rapid.IntRange(0, len(ids)).Draw(t, "up") {
			feed(evUp{i, 1})
		}
		feed(evStop{})
		for !finished {
			feed(evExit{slices.Index(ids, stopped[len(stopped)-1]), 1, Exit{Reason: Shutdown}})
		}
		if !slices.Equal(started, ids[:len(started)]) {
			t.Fatalf("started %v of %v", started, ids)
		}
		slices.Reverse(stopped)
		if !slices.Equal(stopped, started) {
			t.Fatalf("stopped, in reverse: %v, started %v", stopped, started)
		}
	})
}
