package supervisor

import (
	"slices"
	"time"
)

// advance goes on with the plan as far as it can. It is called after each event,
// whatever that changed.
func (m *machine) advance() {
	if m.plan.step == stopAll {
		m.stopNext()
	}
	if m.plan.step == startAll {
		m.startNext()
	}
	m.startQueued()
}

// startFrom begins to start the children from p on, each after the one before
// it is up. Those of a dynamic supervisor are started together, and nothing waits
// for them: docs/adr/0016.
func (m *machine) startFrom(p int) {
	if m.spec.Strategy != Dynamic {
		m.plan = plan{step: startAll, from: p, cursor: p}
		return
	}
	for p := range m.kids {
		m.begin(p)
	}
	m.allUp()
}

// startNext starts the next child and waits for it.
func (m *machine) startNext() {
	for ; m.plan.cursor < len(m.kids); m.plan.cursor++ {
		switch m.kids[m.plan.cursor].phase {
		case idle:
			m.spawn(m.plan.cursor)
			return
		case starting, ending, stopping, waiting, queued:
			return
		case up, over, gone:
		}
	}
	m.plan = plan{}
	m.allUp()
}

func (m *machine) allUp() {
	if !m.ready {
		m.ready = true
		m.do(actReady{})
	}
}

// begin starts a child that is not running, now or when there is room.
func (m *machine) begin(p int) {
	if m.spec.Strategy != Dynamic {
		m.spawn(p)
		return
	}
	m.to(m.kids[p], queued)
	m.queue = append(m.queue, m.kids[p].key)
}

// startQueued starts the children of a dynamic supervisor that there is room for.
func (m *machine) startQueued() {
	if m.spec.Strategy != Dynamic || m.ending {
		return
	}
	for len(m.queue) > 0 && m.breaker.Allows(m.starting) {
		p, found := m.find(m.queue[0])
		m.queue = m.queue[1:]
		if found && m.kids[p].phase == queued {
			m.spawn(p)
		}
	}
}

func (m *machine) spawn(p int) {
	k := m.kids[p]
	k.gen++
	m.to(k, starting)
	m.do(actSpawn{k.key, k.gen})
	if k.startTimeout > 0 {
		m.arm(k, k.startTimeout)
	}
}

// stopFrom begins to stop the children from p on; what comes then depends on
// m.ending and delay.
func (m *machine) stopFrom(p, cause int, delay time.Duration) {
	m.plan = plan{step: stopAll, from: p, cursor: len(m.kids) - 1, cause: cause, delay: delay}
	for j := len(m.kids) - 1; j >= p; j-- {
		switch k := m.kids[j]; k.phase {
		case waiting, queued: // its turn may come long after its backoff, or never
			m.do(actDown{k.key, k.gen})
			m.to(k, idle)
		case over:
			m.to(k, idle)
		default:
			if m.spec.Parallel {
				m.ask(j)
			}
		}
	}
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
	if m.ending {
		m.plan = plan{}
		m.do(actFinish{m.gaveUp})
		return
	}
	if p, found := m.find(m.plan.cause); found {
		m.backoff(m.kids[p], m.plan.delay)
	}
	if m.plan.delay > 0 {
		m.plan.step = pause
		m.arm(nil, m.plan.delay)
		return
	}
	m.startFrom(m.plan.from)
}

func (m *machine) backoff(k *kid, delay time.Duration) {
	m.do(actBackoff{k.key, k.gen, delay})
}

// ask asks a child to stop that is starting or up; one that is ending anyway is
// left to it.
func (m *machine) ask(p int) {
	k := m.kids[p]
	if k.phase != starting && k.phase != up {
		return
	}
	m.to(k, stopping)
	m.do(actStop{k.key, k.gen})
	switch k.shutdown {
	case Infinity:
	case BrutalKill:
		m.hangs(p)
	default:
		m.arm(k, k.shutdown)
	}
}

// planned reports whether the plan wants child p down, so that its end needs no
// other answer.
func (m *machine) planned(p int) bool { return m.plan.step == stopAll && p >= m.plan.from }

// down is called for a child that ended as the plan wants it. A temporary child
// does not come back, whatever the reason.
func (m *machine) down(k *kid) {
	m.to(k, idle)
	if k.restart == Temporary {
		m.to(k, gone)
		m.fail(k, errHeld)
	}
}

// remove forgets a child that is not running.
func (m *machine) remove(p int) {
	k := m.kids[p]
	m.to(k, gone)
	m.do(actRemove{k.key})
	m.kids = slices.Delete(m.kids, p, p+1)
	if p < m.plan.from {
		m.plan.from--
	}
	if p < m.plan.cursor || p == m.plan.cursor && m.plan.step == stopAll {
		m.plan.cursor--
	}
}
