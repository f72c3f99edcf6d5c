package supervisor

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// supervisor is the actor around a machine: it turns messages into events and
// actions into calls. It decides nothing.
type supervisor struct {
	sys  *System
	inc  *incarnation // its own
	m    *machine
	kids map[int]*running // by the machine's keys
	tell func(any)        // given to the children
	ctx  actor.Context
	plan *time.Timer // the plan's backoff

	shown    *offspring // what this incarnation has last made its node's
	changed  bool       // the children are others than shown
	lost     []*node
	requests map[int]*request // not yet answered
	replies  []actReply       // of the event that is being handled
	asked    int              // how many requests there were
}

// running is a child and its current incarnation.
type running struct {
	node  *node
	inc   *incarnation
	pid   *actor.PID
	timer *time.Timer

	abandoned bool
}

func newSupervisor(s *System, inc *incarnation) *supervisor {
	n := inc.node
	o := *n.offspring.Load()
	sup := &supervisor{
		sys: s, inc: inc, m: newMachine(n, rand.Float64), shown: &o, lost: o.lost,
		kids: make(map[int]*running), requests: make(map[int]*request),
	}
	n.offspring.Store(sup.shown) // from now on ours, and no longer an older incarnation's
	n.restarts.Store(newRecent(sup.m.spec.Intensity))
	for i, k := range sup.m.kids {
		sup.kids[k.key] = &running{node: o.kids[i]}
	}
	return sup
}

// Drains makes it a Drainer: it ends when its children have.
func (s *supervisor) Drains() {}

// Starts makes it a Starter: it is up when its children are.
func (s *supervisor) Starts() {}

// Receive never blocks.
func (s *supervisor) Receive(ctx actor.Context) {
	s.ctx = ctx
	switch m := ctx.Message().(type) {
	case *actor.Started:
		root, self := ctx.ActorSystem().Root, ctx.Self()
		s.tell = func(m any) { root.Send(self, m) }
		s.handle(evStart{})
	case *Drain:
		s.inc.node.set(s.inc.gen, stateStopping)
		s.handle(evStop{})
	case childUp:
		s.handle(evUp{m.inc.key, m.inc.gen})
	case childEnding:
		s.handle(evEnding{m.inc.key, m.inc.gen, m.exit})
	case childDown:
		s.handle(evExit{m.inc.key, m.inc.gen, m.exit})
	case timerFired:
		s.fired(m)
	case *request:
		s.requested(m)
	case *actor.Stopping:
		s.orphan()
	}
}

// timerFired is what a timer sends; inc is the child's at the time it was armed.
type timerFired struct {
	evTimer
	inc *incarnation
}

func (s *supervisor) fired(m timerFired) {
	// A child whose end is already in the mailbox is not abandoned.
	if p, found := s.m.find(m.i); found && m.inc.phase.Load() == incDown && s.m.kids[p].phase.alive() {
		return
	}
	s.handle(m.evTimer)
}

// handle has the machine decide and carries it out. A spawn that fails at once
// is an event in turn, handled after the actions it is among.
func (s *supervisor) handle(ev event) {
	for pending := []event{ev}; len(pending) > 0; pending = pending[1:] {
		for _, a := range s.m.step(pending[0], time.Now()) {
			if next := s.act(a); next != nil {
				pending = append(pending, next)
			}
		}
	}
	s.show()
	for _, a := range s.replies { // after that, so that the asker sees what he asked for
		s.reply(a.req, a.err)
	}
	s.replies = s.replies[:0]
}

func (s *supervisor) act(a action) event {
	switch a := a.(type) {
	case actSpawn:
		return s.spawn(a)
	case actUp:
		s.up(a)
	case actStop:
		s.node(a.i).set(a.gen, stateStopping)
		s.sys.stop(s.kids[a.i].pid, s.kids[a.i].inc)
	case actEnding:
		s.node(a.i).set(a.gen, stateStopping)
	case actKill:
		s.kill(a)
	case actAbandon:
		k := s.kids[a.i]
		k.abandoned = s.sys.abandon(k.pid, k.inc)
	case actExit:
		s.exited(a)
	case actBackoff:
		s.backoff(a)
	case actDown:
		n := s.node(a.i)
		n.parked.Store(false)
		n.set(a.gen, stateDown)
	case actTimer:
		s.arm(a)
	case actCount:
		s.inc.node.restarts.Load().add(time.Now())
	case actReady:
		s.inc.node.set(s.inc.gen, stateUp)
		s.inc.tell(childUp{s.inc})
	case actAdd:
		s.kids[a.i] = &running{node: a.node}
		s.changed = true
		s.report(a.node, Event{Type: EventAdded})
	case actRemove:
		s.remove(a.i)
	case actReply:
		s.replies = append(s.replies, a)
	case actGiveUp:
		s.giveUp(a.err)
	case actFinish:
		s.finish(a.err)
	}
	return nil
}

func (s *supervisor) node(i int) *node { return s.kids[i].node }

func (s *supervisor) spawn(a actSpawn) event {
	n := s.node(a.i)
	inc := &incarnation{node: n, gen: a.gen, key: a.i, tell: s.tell}
	if n.spec.Supervisor != nil {
		inc.gone = make(chan struct{})
	}
	pid, err := s.sys.spawn(inc)
	*s.kids[a.i] = running{node: n, inc: inc, pid: pid}
	if err != nil {
		inc.over(incDown)
		return evExit{a.i, a.gen, Exit{Reason: Abnormal, Err: fmt.Errorf("start: %w", err)}}
	}
	return nil
}

func (s *supervisor) up(a actUp) {
	k := s.kids[a.i]
	n := k.node
	if k.timer != nil {
		k.timer.Stop()
	}
	n.set(a.gen, stateUp)
	s.report(n, Event{Type: EventStarted, Generation: a.gen})
	if n.spec.Up != nil {
		s.call(n, func() { n.spec.Up(k.pid, a.gen) })
	}
}

func (s *supervisor) kill(a actKill) {
	k := s.kids[a.i]
	s.report(k.node, Event{Type: EventKilled, Generation: a.gen})
	s.call(k.node, func() { k.node.spec.Kill(k.pid, a.gen) })
}

// exited records and logs the end of an incarnation and tells the child's owner.
func (s *supervisor) exited(a actExit) {
	k := s.kids[a.i]
	n := k.node
	if k.timer != nil {
		k.timer.Stop()
	}
	a.exit.Abandoned = k.abandoned // false if it ended just as its time was up
	n.set(a.gen, endState(a.exit))
	n.parked.Store(a.exit.Parked)
	if a.exit.Err != nil {
		n.failures.Add(1)
		n.fail(a.exit.Err)
	}
	s.report(n, Event{Type: endEvent(a.exit), Generation: a.gen, Reason: a.exit.Reason.String(), Err: a.exit.Err})
	if n.spec.Down != nil && k.pid != nil {
		s.call(n, func() { n.spec.Down(a.exit) })
	}
}

func endState(e Exit) state {
	switch {
	case e.Abandoned:
		return stateAbandoned
	case e.Err != nil:
		return stateFailed
	default:
		return stateDown
	}
}

func endEvent(e Exit) EventType {
	switch {
	case e.Abandoned:
		return EventAbandoned
	case e.Parked:
		return EventParked
	case e.Reason == Abnormal:
		return EventFailed
	default:
		return EventEnded
	}
}

func (s *supervisor) backoff(a actBackoff) {
	n := s.node(a.i)
	if a.delay > 0 {
		n.until.Store(time.Now().Add(a.delay).UnixNano())
		n.set(a.gen, stateBackoff)
	}
	s.report(n, Event{Type: EventBackoff, Generation: a.gen, Delay: a.delay})
}

func (s *supervisor) arm(a actTimer) {
	t := &s.plan
	m := timerFired{evTimer: evTimer{a.i, a.token}}
	if a.i >= 0 {
		t, m.inc = &s.kids[a.i].timer, s.kids[a.i].inc
	}
	if *t != nil {
		(*t).Stop()
	}
	*t = time.AfterFunc(a.d, func() { s.tell(m) })
}

func (s *supervisor) giveUp(err *ExhaustedError) {
	s.inc.node.set(s.inc.gen, stateStopping)
	s.inc.node.fail(err)
	s.report(s.inc.node, Event{Type: EventGaveUp, Generation: s.inc.gen, Err: err})
}

func (s *supervisor) finish(err *ExhaustedError) {
	exit := Exit{Reason: Shutdown}
	if err != nil {
		exit.Err = err
	}
	s.inc.node.set(s.inc.gen, endState(exit))
	quitWith(s.ctx, exit)
}

// orphan stops the timers and, for a supervisor that failed itself, the children
// without waiting for them.
func (s *supervisor) orphan() {
	if s.plan != nil {
		s.plan.Stop()
	}
	for _, kid := range slices.Backward(s.m.kids) {
		k := s.kids[kid.key]
		if k.timer != nil {
			k.timer.Stop()
		}
		if k.pid != nil && kid.phase.alive() {
			s.sys.stop(k.pid, k.inc)
			s.sys.abandon(k.pid, k.inc)
			k.node.set(k.inc.gen, stateAbandoned)
		}
	}
}

// call calls a function of a specification. If it panics, that is a mistake of
// whoever wrote it, and no reason to take down the child's siblings.
func (s *supervisor) call(n *node, fn func()) {
	defer func() {
		if v := recover(); v != nil {
			s.sys.log.Error("callback failed", withStack(caught(v), "actor", n.id)...)
		}
	}()
	fn()
}
