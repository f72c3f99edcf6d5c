package process

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/magne-actors/magne-actors/internal/wire"
)

// machine is the whole of what a slot decides, as a function of its state, an
// event and the time. It knows no actor, process, pipe or clock; whoever drives
// it carries out the effects in the order in which they come, and sends evTime
// when wake says so.
//
// At most one worker is current: it gets the tasks, or will once it is ready. A
// second one may be next: it starts to take the place of the current one. All
// others are on their way out, with the tasks that they still have.
type machine struct {
	opts    *Options                    // of the next worker, with defaults
	rnd     func() float64              // in [0, 1)
	now     time.Time                   // of the event
	waited  func(key int) time.Duration // that a worker was able to run and was not let; nil: unknown
	keys    int                         // of the last worker
	workers []*worker                   // that are not dead, the oldest first
	current *worker                     // nil: the slot is ending
	next    *worker                     // nil: none is about to take over
	replace *replacement                // why there is a next; nil if there is none

	retryAt time.Time // after a failed replacement that nobody has asked for
	ending  bool
	fatal   error // why it ends; nil: as asked
	quit    bool
	able    bool // as last told
	out     []effect
}

// replacement is a change of the current worker that is under way.
type replacement struct {
	why      string
	opts     *Options
	requests []*request // who waits for it
}

// request is an operator's Recycle or, with options, Replace.
type request struct {
	opts *Options
	done chan error // buffered, gets one
}

// worker is what the machine knows of one process.
type worker struct {
	key     int
	opts    *Options
	phase   phase
	leaving bool   // it gets no more tasks
	asked   bool   // its end is no failure
	why     string // it had to be ended; as in LostError
	err     error  // more about why
	culprit *call  // it had to be ended because of this one

	step      string // that it was last at, on its way to the hello
	session   wire.Session
	tasks     []*call // without an answer, in the order of their ids
	slots     int     // how many of them run, the first ones
	canSignal bool
	beats     bool
	done      int // answers
	limit     int // answers until it is replaced, 0: no limit

	born       time.Time // when it began to be a process
	busy       time.Time // since the last time that it had no task
	heard      time.Time // the last frame
	pinged     time.Time // of the ping without an answer
	pings      uint64
	missed     int
	others     int64 // memory of its descendants in bytes, when it was last looked at
	treeWanted bool  // a look is under way

	// Moments; zero: none.
	bootBy   time.Time // start timeout
	leaveBy  time.Time // a leaving one is ended by force
	termAt   time.Time // the dump is over
	closedBy time.Time // its pipe is closed and it still lives
	expires  time.Time
	sampleAt time.Time
	treeAt   time.Time
}

type phase uint8

const (
	spawning phase = iota // not yet a process
	booting               // no hello yet
	ready
	dumping // it writes its stacks, TERM follows
	ended   // TERM or KILL was sent; only its exit is waited for
)

// call is one task that was given to the slot. What the machine needs to know of
// it is in here, so that goroutines beside the actor may read what is constant.
type call struct {
	name, id string    // of the message
	deadline time.Time // of the message; zero: none
	frame    wire.Frame
	reply    chan error // buffered, gets one
	suspect  bool       // a worker has died under it before

	// Of the machine; wire id, place and began are constant once it is shown.
	place     int       // among the tasks of its worker that are shown
	began     time.Time // when it was among those that run
	soft      time.Time // when it is cancelled; zero: never, or it has been
	hard      time.Time // when the worker is ended; zero: never
	cancelled string    // the reason
	revoked   bool      // nobody wants it any more
	unsent    bool      // its frame was not written
}

// label is how a task is called for people and in an autopsy.
func (c *call) label() string {
	if c.id != "" {
		return c.id
	}
	return fmt.Sprintf("%s (without id)", c.name)
}

const (
	dumpTime   = 500 * time.Millisecond // for a worker to write its stacks
	closedTime = time.Second            // from the end of its pipe to its exit
	exitTime   = 5 * time.Second        // for a worker without tasks that was told to finish
	cancelTime = 5 * time.Second        // for a cancelled task, if there are not both timeouts
	samplePace = time.Second
	treePace   = 5 * time.Second
	retryPace  = 30 * time.Second // between replacements that fail

	// starvation is up to how many times its start timeout a worker may take to say
	// hello that is kept waiting for a processor.
	starvation = 6
)

var (
	errEnding     = errors.New("the slot is stopping")
	errSuperseded = errors.New("another replacement came before it was done")
	errForgone    = errors.New("nobody waits for the replacement any more")
)

func newMachine(o *Options, rnd func() float64) *machine { return &machine{opts: o, rnd: rnd} }

// on decides. The returned effects are valid until the next call.
func (m *machine) on(ev event, now time.Time) []effect {
	m.out, m.now = m.out[:0], now
	if m.quit {
		m.late(ev)
		return m.out
	}
	switch ev := ev.(type) {
	case evStart:
		m.current = m.spawn(m.opts)
		m.do(effCurrent{m.current.key})
	case evTime:
	case evRun:
		m.onRun(ev.call)
	case evRevoke:
		m.onRevoke(ev)
	case evDrain:
		m.end(nil)
	case evKill:
		m.onKill()
	case evRequest:
		m.onRequest(ev.req)
	case evForgo:
		m.onForgo(ev.req)
	default:
		m.onWorker(ev)
	}
	m.check()
	m.finish()
	return m.out
}

// late answers what comes after the end.
func (m *machine) late(ev event) {
	switch ev := ev.(type) {
	case evRun:
		m.do(effAnswer{0, ev.call, ErrNotStarted})
	case evRequest:
		m.do(effReply{ev.req, errEnding})
	default: // about what is over
	}
}

// finish tells what has changed by the event as a whole.
func (m *machine) finish() {
	m.tellAble()
	if m.ending && len(m.workers) == 0 {
		m.quit = true
		m.do(effQuit{m.fatal})
	}
}

func (m *machine) tellAble() {
	if able := m.current != nil && m.current.takesTasks(); able != m.able {
		m.able = able
		m.do(effAvailable{able})
	}
}

func (m *machine) do(e effect) { m.out = append(m.out, e) }

// find is nil for a worker that is dead.
func (m *machine) find(key int) *worker {
	for _, w := range m.workers {
		if w.key == key {
			return w
		}
	}
	return nil
}

// calls are those without an answer, for a driver that fails.
func (m *machine) calls() []*call {
	var all []*call
	for _, w := range m.workers {
		all = append(all, w.tasks...)
	}
	return all
}

func (w *worker) takesTasks() bool { return w.phase == ready && !w.leaving && w.closedBy.IsZero() }

// running are the tasks that the worker has begun, as far as one can tell; the
// others wait in its pipe.
func (w *worker) running() []*call { return w.tasks[:min(len(w.tasks), w.slots)] }

func (w *worker) forget(c *call) {
	w.tasks = slices.DeleteFunc(w.tasks, func(t *call) bool { return t == c })
}

func (w *worker) task(id uint64) *call {
	for _, c := range w.tasks {
		if c.frame.ID == id {
			return c
		}
	}
	return nil
}
