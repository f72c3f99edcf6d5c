package supervisor

import (
	"cmp"
	"errors"
	"slices"
)

// What operators ask for. Nothing of it is counted as a restart, and nothing
// waits for a backoff.

var (
	errStopping  = errors.New("its supervisor is stopping")
	errHeld      = errors.New("it was terminated")
	errRestarted = errors.New("it was restarted")
	errNoChild   = errors.New("it is no longer there")
)

// pending is a request under way.
type pending struct {
	left int   // what it waits for
	err  error // the first
}

// request opens a request, which keeps it from being answered too early.
func (m *machine) request(req int) { m.pending[req] = &pending{left: 1} }

// done takes one of the things off that a request waits for.
func (m *machine) done(req int, err error) {
	p := m.pending[req]
	if p.err == nil {
		p.err = err
	}
	if p.left--; p.left == 0 {
		delete(m.pending, req)
		m.do(actReply{req, p.err})
	}
}

// waiter is a request that waits for a child to be up or down, in generation gen
// or a later one.
type waiter struct {
	req  int
	goal phase // up, or over for not running
	gen  int
}

// await has a request wait for a child.
func (m *machine) await(k *kid, req int, goal phase, gen int) {
	m.pending[req].left++
	k.waiters = append(k.waiters, waiter{req, goal, gen})
}

// met answers those who wait for a child to get where it is now, or to know why
// it does not.
func (m *machine) met(k *kid, goal phase, err error) {
	m.answer(k, err, func(w waiter) bool { return w.goal == goal && w.gen <= k.gen })
}

// fail answers all who wait for a child to be up.
func (m *machine) fail(k *kid, err error) {
	m.answer(k, err, func(w waiter) bool { return w.goal == up })
}

func (m *machine) answer(k *kid, err error, which func(waiter) bool) {
	if len(k.waiters) == 0 {
		return
	}
	rest := k.waiters[:0]
	for _, w := range k.waiters {
		if which(w) {
			m.done(w.req, err)
		} else {
			rest = append(rest, w)
		}
	}
	k.waiters = rest
}

// on carries out a request about a child, if that can be done.
func (m *machine) on(req, key int, f func(p int)) {
	m.request(req)
	p, found := m.find(key)
	switch {
	case m.ending:
		m.done(req, errStopping)
	case !found || m.kids[p].forget:
		m.done(req, errNoChild)
	default:
		f(p)
		m.done(req, nil)
	}
}

// onAdd adds children after all others, and starts each in its turn.
func (m *machine) onAdd(ev evAdd) {
	m.request(ev.req)
	if m.ending {
		m.done(ev.req, errStopping)
		return
	}
	for _, n := range ev.kids {
		k := m.add(n)
		// An operator who adds one child wants it or an error. One who scales wants
		// that many: those that fail are restarted like any others.
		k.fresh = m.spec.Strategy != Dynamic
		m.do(actAdd{k.key, n})
		m.await(k, ev.req, up, k.gen+1)
		if m.plan.step == none {
			m.begin(len(m.kids) - 1)
		}
	}
	m.done(ev.req, nil)
}

func (m *machine) onTerminate(ev evTerminate) {
	m.on(ev.req, ev.i, func(p int) {
		m.await(m.kids[p], ev.req, over, 0)
		m.terminate(p, ev.remove || m.spec.Strategy == Dynamic)
	})
}

// terminate has a child end and stay down.
func (m *machine) terminate(p int, remove bool) {
	k := m.kids[p]
	k.again, k.hold, k.forget = false, true, remove
	m.fail(k, errHeld)
	if !k.phase.alive() {
		m.do(actDown{k.key, k.gen})
		m.held(p)
		return
	}
	m.ask(p)
}

// held is called when a terminated child is down.
func (m *machine) held(p int) {
	k := m.kids[p]
	if k.restart == Temporary || k.phase == gone {
		m.to(k, gone)
	} else {
		m.to(k, over)
	}
	k.hold, k.fresh, k.ever = false, false, true
	if k.forget {
		m.remove(p)
	}
	m.met(k, over, nil)
}

// onShrink removes the children with the highest slots.
func (m *machine) onShrink(ev evShrink) {
	m.request(ev.req)
	if m.ending {
		m.done(ev.req, errStopping)
		return
	}
	slots := m.slots()
	for _, k := range slots[min(max(ev.size, 0), len(slots)):] {
		p, _ := m.find(k.key)
		m.await(k, ev.req, over, 0)
		m.terminate(p, true)
	}
	m.done(ev.req, nil)
}

// slots are the children of a dynamic supervisor in the order of their slots,
// without those that are on their way out.
func (m *machine) slots() []*kid {
	kids := slices.DeleteFunc(slices.Clone(m.kids), func(k *kid) bool { return k.forget })
	slices.SortFunc(kids, func(a, b *kid) int { return cmp.Compare(a.slot, b.slot) })
	return kids
}

// free are the lowest n slots that no child has.
func (m *machine) free(n int) []int {
	taken := make(map[int]bool, len(m.kids))
	for _, k := range m.kids {
		taken[k.slot] = true
	}
	free := make([]int, 0, n)
	for slot := 1; len(free) < n; slot++ {
		if !taken[slot] {
			free = append(free, slot)
		}
	}
	return free
}

// onRestart does to a running child what its failure would, so that whoever
// depends on it is restarted with it. One that is not running is started alone.
func (m *machine) onRestart(ev evRestart) {
	m.on(ev.req, ev.i, func(p int) {
		k := m.kids[p]
		m.met(k, over, errRestarted)
		k.hold = false
		k.series.Reset()
		m.await(k, ev.req, up, k.gen+1)
		switch {
		case k.phase.alive():
			m.restartLive(p)
		case k.phase != queued:
			m.restartDead(p)
		}
	})
}

func (m *machine) restartLive(p int) {
	switch k := m.kids[p]; {
	case m.each():
		k.again = true
		m.ask(p)
	case m.planned(p):
		m.plan.delay = 0
	default:
		m.stopFrom(m.group(p), k.key, 0)
	}
}

func (m *machine) restartDead(p int) {
	k := m.kids[p]
	switch {
	case m.plan.step == pause && p >= m.plan.from:
		m.to(k, idle)
		m.startFrom(m.plan.from)
	case m.planned(p):
		m.plan.delay = 0
		m.to(k, idle)
	case m.plan.step == startAll && p >= m.plan.cursor && k.phase != waiting:
		m.to(k, idle) // the plan starts it in its turn
	default:
		m.begin(p)
	}
}
