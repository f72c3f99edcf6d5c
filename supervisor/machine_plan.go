package supervisor

import "time"

// startFrom begins to start the children from i on, each after the one before
// it is up.
func (m *machine) startFrom(i int) {
	m.plan = plan{step: startAll, from: i, cursor: i}
	m.startNext()
}

func (m *machine) startNext() {
	for ; m.plan.cursor < len(m.kids); m.plan.cursor++ {
		if m.kids[m.plan.cursor].phase == idle {
			m.spawn(m.plan.cursor)
			return
		}
	}
	m.plan = plan{}
	if !m.ready {
		m.ready = true
		m.do(actReady{})
	}
}

func (m *machine) spawn(i int) {
	k := &m.kids[i]
	k.gen++
	k.phase, k.token = starting, 0
	m.do(actSpawn{i, k.gen})
}

// started goes on with the start after child i, if it was waiting for that one.
func (m *machine) started(i int) {
	if m.plan.step == startAll && m.plan.cursor == i {
		m.plan.cursor++
		m.startNext()
	}
}

// stopFrom begins to stop the children from i on; what comes then depends on
// m.ending and delay.
func (m *machine) stopFrom(i, cause int, delay time.Duration) {
	m.plan = plan{step: stopAll, from: i, cursor: len(m.kids) - 1, cause: cause, delay: delay}
	for j := len(m.kids) - 1; j >= i; j-- {
		if k := &m.kids[j]; k.phase == waiting {
			k.phase, k.token = idle, 0 // its turn may come long after its backoff
		}
		if m.spec.Parallel {
			m.ask(j)
		}
	}
	m.stopNext()
}

// stopNext stops the last child that is still alive, unless it has been asked
// already. Once none is left it goes on to the plan's next step.
func (m *machine) stopNext() {
	for ; m.plan.cursor >= m.plan.from; m.plan.cursor-- {
		m.ask(m.plan.cursor)
		if m.kids[m.plan.cursor].phase.alive() {
			return
		}
	}
	switch {
	case m.ending:
		m.plan = plan{}
		m.do(actFinish{m.gaveUp})
	case m.plan.delay > 0:
		m.plan.step = pause
		m.backoff(m.plan.cause, m.plan.delay)
		m.arm(-1, m.plan.delay)
	default:
		m.backoff(m.plan.cause, 0)
		m.startFrom(m.plan.from)
	}
}

func (m *machine) backoff(i int, delay time.Duration) {
	m.do(actBackoff{i, m.kids[i].gen, delay})
}

// ask asks a child to stop that is starting or up; one that is ending anyway is
// left to it.
func (m *machine) ask(i int) {
	k := &m.kids[i]
	if k.phase == starting || k.phase == up {
		k.phase = stopping
		m.do(actStop{i, k.gen})
		m.limit(i, k.shutdown)
	}
}

// limit bounds how long a child may take to end.
func (m *machine) limit(i int, d time.Duration) {
	switch k := &m.kids[i]; d {
	case Infinity:
	case BrutalKill:
		m.do(actAbandon{i, k.gen})
		m.exited(i, Exit{Reason: Shutdown, Abandoned: true})
		m.down(k)
	default:
		m.arm(i, d)
	}
}

// exited reports the end of a child's incarnation.
func (m *machine) exited(i int, exit Exit) {
	k := &m.kids[i]
	exit.ID, exit.Generation = k.id, k.gen
	m.do(actExit{i, k.gen, exit, !m.asked(i)})
}

// asked says whether the end of child i was asked for, or no longer matters
// because it is about to be.
func (m *machine) asked(i int) bool {
	return m.kids[i].phase == stopping || m.plan.step == stopAll && i >= m.plan.from
}

// down is the state of a child that was stopped by us. A temporary child does
// not come back, whatever the reason.
func (m *machine) down(k *kid) {
	k.phase, k.token, k.exit = idle, 0, Exit{}
	if k.restart == Temporary {
		k.phase = gone
	}
}
