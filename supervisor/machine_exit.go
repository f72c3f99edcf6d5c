package supervisor

import "time"

func (m *machine) onUp(ev evUp, now time.Time) {
	k := m.current(ev.i, ev.gen)
	if k == nil || k.phase != starting {
		return
	}
	k.phase = up
	k.series.Up(now)
	m.do(actUp(ev))
	m.started(ev.i)
}

func (m *machine) onEnding(ev evEnding) {
	k := m.current(ev.i, ev.gen)
	if k == nil || k.phase != starting && k.phase != up {
		return
	}
	k.phase, k.exit = ending, ev.exit
	m.do(actEnding{ev.i, ev.gen})
	d := k.shutdown
	if d == BrutalKill { // nobody has asked it to stop; it may clean up
		d = defaultShutdown
	}
	m.limit(ev.i, d)
}

func (m *machine) onExit(ev evExit, now time.Time) {
	if m.current(ev.i, ev.gen) == nil {
		return
	}
	m.ended(ev.i, ev.exit, now)
}

func (m *machine) onTimer(ev evTimer, now time.Time) {
	if ev.i < 0 {
		if m.plan.step == pause && m.plan.token == ev.token {
			m.startFrom(m.plan.from)
		}
		return
	}
	k := &m.kids[ev.i]
	if k.token != ev.token {
		return
	}
	switch k.phase {
	case stopping, ending:
		exit := Exit{Reason: Shutdown}
		if k.phase == ending {
			exit = k.exit
		}
		exit.Abandoned = true
		m.do(actAbandon{ev.i, k.gen})
		m.ended(ev.i, exit, now)
	case waiting:
		m.spawn(ev.i)
	case idle, gone, starting, up: // nothing waits for a timer
	}
}

// ended is called when an incarnation has ended or was abandoned.
func (m *machine) ended(i int, exit Exit, now time.Time) {
	k := &m.kids[i]
	asked := m.asked(i)
	m.exited(i, exit)
	wasStarting := m.plan.step == startAll && m.plan.cursor == i
	m.down(k)
	switch {
	case asked:
		m.stopNext()
	case k.needsRestart(exit.Reason):
		exit.ID, exit.Generation = k.id, k.gen
		m.restart(i, exit, now)
	case wasStarting: // like OTP's ignore: the others start without it
		m.started(i)
	}
}

func (k *kid) needsRestart(r Reason) bool {
	return k.restart == Permanent || k.restart == Transient && r == Abnormal
}

// restart is called for a child that has ended and is to be started again.
func (m *machine) restart(i int, exit Exit, now time.Time) {
	if !m.win.Add(now) {
		m.end(&ExhaustedError{Supervisor: m.id, Intensity: m.spec.Intensity, Period: m.spec.Period, Last: exit})
		return
	}
	delay := m.kids[i].series.Next(now, m.rnd())
	if m.spec.Strategy == OneForOne {
		m.backoff(i, delay)
		if delay == 0 {
			m.spawn(i)
			return
		}
		m.kids[i].phase = waiting
		m.arm(i, delay)
		return
	}
	from := i
	if m.spec.Strategy == OneForAll {
		from = 0
	}
	if m.plan.step == stopAll || m.plan.step == pause { // an older failure waits as well
		delay = max(delay, m.plan.delay)
	}
	m.stopFrom(from, i, delay)
}

// end stops all children for good: as asked, or because of err. What came
// first is the reason.
func (m *machine) end(err *ExhaustedError) {
	if m.ending {
		return
	}
	m.ending, m.gaveUp = true, err
	if err != nil {
		m.do(actGiveUp{err})
	}
	m.stopFrom(0, 0, 0)
}
