package supervisor

import (
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
// backoff and start by itself, beside the plan.
type machine struct {
	id   string
	spec Spec // with defaults
	kids []kid
	win  *restart.Window
	rnd  func() float64 // in [0, 1)

	plan   plan
	token  int // the last one given to a timer
	ready  bool
	ending bool // all children are being stopped for good
	gaveUp *ExhaustedError
	out    []action
}

// kid is what the machine knows of one child.
type kid struct {
	id       string
	restart  Restart
	shutdown time.Duration
	series   restart.Series
	phase    phase
	gen      int
	token    int  // of its armed timer, 0: none
	exit     Exit // while ending: how
}

type phase uint8

const (
	idle     phase = iota // not running
	gone                  // not running, and never again
	starting              // spawned, not up yet
	up                    // Started was handled; of a supervisor, its children are up
	ending                // it ends of its own accord
	stopping              // it was asked to stop
	waiting               // not running until its backoff is over
)

func (p phase) alive() bool { return p >= starting && p <= stopping }

// plan is a walk over the children from index from on.
type plan struct {
	step   step
	from   int
	cursor int // the child at which the walk is
	cause  int // the child whose failure is the reason
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
)

func (evStart) isEvent()  {}
func (evUp) isEvent()     {}
func (evEnding) isEvent() {}
func (evExit) isEvent()   {}
func (evTimer) isEvent()  {}
func (evStop) isEvent()   {}

// An action is something that the driver has to do.
type action interface{ isAction() }

type (
	actSpawn struct{ i, gen int }
	actUp    struct{ i, gen int }
	actStop  struct{ i, gen int } // ask it to stop
	// actEnding: it is ending by itself.
	actEnding  struct{ i, gen int }
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
	actTimer struct { // send evTimer{i, token} after d; replaces the timer of i
		i, token int
		d        time.Duration
	}
	actReady  struct{} // all children are up for the first time
	actGiveUp struct{ err *ExhaustedError }
	actFinish struct{ err *ExhaustedError } // all are down; nil: as asked
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

// Defaults of a Spec and a Child; intensity and period are OTP's.
const (
	defaultIntensity = 1
	defaultPeriod    = 5 * time.Second
	defaultShutdown  = 5 * time.Second
)

func (s Spec) withDefaults() Spec {
	if s.Intensity == 0 {
		s.Intensity = defaultIntensity
	}
	s.Intensity = max(s.Intensity, 0)
	if s.Period == 0 {
		s.Period = defaultPeriod
	}
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

// newMachine makes the machine of a supervisor. The generations of its children
// go on from the nodes', so that they are unique for the life of the tree.
func newMachine(n *node, rnd func() float64) *machine {
	spec := n.spec.Supervisor.withDefaults()
	m := &machine{id: n.id, spec: spec, rnd: rnd, win: restart.NewWindow(spec.Intensity, spec.Period), kids: make([]kid, len(n.children))}
	for i, c := range n.children {
		m.kids[i] = kid{
			id:       c.id,
			restart:  c.spec.Restart,
			shutdown: c.spec.shutdown(),
			series:   restart.Series{Backoff: restart.Backoff(spec.Backoff)},
			gen:      c.generation(),
		}
	}
	return m
}

// step decides. The returned actions are valid until the next call.
func (m *machine) step(ev event, now time.Time) []action {
	m.out = m.out[:0]
	switch ev := ev.(type) {
	case evStart:
		m.startFrom(0)
	case evUp:
		m.onUp(ev, now)
	case evEnding:
		m.onEnding(ev)
	case evExit:
		m.onExit(ev, now)
	case evTimer:
		m.onTimer(ev, now)
	case evStop:
		m.end(nil)
	}
	return m.out
}

func (m *machine) do(a action) { m.out = append(m.out, a) }

// arm makes the timer of a child, or with i == -1 of the plan; an older one of
// the same is stale from then on.
func (m *machine) arm(i int, d time.Duration) {
	m.token++
	if i < 0 {
		m.plan.token = m.token
	} else {
		m.kids[i].token = m.token
	}
	m.do(actTimer{i, m.token, d})
}

// current is the child that an event is about, or nil if the event is stale: it
// is of an older generation, or of one that has been waited for long enough.
func (m *machine) current(i, gen int) *kid {
	if k := &m.kids[i]; k.gen == gen && k.phase.alive() {
		return k
	}
	return nil
}
