package supervisor

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// supervisor is the actor around a machine: it turns messages into events and
// actions into calls. It decides nothing.
type supervisor struct {
	sys  *System
	inc  *incarnation // its own
	m    *machine
	kids []running
	tell func(any) // given to the children
	ctx  actor.Context
	plan *time.Timer // the plan's backoff
}

// running is the current incarnation of a child.
type running struct {
	inc   *incarnation
	pid   *actor.PID
	timer *time.Timer

	abandoned bool
}

func newSupervisor(s *System, inc *incarnation) *supervisor {
	return &supervisor{sys: s, inc: inc, m: newMachine(inc.node, rand.Float64), kids: make([]running, len(inc.node.children))}
}

// Drains makes it a Drainer: it ends when its children have.
func (s *supervisor) Drains() {}

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
		s.handle(evUp{m.inc.index, m.inc.gen})
	case childEnding:
		s.handle(evEnding{m.inc.index, m.inc.gen, m.exit})
	case childDown:
		s.handle(evExit{m.inc.index, m.inc.gen, m.exit})
	case timerFired:
		s.fired(m)
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
	if m.inc != nil && m.inc.phase.Load() == incDown && s.m.kids[m.i].phase.alive() {
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
	case actAbandon:
		k := &s.kids[a.i]
		k.abandoned = s.sys.abandon(k.pid, k.inc)
	case actExit:
		s.exited(a)
	case actBackoff:
		s.backoff(a)
	case actTimer:
		s.arm(a)
	case actReady:
		s.inc.node.set(s.inc.gen, stateUp)
		s.inc.tell(childUp{s.inc})
	case actGiveUp:
		s.giveUp(a.err)
	case actFinish:
		s.finish(a.err)
	}
	return nil
}

func (s *supervisor) node(i int) *node { return s.inc.node.children[i] }

func (s *supervisor) spawn(a actSpawn) event {
	n := s.node(a.i)
	inc := &incarnation{node: n, gen: a.gen, index: a.i, tell: s.tell}
	pid, err := s.sys.spawn(inc)
	s.kids[a.i] = running{inc: inc, pid: pid}
	if err != nil {
		inc.phase.Store(incDown)
		return evExit{a.i, a.gen, Exit{Reason: Abnormal, Err: fmt.Errorf("start: %w", err)}}
	}
	return nil
}

func (s *supervisor) up(a actUp) {
	n := s.node(a.i)
	n.set(a.gen, stateUp)
	s.sys.log.Debug("child started", "actor", n.id, "generation", a.gen)
	if n.spec.Up != nil {
		s.call(n, func() { n.spec.Up(s.kids[a.i].pid, a.gen) })
	}
}

// exited records and logs the end of an incarnation and tells the child's owner.
func (s *supervisor) exited(a actExit) {
	n, k := s.node(a.i), &s.kids[a.i]
	if k.timer != nil {
		k.timer.Stop()
	}
	a.exit.Abandoned = k.abandoned // false if it ended just as its time was up
	n.set(a.gen, endState(a.exit))
	if a.exit.Err != nil {
		n.fail(a.exit.Err)
	}
	s.logExit(n, a)
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

func (s *supervisor) logExit(n *node, a actExit) {
	attrs := withStack(a.exit.Err, "actor", n.id, "generation", a.gen)
	switch {
	case a.exit.Abandoned && n.spec.Shutdown != BrutalKill:
		s.sys.log.Error("child abandoned: it did not stop in time and may still run", attrs...)
	case a.exit.Reason == Abnormal:
		s.sys.log.Error("child failed", attrs...)
	default:
		s.sys.log.Debug("child ended", append(attrs, "reason", a.exit.Reason.String())...)
	}
}

// withStack adds an error, and its stack if it has one, to a log's attributes.
func withStack(err error, attrs ...any) []any {
	if err == nil {
		return attrs
	}
	attrs = append(attrs, "err", err)
	if p, ok := errors.AsType[*PanicError](err); ok {
		attrs = append(attrs, "stack", string(p.Stack))
	}
	return attrs
}

func (s *supervisor) backoff(a actBackoff) {
	n := s.node(a.i)
	if a.delay > 0 {
		n.set(a.gen, stateBackoff)
	}
	s.sys.log.Warn("child will be restarted", "actor", n.id, "generation", a.gen, "restart_in", a.delay)
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
	s.sys.log.Error("supervisor gave up", "actor", s.inc.node.id, "generation", s.inc.gen, "err", err)
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
	for i := len(s.kids) - 1; i >= 0; i-- {
		k := &s.kids[i]
		if k.timer != nil {
			k.timer.Stop()
		}
		if k.pid != nil && s.m.kids[i].phase.alive() {
			s.sys.stop(k.pid, k.inc)
			s.sys.abandon(k.pid, k.inc)
			s.node(i).set(k.inc.gen, stateAbandoned)
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
