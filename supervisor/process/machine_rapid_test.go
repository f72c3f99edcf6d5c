package process

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/internal/osproc"
	"github.com/magne-actors/magne-actors/internal/wire"
)

// slotWorld is a model of what a machine drives: it carries out the effects, keeps
// its own books of what lives and of who has which task, and fails the test when
// an effect breaks a promise.
type slotWorld struct {
	t        *rapid.T
	m        *machine
	opts     *Options
	now      time.Time
	procs    []*modelProc // that live, the oldest first
	calls    []*modelCall
	requests map[*request]int // replies
	asked    []*request
	heads    []*call // the oldest ones before the event
	current  int
	able     bool
	draining bool
	quit     bool
}

// modelProc is a process, in the order in which it can be.
type modelProc struct {
	key               int
	spawned, hello    bool
	drained           bool // it was told to finish
	dumped, term, end bool // TERM was sent, KILL was
	closed            bool // its pipe
	open              []*call
	issued            uint64
}

type modelCall struct {
	*call
	proc    int // 0: none has it
	answers int
}

func newSlotWorld(t *rapid.T) *slotWorld {
	some := func(label string, values ...int) int { return rapid.SampledFrom(values).Draw(t, label) }
	o := Options{
		Concurrency: some("concurrency", 1, 1, 3), Pipeline: some("pipeline", 0, 1, 2, 5),
		Timeout:      Timeout{Soft: time.Duration(some("soft", 0, 2)) * time.Second, Hard: time.Duration(some("hard", 0, 4)) * time.Second},
		Watchdog:     time.Duration(some("watchdog", 0, 3)) * time.Second,
		PingInterval: time.Duration(some("ping", 0, 3)) * time.Second,
		Recycle: Recycle{
			MaxTasks: some("tasks", 0, 1, 5), Lifetime: time.Duration(some("lifetime", 0, 20)) * time.Second,
			MaxRSS: int64(some("rss", 0, 100)), MaxRSSHard: int64(some("rsshard", 0, 200)), Jitter: 0.5,
		},
	}
	if rapid.Bool().Draw(t, "dump") {
		o.Timeout.DumpSignal = 3
	}
	w := &slotWorld{t: t, opts: withDefaults(o), now: time.Unix(0, 0), requests: map[*request]int{}}
	w.m = newMachine(w.opts, func() float64 { return rapid.Float64Range(0, 0.999).Draw(t, "random") })
	w.m.waited = func(int) time.Duration {
		return time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "waited"))
	}
	w.feed(evStart{})
	return w
}

func (w *slotWorld) feed(ev event) {
	w.heads = w.heads[:0]
	for _, p := range w.procs {
		if len(p.open) > 0 {
			w.heads = append(w.heads, p.open[0])
		}
	}
	effects := slices.Clone(w.m.on(ev, w.now))
	for _, e := range effects {
		w.do(e)
	}
	if at := w.m.wake(); !at.IsZero() && !at.After(w.now) {
		w.t.Fatalf("after %T: to be woken at once, for ever", ev)
	}
	fresh := 0
	for _, p := range w.procs {
		if !p.drained && !p.dumped && !p.term && !p.end {
			fresh++
		}
		if len(p.open) > w.opts.Pipeline {
			w.t.Fatalf("%d tasks in a worker, at most %d", len(p.open), w.opts.Pipeline)
		}
	}
	if fresh > 2 {
		w.t.Fatalf("%d workers, of which none is on its way out", fresh)
	}
	cur := w.proc(w.current)
	if fit := cur != nil && cur.hello && !cur.drained && !cur.dumped && !cur.term && !cur.end; w.able && !fit {
		w.t.Fatalf("said to be able: %+v", cur)
	}
}

func (w *slotWorld) proc(key int) *modelProc {
	for _, p := range w.procs {
		if p.key == key {
			return p
		}
	}
	return nil
}

// alive is a process that an effect may be about.
func (w *slotWorld) alive(key int, e effect) *modelProc {
	p := w.proc(key)
	if p == nil {
		w.t.Fatalf("%T of worker %d, which is dead", e, key)
	}
	return p
}

func (w *slotWorld) do(e effect) {
	if _, answer := e.(effAnswer); w.quit && !answer {
		if _, reply := e.(effReply); !reply {
			w.t.Fatalf("after the end: %T", e)
		}
	}
	switch e := e.(type) {
	case effSpawn:
		if w.draining {
			w.t.Fatal("a spawn while it ends")
		}
		w.procs = append(w.procs, &modelProc{key: e.key})
	case effWelcome:
		w.alive(e.key, e).hello = true
	case effTask:
		w.task(e)
	case effDrain:
		p := w.alive(e.key, e)
		if !p.hello || p.drained || p.term || p.end {
			w.t.Fatalf("drain: %+v", p)
		}
		p.drained = true
	case effDump:
		p := w.alive(e.key, e)
		if p.dumped || p.term || p.end {
			w.t.Fatalf("dump: %+v", p)
		}
		p.dumped = true
	case effTerm:
		p := w.alive(e.key, e)
		if p.term || p.end {
			w.t.Fatalf("term: %+v", p)
		}
		p.term = true
	case effKill:
		w.alive(e.key, e).end = true
	case effCancel, effPing, effRun, effStep, effProgress, effSample, effTree:
		w.about(e)
	case effBuried:
		if p := w.alive(e.key, e); len(p.open) > 0 {
			w.t.Fatalf("buried with tasks: %+v", p)
		}
		w.procs = slices.DeleteFunc(w.procs, func(p *modelProc) bool { return p.key == e.key })
	case effAnswer:
		w.answer(e)
	case effReply:
		w.requests[e.req]++
	case effCurrent:
		w.current = e.key
	case effAvailable:
		if w.able == e.able {
			w.t.Fatalf("told twice: %v", e.able)
		}
		w.able = e.able
	case effReady, effCommit, effStrange:
	case effQuit:
		if len(w.procs) > 0 {
			w.t.Fatal("quit with living processes")
		}
		w.quit = true
	default:
		w.t.Fatalf("unknown effect %T", e)
	}
}

func (w *slotWorld) about(e effect) {
	switch e := e.(type) {
	case effCancel:
		if p := w.alive(e.key, e); !slices.Contains(p.open, e.call) {
			w.t.Fatal("a cancel of a task that it does not have")
		}
	case effPing:
		if p := w.alive(e.key, e); !p.hello || p.term || len(p.open) > 0 && w.opts.Concurrency == 1 {
			w.t.Fatalf("ping: %+v", p)
		}
	}
}

func (w *slotWorld) task(e effTask) {
	p := w.alive(e.key, e)
	if !p.hello || p.drained || p.dumped || p.term || p.end || p.closed || e.key != w.current || !w.able || w.draining {
		w.t.Fatalf("a task for %+v", p)
	}
	p.issued++
	if e.call.frame.ID != p.issued {
		w.t.Fatalf("id %d, want %d", e.call.frame.ID, p.issued)
	}
	p.open = append(p.open, e.call)
	w.model(e.call).proc = p.key
}

func (w *slotWorld) model(c *call) *modelCall {
	i := slices.IndexFunc(w.calls, func(m *modelCall) bool { return m.call == c })
	return w.calls[i]
}

func (w *slotWorld) answer(e effAnswer) {
	c := w.model(e.call)
	if c.answers++; c.answers > 1 {
		w.t.Fatalf("a second answer: %v", e.err)
	}
	p := w.proc(c.proc)
	if p == nil {
		if !errors.Is(e.err, ErrNotStarted) {
			w.t.Fatalf("a task that nobody has: %v", e.err)
		}
		return
	}
	i := slices.Index(p.open, e.call)
	if errors.Is(e.err, ErrNotStarted) && slices.Contains(w.heads, e.call) && !e.call.unsent {
		w.t.Fatal("the first one may have been started")
	}
	p.open = slices.Delete(p.open, i, i+1)
}

// step is one thing that can happen.
func (w *slotWorld) step() {
	pick := func(ps []*modelProc) *modelProc { return rapid.SampledFrom(ps).Draw(w.t, "worker") }
	switch n := rapid.IntRange(0, 99).Draw(w.t, "event"); {
	case n < 30:
		c := &modelCall{call: &call{name: fmt.Sprint(len(w.calls))}}
		w.calls = append(w.calls, c)
		w.feed(evRun{c.call})
	case n < 35 && len(w.calls) > 0:
		w.feed(evRevoke{rapid.SampledFrom(w.calls).Draw(w.t, "call").call, rapid.Bool().Draw(w.t, "late")})
	case n < 45:
		w.pass(time.Duration(rapid.IntRange(0, 3000).Draw(w.t, "ms")) * time.Millisecond)
	case n < 47:
		r := &request{}
		if rapid.Bool().Draw(w.t, "new options") {
			r.opts = withDefaults(*w.opts)
		}
		w.requests[r], w.asked = 0, append(w.asked, r)
		w.feed(evRequest{r})
	case n == 47:
		w.feed(evKill{})
	case n < 50 && len(w.asked) > 0 && rapid.Bool().Draw(w.t, "forgo"):
		w.feed(evForgo{rapid.SampledFrom(w.asked).Draw(w.t, "request")})
	case n == 48 && rapid.IntRange(0, 5).Draw(w.t, "drain") == 0:
		w.drain()
	case len(w.procs) > 0:
		w.worker(pick(w.procs))
	}
}

// pass lets the time pass, from one timer to the next.
func (w *slotWorld) pass(d time.Duration) {
	for end := w.now.Add(d); ; {
		at := w.m.wake()
		if at.IsZero() || at.After(end) {
			w.now = end
			return
		}
		w.now = at
		w.feed(evTime{})
	}
}

func (w *slotWorld) drain() {
	w.draining = true
	w.feed(evDrain{})
}

// worker has a process do something that it can.
func (w *slotWorld) worker(p *modelProc) {
	frame := func(f wire.Frame) { w.feed(evFrame{p.key, &f}) }
	if !p.spawned {
		if rapid.IntRange(0, 9).Draw(w.t, "unborn") == 0 {
			w.feed(evUnborn{p.key, errors.New("no such file")})
			return
		}
		p.spawned = true
		w.feed(evSpawned{p.key})
		return
	}
	n := rapid.IntRange(0, 29).Draw(w.t, "act")
	switch {
	case n == 0:
		w.feed(evExited{p.key, osproc.Exit{PID: p.key}})
	case p.closed: // it can only die
	case n == 1:
		p.closed = true
		w.feed(evClosed{p.key, rapid.SampledFrom([]error{nil, &wire.ProtocolError{What: "garbage"}}).Draw(w.t, "how")})
	case n == 2:
		w.feed(evBroken{p.key, rapid.SampledFrom([]uint64{0, p.issued}).Draw(w.t, "from"), rapid.Bool().Draw(w.t, "hung"), errors.New("broken")})
	case !p.hello && !p.term && !p.end:
		frame(wire.Frame{Type: wire.Hello, Proto: 1, Concurrency: rapid.IntRange(1, 3).Draw(w.t, "x"), Caps: []string{wire.CapBeat, wire.CapCancel}})
	case !p.hello:
	case n == 3:
		frame(wire.Frame{Type: wire.OK, ID: rapid.Uint64Range(1, 5).Draw(w.t, "id")}) // perhaps none of its tasks
	case n == 4:
		frame(wire.Frame{Type: wire.Bye})
	case n == 5:
		w.feed(evSampled{p.key, rapid.Int64Range(0, 300).Draw(w.t, "rss")})
	case n == 6:
		w.feed(evTree{p.key, rapid.Int64Range(0, 300).Draw(w.t, "tree"), 50})
	case n == 7 && len(p.open) > 0:
		w.feed(evRefused{p.key, p.open[len(p.open)-1].frame.ID, errors.New("over the limit")})
	case n < 20 && len(p.open) > 0:
		kind := rapid.SampledFrom([]wire.Type{wire.OK, wire.OK, wire.Error, wire.Retry}).Draw(w.t, "reply")
		frame(wire.Frame{Type: kind, ID: p.open[0].frame.ID})
	default:
		frame(wire.Frame{Type: rapid.SampledFrom([]wire.Type{wire.Beat, wire.Pong, wire.Progress}).Draw(w.t, "note")})
	}
}

// finish drains the slot. Processes that hear of their end by a signal die.
func (w *slotWorld) finish() {
	if !w.draining {
		w.drain()
	}
	for i := 0; !w.quit; i++ {
		if i > 1000 {
			w.t.Fatalf("it does not end; left: %d", len(w.procs))
		}
		for _, p := range slices.Clone(w.procs) {
			if p.term || p.end {
				w.feed(evExited{p.key, osproc.Exit{PID: p.key}})
			}
		}
		w.pass(time.Second)
	}
	for _, c := range w.calls {
		if c.answers != 1 {
			w.t.Fatalf("call %s: %d answers", c.name, c.answers)
		}
	}
	for _, n := range w.requests {
		if n != 1 {
			w.t.Fatalf("%d replies to a request", n)
		}
	}
}

// Each task gets exactly one answer, a worker has never more than it may, and
// never one that it must not have, whatever happens in whatever order.
func TestMachineProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newSlotWorld(t)
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			if w.quit {
				break
			}
			w.step()
		}
		w.finish()
	})
}
