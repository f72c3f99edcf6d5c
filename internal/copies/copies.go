package copies

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/internal/osproc"
	"github.com/magne-actors/magne-actors/supervisor"
)

// Exit statuses of a copy with a meaning here. Any other end is a failure that the
// supervisor deals with.
const (
	exitConfig  = 2  // its configuration is wrong
	exitDenied  = 3  // its broker refuses it
	exitGaveUp  = 70 // its root supervisor gave up
	sinceGaveUp = 10 // periods of the intensity that a copy must have lived for its giving up to be a new story
)

// ErrAborted is the error of Run after Abort.
var ErrAborted = errors.New("copies: stopped cold")

// ExitError says that a copy has ended with a status that a restart does not change.
type ExitError struct {
	Copy    int
	Code    int
	Message string // of the copy, without the name of the program
	Hint    string // what it said to do; may be empty
}

// Error is the message of the copy.
func (e *ExitError) Error() string { return fmt.Sprintf("copy %d: %s", e.Copy, e.Message) }

// Options configure a Group. N, Command, Environ, Dir and Host are needed; the
// zero value of every other field is a usable default.
type Options struct {
	N       int
	Command []string // program and arguments of each copy
	Environ []string // that of the program, see Environ
	Dir     string   // of the sockets, see MakeDir
	Host    *osproc.Host

	// Grace is how long a copy may take to stop before it is killed; 35 s by
	// default.
	Grace time.Duration

	// Burst says that a copy which ends with status 0 has done its work. Run ends
	// when all have.
	Burst bool

	Root supervisor.Spec // of the root
	// Copies are the intensity, the period and the backoff for the restarts of
	// copies.
	Copies supervisor.Spec
	// Before and After are further children of the root: those that the copies
	// need, and those that need the copies.
	Before, After []supervisor.Child

	Events  *control.Events        // where the events of the copies go; nil: nowhere
	Observe func(supervisor.Event) // called for the events of the tree above the copies; it must not block
	Logger  *slog.Logger           // where their logs go as well; nil: silent
}

// Group is the copies and the tree above them. Make it with New.
type Group struct {
	o       Options
	log     *slog.Logger
	system  *supervisor.System
	self    osproc.Self
	members []*member

	draining chan struct{} // closed by Run when all are to stop
	aborted  chan struct{} // closed by Abort
	signal   atomic.Int64  // the signal of the first Abort
	failed   chan error    // capacity 1: why a restart would not help
	undone   atomic.Int64  // copies that have not done their work, see Options.Burst
	finished chan struct{} // closed when it is 0
	turn     chan struct{} // capacity 1: holds a token during a reload
}

// New makes a Group; nothing runs before Run.
func New(o Options) (*Group, error) {
	if o.N < 1 || len(o.Command) == 0 || o.Dir == "" || o.Host == nil {
		return nil, errors.New("copies: N, Command, Dir and Host are needed")
	}
	o.Grace = cmp.Or(o.Grace, 35*time.Second)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	g := &Group{
		o: o, log: o.Logger, system: supervisor.NewSystem(o.Logger),
		draining: make(chan struct{}), aborted: make(chan struct{}), failed: make(chan error, 1), turn: make(chan struct{}, 1),
		finished: make(chan struct{}),
	}
	g.undone.Store(int64(o.N))
	if o.Observe != nil {
		g.system.Observe(o.Observe)
	}
	for i := range o.N {
		g.members = append(g.members, newMember(g, i+1))
	}
	return g, nil
}

// children are the tree below the root.
func (g *Group) children() []supervisor.Child {
	spec := g.o.Copies
	spec.Strategy, spec.Parallel, spec.OnExhausted = supervisor.OneForOne, true, supervisor.Escalate
	all := supervisor.Child{ID: "copies", Kind: "sup", Supervisor: &spec}
	for _, m := range g.members {
		all.Children = append(all.Children, supervisor.Child{
			ID: m.id, Kind: kindCopy, Producer: supervisor.Service(g.log, m.run), Inspect: m.inspect,
			Shutdown: g.o.Grace + 2*coldTime,
		})
	}
	children := append([]supervisor.Child{}, g.o.Before...)
	return append(append(children, all), g.o.After...)
}

// Abort makes Run stop at once: the copies get the signal, INT or QUIT, and are
// killed when they are not dead soon after it. It may be called at any time, by
// anybody, more than once; it does not block.
func (g *Group) Abort(sig syscall.Signal) {
	if g.signal.CompareAndSwap(0, int64(sig)) {
		close(g.aborted)
	}
}

// fail ends Run.
func (g *Group) fail(err error) {
	select {
	case g.failed <- err:
	default: // another one was first
	}
}

func isDone(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
