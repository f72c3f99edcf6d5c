package process

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/task"
)

// incarnation is the actor around a machine: it turns messages into events and
// effects into calls. It decides nothing.
type incarnation struct {
	slot *Slot
	m    *machine
	kids map[int]*child
	tell func(any)     // sends to itself; never blocks
	gone chan struct{} // closed when it answers no more

	ctx     actor.Context // of the message
	pending []event       // of handle, kept for its room
	fatal   string        // the end of the process with which the slot ends
	timer   *time.Timer
	armed   time.Time // when it fires; zero: it does not
}

// Starts makes it a supervisor.Starter: it is up when its process has said hello.
func (in *incarnation) Starts() {}

// Drains makes it a supervisor.Drainer: it ends when its processes have.
func (in *incarnation) Drains() {}

// tick is what the timer sends.
type tick struct{}

// Receive never blocks.
func (in *incarnation) Receive(ctx actor.Context) {
	in.ctx = ctx
	switch m := ctx.Message().(type) {
	case *actor.Started:
		in.started()
	case *supervisor.Drain:
		in.handle(evDrain{})
	case *actor.Stopping:
		in.stopping()
	case tick:
		in.armed = time.Time{}
		in.handle(evTime{})
	case said:
		<-m.from.credit
		in.handle(m.evFrame)
	case event:
		in.handle(m)
	}
}

func (in *incarnation) started() {
	root, self := in.ctx.ActorSystem().Root, in.ctx.Self()
	in.tell = func(m any) { root.Send(self, m) }
	in.gone = make(chan struct{})
	in.kids = make(map[int]*child)
	in.timer = time.AfterFunc(time.Hour, func() { in.tell(tick{}) })
	in.timer.Stop()
	in.slot.incarnation.Store(in) // before the options are read: see Slot.Replace
	in.m = newMachine(in.slot.opts.Load(), rand.Float64)
	in.m.waited = func(key int) time.Duration { return in.kids[key].waited() }
	in.handle(evStart{})
}

// handle has the machine decide and carries it out. What an effect has for a
// result at once is an event in turn.
func (in *incarnation) handle(ev event) {
	in.pending = append(in.pending[:0], ev)
	for i := 0; i < len(in.pending); i++ {
		for _, e := range in.m.on(in.pending[i], time.Now()) {
			if next := in.act(e); next != nil {
				in.pending = append(in.pending, next)
			}
		}
	}
	in.arm()
}

// arm sets the timer. One that fires too early costs less than to set it for each
// task.
func (in *incarnation) arm() {
	at := in.m.wake()
	if at.IsZero() || !in.armed.IsZero() && !at.Before(in.armed) {
		return
	}
	in.armed = at
	in.timer.Reset(time.Until(at))
}

func (in *incarnation) act(e effect) event {
	switch e := e.(type) {
	case effTask:
		in.kids[e.key].sendTask(e)
	case effAnswer:
		in.answer(e)
	case effRun:
		in.kids[e.key].head.Store(e.call)
	case effSample:
		return in.kids[e.key].sample(time.Now())
	case effSpawn:
		in.spawn(e)
	case effBuried:
		in.buried(e)
	case effReply:
		e.req.done <- e.err
	case effCurrent:
		in.slot.current.Store(in.kids[e.key])
	case effReady:
		supervisor.Ready(in.ctx)
	case effAvailable:
		if in.slot.available != nil {
			in.slot.available(e.able)
		}
	case effCommit:
		in.slot.opts.Store(e.opts)
	case effQuit:
		supervisor.Quit(in.ctx, in.epitaph(e.err))
	default:
		in.actChild(e)
	}
	return nil
}

// actChild is for the effects on one process that are rare.
func (in *incarnation) actChild(e effect) {
	switch e := e.(type) {
	case effWelcome:
		in.kids[e.key].welcome(e.concurrency)
	case effCancel:
		in.kids[e.key].sendCancel(e)
	case effPing:
		in.kids[e.key].ping(e.n)
	case effDrain:
		in.kids[e.key].drain(e.left)
	case effDump:
		in.kids[e.key].dump(e.signal)
	case effTerm:
		in.kids[e.key].term()
	case effKill:
		in.kids[e.key].kill()
	case effTree:
		in.kids[e.key].tree()
	case effStep:
		in.kids[e.key].step.Store(&e.text)
	case effStrange:
		in.slot.strange.Add(1)
	case effProgress:
		in.kids[e.key].progress.Store(e.frame)
	}
}

func (in *incarnation) spawn(e effSpawn) {
	s := in.slot
	c := newChild(in, e.key, e.opts)
	in.kids[e.key] = c
	list := append(slices.Clone(*s.children.Load()), c)
	s.children.Store(&list)
	c.start()
}

func (in *incarnation) buried(e effBuried) {
	s, c := in.slot, in.kids[e.key]
	delete(in.kids, e.key)
	list := slices.DeleteFunc(slices.Clone(*s.children.Load()), func(o *child) bool { return o == c })
	s.children.Store(&list)
	a := c.autopsy(e.autopsy)
	s.remember(a)
	if e.fatal {
		in.fatal = a.line()
	}
	c.report(a, e.asked, e.fatal)
}

// slotError is the error with which an actor ends: in words all that is known of
// the end of its last process.
type slotError struct {
	text string
	err  error
}

func (e *slotError) Error() string { return e.text }
func (e *slotError) Unwrap() error { return e.err }

func (in *incarnation) epitaph(err error) error {
	if err == nil {
		return nil
	}
	return &slotError{in.fatal, err}
}

// answer gives a task its one answer.
func (in *incarnation) answer(e effAnswer) {
	if c := in.kids[e.key]; c != nil {
		c.tasks[e.call.place].Store(nil)
	}
	switch task.OutcomeOf(e.err).Kind {
	case task.KindDone, task.KindRetry:
		in.slot.done.Add(1)
	default:
		if !errors.Is(e.err, ErrNotStarted) {
			in.slot.failed.Add(1)
		}
	}
	e.call.reply <- e.err
}

// stopping is the end of the actor, in order or because it failed: then what it
// has is killed, and every call gets its answer nevertheless.
func (in *incarnation) stopping() {
	if in.m == nil {
		return // it was not started
	}
	s := in.slot
	s.incarnation.CompareAndSwap(in, nil)
	s.current.Store(nil)
	in.timer.Stop()
	for _, c := range in.kids {
		c.abandon()
	}
	for _, c := range in.m.calls() {
		in.answer(effAnswer{call: c, err: &LostError{Why: WhyExit, Err: errActorFailed}})
	}
	if r := in.m.replace; r != nil {
		for _, req := range r.requests {
			req.done <- errEnding
		}
	}
	if in.m.able && s.available != nil {
		s.available(false)
	}
	close(in.gone)
}

var errActorFailed = errors.New("the actor of the slot failed")
