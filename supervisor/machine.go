package supervisor

import (
	"cmp"
	"runtime"
	"slices"
	"time"

	"github.com/magne-actors/magne-actors/internal/restart"
)

// machine is the whole of what a supervisor decides, as a function of its state,
// an event and the time. It knows no actor, timer or clock; whoever drives it
// carries out the actions in the order in which they come.
//
// At any time at most one plan is under way: children are stopped from the last
// to the first, then perhaps a backoff, then they are started from the first to
// the last. The start of the tree, the restart of a group and the stop of
// everything are such plans. Under one_for_one a failed child goes through
// backoff and start by itself, beside the plan; a dynamic supervisor has a plan
// only for its own end.
//
// Outside, a child is known by its key, which it keeps; inside, by its position
// p in kids, which changes when a child before it is removed.
type machine struct {
	id   string
	spec Spec   // with defaults
	kids []*kid // in start order, and so by key
	keys int    // the next child's key
	win  *restart.Window
	rnd  func() float64 // in [0, 1)
	now  time.Time      // of the event

	plan    plan
	token   int // the last one given to a timer
	ready   bool
	ending  bool // all children are being stopped for good
	gaveUp  *ExhaustedError
	pending map[int]*pending // operators' requests under way
	out     []action

	// Of a dynamic supervisor:
	breaker  restart.Breaker
	starting int   // how many children are
	queue    []int // keys of those that are to start
}

// kid is what the machine knows of one child.
type kid struct {
	key          int
	slot         int // of a dynamic supervisor: which one it is, counted from 1
	id           string
	restart      Restart
	shutdown     time.Duration
	startTimeout time.Duration
	significant  bool
	parks        bool // when it gives up
	topples      bool // then the supervisor gives up, too
	kills        bool

	series restart.Series
	phase  phase
	gen    int
	token  int  // of its armed timer, 0: none
	exit   Exit // while ending: how
	early  bool // while ending: it had not been up
	late   bool // while ending: it was not up in time
	killed bool
	ever   bool // it was up, or ended for good, once

	// What an operator wants when its incarnation has ended.
	hold    bool // it stays down
	again   bool // it is started at once
	forget  bool // it is removed
	fresh   bool // it was added and has not been up: if it fails it is removed
	waiters []waiter
}

type phase uint8

const (
	idle     phase = iota // not running; the plan starts it
	over                  // not running, and only a restart of its group starts it
	gone                  // not running, and only an operator starts it
	queued                // not running until there is room for one more that starts
	starting              // spawned, not up yet
	up                    // Started was handled; of a supervisor, its children are up
	ending                // it ends of its own accord
	stopping              // it was asked to stop
	waiting               // not running until its backoff is over
)

func (p phase) alive() bool { return p >= starting && p <= stopping }

// plan is a walk over the children from position from on.
type plan struct {
	step   step
	from   int
	cursor int // the child at which the walk is
	cause  int // the key of the child that is the reason
	delay  time.Duration
	token  int
}

type step uint8

const (
	none step = iota
	stopAll
	pause
	startAll
)

// An event is something that happened to the supervisor.
type event interface{ isEvent() }

type (
	evStart struct{}
	// evUp: generation gen of child i is up.
	evUp struct{ i, gen int }
	// evEnding: it has begun to end by itself; evExit follows, unless it hangs.
	evEnding struct {
		i, gen int
		exit   Exit
	}
	evExit struct {
		i, gen int
		exit   Exit
	}
	// evTimer: the timer with that token has fired; i is -1 for the plan's.
	evTimer struct{ i, token int }
	evStop  struct{}

	// What an operator asks for. Each leads to one actReply with the same req,
	// unless the supervisor ends before.
	evAdd struct {
		req  int
		kids []*node
	}
	evTerminate struct {
		req, i int
		remove bool
	}
	evRestart struct{ req, i int }
	evShrink  struct{ req, size int } // the youngest go
)

func (evStart) isEvent()  {}
func (evUp) isEvent()     {}
func (evEnding) isEvent() {}
func (evExit) isEvent()   {}
func (evTimer) isEvent()  {}
func (evStop) isEvent()   {}

func (evAdd) isEvent()       {}
func (evTerminate) isEvent() {}
func (evRestart) isEvent()   {}
func (evShrink) isEvent()    {}

// An action is something that the driver has to do.
type action interface{ isAction() }

type (
	actSpawn struct{ i, gen int }
	actUp    struct{ i, gen int }
	actStop  struct{ i, gen int } // ask it to stop
	// actEnding: it is ending by itself.
	actEnding  struct{ i, gen int }
	actKill    struct{ i, gen int } // end it by force
	actAbandon struct{ i, gen int } // wait for it no longer; actExit follows
	actExit    struct {
		i, gen  int
		exit    Exit
		counted bool // it was not asked for
	}
	actBackoff struct { // child i is restarted in delay
		i, gen int
		delay  time.Duration
	}
	actDown  struct{ i, gen int } // it waits no longer to be restarted, and is down
	actTimer struct {             // send evTimer{i, token} after d; replaces the timer of i
		i, token int
		d        time.Duration
	}
	actCount  struct{} // one more restart within the period
	actReady  struct{} // all children are up for the first time
	actGiveUp struct{ err *ExhaustedError }
	actFinish struct{ err *ExhaustedError } // all are down; nil: as asked
	actAdd    struct {
		i    int // the key from now on
		node *node
	}
	actRemove struct{ i int } // it is not among the children any more
	actReply  struct {
		req int
		err error
	}
)

func (actSpawn) isAction()   {}
func (actUp) isAction()      {}
func (actStop) isAction()    {}
func (actEnding) isAction()  {}
func (actAbandon) isAction() {}
func (actExit) isAction()    {}
func (actBackoff) isAction() {}
func (actTimer) isAction()   {}
func (actReady) isAction()   {}
func (actGiveUp) isAction()  {}
func (actFinish) isAction()  {}
func (actKill) isAction()    {}
func (actCount) isAction()   {}
func (actAdd) isAction()     {}
func (actRemove) isAction()  {}
func (actReply) isAction()   {}
func (actDown) isAction()    {}

// Defaults of a Spec and a Child; intensity and period are OTP's.
const (
	defaultIntensity = 1
	defaultPeriod    = 5 * time.Second
	defaultShutdown  = 5 * time.Second

	// killTime is how long what was killed may take to be gone. A process can
	// hang in the kernel.
	killTime = 5 * time.Second
)

func (s Spec) withDefaults() Spec {
	if s.Intensity == 0 {
		s.Intensity = defaultIntensity
	}
	s.Intensity = max(s.Intensity, 0)
	if s.Period == 0 {
		s.Period = defaultPeriod
	}
	s.Parallel = s.Parallel || s.Strategy == Dynamic
	return s
}

func (c *Child) shutdown() time.Duration {
	switch {
	case c.Shutdown != 0:
		return c.Shutdown
	case c.Supervisor != nil:
		return Infinity
	default:
		return defaultShutdown
	}
}

// newMachine makes the machine of a supervisor, with the children's keys from 0.
// Their generations go on from the nodes', so that they are unique for the life
// of the tree.
func newMachine(n *node, rnd func() float64) *machine {
	spec := n.spec.Supervisor.withDefaults()
	if spec.MaxStarting == 0 {
		spec.MaxStarting = runtime.GOMAXPROCS(0)
	}
	m := &machine{
		id: n.id, spec: spec, rnd: rnd,
		win:     restart.NewWindow(spec.Intensity, spec.Period),
		breaker: restart.Breaker{Limit: spec.MaxStarting},
		pending: make(map[int]*pending),
	}
	for _, c := range n.kids() {
		m.add(c)
	}
	return m
}

func (m *machine) add(n *node) *kid {
	c := n.spec
	k := &kid{
		key: m.keys, slot: n.slot, id: c.ID, gen: n.generation(),
		restart: c.Restart, shutdown: c.shutdown(), startTimeout: c.StartTimeout, significant: c.Significant,
		parks:   c.Supervisor != nil && c.Supervisor.OnExhausted == Park,
		topples: c.Supervisor != nil && c.Supervisor.OnExhausted == EscalateAtOnce,
		kills:   c.Kill != nil,
		series:  restart.Series{Backoff: restart.Backoff(m.spec.Backoff)},
	}
	m.keys++
	m.kids = append(m.kids, k)
	return k
}

// step decides. The returned actions are valid until the next call.
func (m *machine) step(ev event, now time.Time) []action {
	m.out, m.now = m.out[:0], now
	switch ev := ev.(type) {
	case evStart:
		m.startFrom(0)
	case evUp:
		m.onUp(ev)
	case evEnding:
		m.onEnding(ev)
	case evExit:
		m.onExit(ev)
	case evTimer:
		m.onTimer(ev)
	case evStop:
		m.end(nil)
	case evAdd:
		m.onAdd(ev)
	case evTerminate:
		m.onTerminate(ev)
	case evRestart:
		m.onRestart(ev)
	case evShrink:
		m.onShrink(ev)
	}
	m.advance()
	return m.out
}

func (m *machine) do(a action) { m.out = append(m.out, a) }

// to changes a child's phase; its timer is void then.
func (m *machine) to(k *kid, p phase) {
	if k.isStarting() {
		m.starting--
	}
	k.early = p == ending && k.phase == starting
	k.phase, k.token = p, 0
	if k.isStarting() {
		m.starting++
	}
}

// isStarting reports whether a child is starting, or ends because it failed at it.
func (k *kid) isStarting() bool { return k.phase == starting || k.early }

// arm makes the timer of a child, or with nil of the plan; an older one of the
// same is void from then on.
func (m *machine) arm(k *kid, d time.Duration) {
	m.token++
	if k == nil {
		m.plan.token = m.token
		m.do(actTimer{-1, m.token, d})
		return
	}
	k.token = m.token
	m.do(actTimer{k.key, m.token, d})
}

// find is the position of a child.
func (m *machine) find(key int) (p int, found bool) {
	return slices.BinarySearchFunc(m.kids, key, func(k *kid, key int) int { return cmp.Compare(k.key, key) })
}

// current is the child that an event is about. It is not found if the event is
// stale: it is of an older generation, or of one that has been waited for long
// enough.
func (m *machine) current(key, gen int) (p int, found bool) {
	p, found = m.find(key)
	return p, found && m.kids[p].gen == gen && m.kids[p].phase.alive()
}

// each reports whether every child lives for itself.
func (m *machine) each() bool { return m.spec.Strategy == OneForOne || m.spec.Strategy == Dynamic }
