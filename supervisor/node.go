package supervisor

import (
	"sync/atomic"
	"time"
)

// state is what a node shows of its child.
type state uint8

const (
	stateDown     state = iota // not started yet, stopped, or ended and not to be started again
	stateStarting              // spawned; a supervisor: not all of its children are up yet
	stateUp
	stateStopping
	stateBackoff // down until it is restarted
	stateFailed  // ended abnormally or gave up
	stateAbandoned
)

func (s state) String() string {
	return [...]string{"down", "starting", "up", "stopping", "backoff", "failed", "abandoned"}[s]
}

// node is the record of one child specification, over all incarnations of the
// child and of its supervisors. It lives until the child is removed. What
// changes in it is atomic, so that a snapshot needs nobody's cooperation.
type node struct {
	id, kind string
	spec     *Child
	tree     *tree
	parent   *node // nil for the root
	slot     int   // below a dynamic supervisor: the template's n

	offspring atomic.Pointer[offspring]

	word      atomic.Uint64 // generation<<8 | state: written together, so that an old incarnation cannot speak for a new one
	since     atomic.Int64  // of the state, in Unix nanoseconds; 0: never started
	until     atomic.Int64  // of the backoff, the same
	failures  atomic.Int64
	abandoned atomic.Int64 // incarnations that may still run
	parked    atomic.Bool
	failure   atomic.Pointer[failure]
	trace     atomic.Pointer[trace]   // of the last panic
	box       atomic.Pointer[mailbox] // of the newest incarnation
	restarts  atomic.Pointer[recent]  // of a supervisor
}

// offspring are the children of a node. It is replaced, never changed.
type offspring struct {
	kids []*node // in start order
	lost []*node // removed, with an incarnation that may still run
}

// failure keeps the last error with the line that a snapshot shows of it.
type failure struct {
	line string
	err  error
}

// recent are the newest restarts of a supervisor's children, for a snapshot to
// count. The machine's own window decides; this one is read by others.
type recent struct {
	times []atomic.Int64 // Unix nanoseconds, a ring
	next  int            // the supervisor's
}

func newRecent(intensity int) *recent { return &recent{times: make([]atomic.Int64, intensity)} }

func (r *recent) add(now time.Time) {
	if len(r.times) > 0 {
		r.times[r.next].Store(now.UnixNano())
		r.next = (r.next + 1) % len(r.times)
	}
}

func (r *recent) count(now time.Time, period time.Duration) int64 {
	n := int64(0)
	for i := range r.times {
		if t := r.times[i].Load(); t != 0 && now.UnixNano()-t <= int64(period) {
			n++
		}
	}
	return n
}

func (n *node) kids() []*node { return n.offspring.Load().kids }

func (n *node) generation() int { return int(n.word.Load() >> 8) }

// set shows generation gen in state s, unless a newer one is shown already.
func (n *node) set(gen int, s state) {
	word := uint64(gen)<<8 | uint64(s)
	for {
		old := n.word.Load()
		if old == word || old>>8 > uint64(gen) {
			return
		}
		if n.word.CompareAndSwap(old, word) {
			n.since.Store(time.Now().UnixNano())
			return
		}
	}
}

// ended is called when an abandoned incarnation has ended after all.
func (n *node) ended(gen int) {
	n.abandoned.Add(-1)
	if n.word.CompareAndSwap(uint64(gen)<<8|uint64(stateAbandoned), uint64(gen)<<8|uint64(stateDown)) {
		n.since.Store(time.Now().UnixNano())
	}
}

func (n *node) fail(err error) {
	n.failure.Store(&failure{line: firstLine(err.Error()), err: err})
}
