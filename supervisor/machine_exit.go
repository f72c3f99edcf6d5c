package supervisor

import (
	"errors"
	"fmt"
)

func (m *machine) onUp(ev evUp) {
	p, found := m.current(ev.i, ev.gen)
	if !found || m.kids[p].phase != starting {
		return
	}
	k := m.kids[p]
	m.to(k, up)
	k.ever, k.fresh = true, false
	k.series.Up(m.now)
	m.breaker.Succeeded()
	m.do(actUp(ev))
	m.met(k, up, nil)
}

func (m *machine) onEnding(ev evEnding) {
	p, found := m.current(ev.i, ev.gen)
	if !found || m.kids[p].phase != starting && m.kids[p].phase != up {
		return
	}
	m.kids[p].exit = ev.exit
	m.do(actEnding{ev.i, ev.gen})
	m.endsByItself(p)
}

// endsByItself bounds how long a child may take that was not asked to stop.
func (m *machine) endsByItself(p int) {
	k := m.kids[p]
	m.to(k, ending)
	d := k.shutdown
	if d == BrutalKill { // nobody has asked it to stop; it may clean up
		d = defaultShutdown
	}
	if d != Infinity {
		m.arm(k, d)
	}
}

func (m *machine) onExit(ev evExit) {
	if p, found := m.current(ev.i, ev.gen); found {
		m.ended(p, ev.exit)
	}
}

func (m *machine) onTimer(ev evTimer) {
	if ev.i < 0 {
		if m.plan.step == pause && m.plan.token == ev.token {
			m.startFrom(m.plan.from)
		}
		return
	}
	p, found := m.find(ev.i)
	if !found || m.kids[p].token != ev.token {
		return
	}
	switch k := m.kids[p]; k.phase {
	case starting:
		m.tooLate(p)
	case stopping, ending:
		m.hangs(p)
	case waiting:
		m.begin(p)
	case idle, over, gone, queued, up: // nothing waits for a timer
	}
}

// tooLate ends a child that was not up within its start timeout. That it was
// asked to stop then does not make it any less a failure.
func (m *machine) tooLate(p int) {
	k := m.kids[p]
	m.do(actStop{k.key, k.gen})
	k.late = true
	k.exit = Exit{Reason: Abnormal, Err: fmt.Errorf("start: not up within %v", k.startTimeout)}
	m.endsByItself(p)
}

// hangs is called when a child has not ended in time.
func (m *machine) hangs(p int) {
	k := m.kids[p]
	if k.kills && !k.killed {
		k.killed = true
		m.do(actKill{k.key, k.gen})
		m.arm(k, killTime)
		return
	}
	exit := Exit{Reason: Shutdown}
	if k.phase == ending {
		exit = k.exit
	}
	exit.Abandoned = true
	m.do(actAbandon{k.key, k.gen})
	m.ended(p, exit)
}

// ended is called when an incarnation has ended or was abandoned.
func (m *machine) ended(p int, exit Exit) {
	k := m.kids[p]
	if k.late && k.phase == ending {
		exit.Reason, exit.Err = k.exit.Reason, k.exit.Err
	}
	exit.ID, exit.Generation = k.id, k.gen
	early := k.isStarting()
	if early && exit.Reason == Abnormal {
		m.breaker.Failed()
	}
	asked, planned := k.phase == stopping, m.planned(p)
	_, exhausted := errors.AsType[*ExhaustedError](exit.Err)
	exit.Parked = k.parks && exhausted && !asked && !planned
	m.do(actExit{k.key, k.gen, exit, !asked && !planned})
	k.exit, k.late, k.killed = Exit{}, false, false
	switch {
	case k.hold:
		m.held(p)
	case planned || asked && !k.again:
		m.down(k)
	case k.again:
		k.again = false
		m.begin(p)
	case k.fresh && early && exit.Reason == Abnormal:
		m.failedStart(k, exit)
		m.remove(p)
	case exit.Parked:
		m.to(k, gone)
		k.ever = true
		m.failedStart(k, exit)
	case k.needsRestart(exit.Reason):
		m.failedStart(k, exit)
		m.restart(p, exit)
	default:
		m.endedForGood(p, exit)
	}
}

// failedStart tells those who wait for a child to be up that it has failed.
func (m *machine) failedStart(k *kid, exit Exit) {
	switch {
	case len(k.waiters) == 0: // as good as always
	case exit.Err == nil:
		m.met(k, up, fmt.Errorf("%s ended: %v", exit.ID, exit.Reason))
	default:
		m.met(k, up, fmt.Errorf("%s: %w", exit.ID, exit.Err))
	}
}

func (k *kid) needsRestart(r Reason) bool {
	return k.restart == Permanent || k.restart == Transient && r == Abnormal
}

// endedForGood is called for a child that has ended of its own accord and is not
// restarted. Like OTP's ignore: the others start without it.
func (m *machine) endedForGood(p int, exit Exit) {
	k := m.kids[p]
	m.to(k, over)
	if k.restart == Temporary {
		m.to(k, gone)
	}
	k.ever, k.fresh = true, false
	if exit.Reason == Abnormal {
		m.failedStart(k, exit)
	} else {
		m.met(k, up, nil)
	}
	significant := k.significant
	if m.spec.Strategy == Dynamic {
		m.remove(p)
	}
	if significant && (m.spec.AutoShutdown == AnySignificant || m.spec.AutoShutdown == AllSignificant && !m.significantLeft()) {
		m.end(nil)
	}
}

// significantLeft reports whether a significant child is active or will be.
func (m *machine) significantLeft() bool {
	for _, k := range m.kids {
		if k.significant && k.phase != over && k.phase != gone {
			return true
		}
	}
	return false
}

// restart is called for a child that has ended and is to be started again.
func (m *machine) restart(p int, exit Exit) {
	k := m.kids[p]
	m.to(k, idle)
	_, exhausted := errors.AsType[*ExhaustedError](exit.Err)
	toppled := k.topples && exhausted
	if toppled || fatal(exit.Err) || !m.win.Add(m.now) {
		m.end(&ExhaustedError{Supervisor: m.id, Intensity: m.spec.Intensity, Period: m.spec.Period, Last: exit, Toppled: toppled})
		return
	}
	m.do(actCount{})
	delay := k.series.Next(m.now, m.rnd())
	if m.each() {
		m.backoff(k, delay)
		if delay == 0 {
			m.begin(p)
			return
		}
		m.to(k, waiting)
		m.arm(k, delay)
		return
	}
	if m.plan.step == stopAll || m.plan.step == pause { // an older failure waits as well
		delay = max(delay, m.plan.delay)
	}
	m.stopFrom(m.group(p), k.key, delay)
}

// group is the first of those that are restarted with child p.
func (m *machine) group(p int) int {
	if m.spec.Strategy == OneForAll {
		return 0
	}
	return p
}

// end stops all children for good: as asked, because the significant ones have
// ended, or because of err. What came first is the reason.
func (m *machine) end(err *ExhaustedError) {
	if m.ending {
		return
	}
	m.ending, m.gaveUp, m.queue = true, err, nil
	if err != nil {
		m.do(actGiveUp{err})
	}
	for _, k := range m.kids {
		m.fail(k, errStopping)
		if m.plan.step == pause && k.key == m.plan.cause {
			m.do(actDown{k.key, k.gen})
		}
	}
	m.stopFrom(0, 0, 0)
}
