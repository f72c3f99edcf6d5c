package actors

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/magne-actors/magne-actors/internal/ladder"
	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/supervisor/process"
)

// pool is what the actors of one pool share: what was configured, whom to send
// to, and the atomics that an inspection reads.
type pool struct {
	Pool
	node   string // host name, for dead letters
	log    *slog.Logger
	system *supervisor.System
	broker *address // of the broker actor
	router address
	stop   *stopping
	worker func(i int) actor.Actor // makes a worker actor
	notify func(supervisor.Event)  // nil: nobody listens

	burst func(ctx context.Context, queue string) (ready int, err error) // see Options.Burst

	limits    atomic.Pointer[limits]
	sizing    atomic.Pointer[Size]            // nil: the size does not follow the load
	latest    atomic.Pointer[process.Options] // of the processes to start
	suspended atomic.Bool                     // by an operator
	parked    atomic.Bool                     // its workers or its router gave up
	bare      atomic.Bool                     // no worker has been up since its router started
	leaving   atomic.Bool                     // it is being removed
	gaveUp    atomic.Pointer[error]           // why its part of the tree is down, until that is up again

	// window belongs to the present router; a new router begins with a new one,
	// since the deliveries of the old one go back to the queue.
	window     atomic.Pointer[window]
	live       atomic.Pointer[live]
	arrived    atomic.Int64          // when the last delivery did; Unix time in ns
	probed     atomic.Pointer[probe] // what the broker has last said of the queue
	link       *brokerStatus         // of the session
	old        atomic.Int64          // deliveries unsettled for half of the ack timeout
	oldest     atomic.Int64          // since when; Unix time in ns
	isolated   atomic.Int64          // consumers that are kept apart for them
	ackTimeout time.Duration
	problem    atomic.Pointer[string] // what goes wrong although the intake works
	backlog    atomic.Int64
	suspects   atomic.Int64 // of backlog
	settled    atomic.Int64
	size       atomic.Int64 // workers that are wanted
	up         atomic.Int64 // workers
	numbers    atomic.Int64 // of flights
	pauses     atomic.Int64 // of earlier windows
	workers    workerTable
	shown      flightTable   // those that run, by their index in the ledger
	drained    chan struct{} // closed by the router when its drain is complete

	ladder *delays
	delays poolDelays

	// Of the present router, and left to the next one.
	memory  *memory
	foreign map[key]*flight // tasks that a router before it has started, and that run on
	seed    maphash.Seed
	orphans atomic.Int64 // running tasks whose delivery is lost
	copies  copies

	counters  counters
	durations durations
}

// address is where an actor can be reached; its present incarnation's PID.
type address struct{ pid atomic.Pointer[actor.PID] }

// limits are the watermarks that an operator may change.
type limits struct{ high, low int }

// stopping is the state of a stop, which outlives a restarting actor.
type stopping struct{ draining atomic.Bool }

func (p *pool) send(to *address, message any) {
	if pid := to.pid.Load(); pid != nil {
		p.system.Send(pid, message)
	}
}

func (p *pool) toRouter(message any) { p.send(&p.router, message) }

// isDraining reports whether no new deliveries are wanted ever again.
func (p *pool) isDraining() bool { return p.stop.draining.Load() || p.leaving.Load() }

// heldBare is of a pool that begins: what it took could only wait, and another
// instance may have workers.
const heldBare = "until a worker is up"

// heldBy says why the pool takes no deliveries for now; "" is not at all.
func (p *pool) heldBy() string {
	switch {
	case p.parked.Load():
		return "parked"
	case p.suspended.Load():
		return "by an operator"
	case p.bare.Load():
		return heldBare
	}
	return ""
}

func (p *pool) setProblem(err error) {
	text := err.Error()
	p.problem.Store(&text)
}

func (p *pool) workerID(i int) string { return fmt.Sprintf("%s/%d", p.Name, i+1) }

func newPool(o Pool, log *slog.Logger) *pool {
	p := &pool{Pool: o, log: log.With("pool", o.Name), drained: make(chan struct{}), durations: newDurations(), ladder: new(delays)}
	p.memory, p.foreign, p.seed = newMemory(recentFor(o.High)), map[key]*flight{}, maphash.MakeSeed()
	p.limits.Store(&limits{o.High, o.Low})
	p.sizing.Store(o.Size)
	p.latest.Store(o.Process)
	p.size.Store(int64(o.Workers))
	p.workers.grow(o.Workers, p.freshWorker)
	p.worker = func(i int) actor.Actor { return newWorker(p, i) }
	p.live.Store(new(live{state: LiveConnecting, since: time.Now()}))
	p.delays.routes = ladder.Routable(o.Queue.Name) == nil
	return p
}

// grow makes the worker with index i known. The pool's supervisor calls it.
func (p *pool) grow(i int) *workerState {
	p.workers.grow(i+1, p.freshWorker)
	return p.workers.all()[i]
}

// inspectRouter fills the node of the router; it reads atomics only.
func (p *pool) inspectRouter(n *supervisor.Node) {
	win := p.window.Load()
	if win == nil {
		return
	}
	mark := win.mark
	depth, peak, high, low := mark.Depth(), mark.Peak(), mark.High(), mark.Low()
	paused, pauses := mark.Paused(), mark.Pauses()
	queued, settled := p.backlog.Load(), p.settled.Load()
	n.InFlight, n.Peak, n.High, n.Low = &depth, &peak, &high, &low
	n.Paused, n.Pauses = &paused, &pauses
	n.Queued, n.Settled = &queued, &settled
	var running, abandoned int64
	for _, w := range p.workers.all() {
		running += w.running.Load()
		abandoned += w.abandoned.Load()
		if w.abandoned.Load() > int64(p.Slots) {
			n.LastError = errStuck
		}
	}
	n.Running = &running
	if abandoned > 0 {
		n.Abandoned = &abandoned
	}
	p.inspectIsolation(n)
	p.inspectIntake(n, paused, mark.PausedAt())
}

func (p *pool) inspectWorker(i int) func(*supervisor.Node) {
	return func(n *supervisor.Node) {
		s := p.workers.all()[i]
		running, abandoned := s.running.Load(), s.abandoned.Load()
		queued := max(0, s.assigned.Load()-running)
		n.Queued, n.Running = &queued, &running
		if abandoned > 0 {
			n.Abandoned = &abandoned
		}
		switch {
		case s.slot != nil:
			s.slot.Inspect(n)
		case s.oneshot != nil:
			s.oneshot.Inspect(n)
		}
		s.inspectIsolation(n)
	}
}

// inspectWorkers fills the node of the supervisor of the workers.
func (p *pool) inspectWorkers(n *supervisor.Node) {
	if n.State == "up" {
		n.Detail = fmt.Sprintf("%d/%d", p.up.Load(), p.size.Load())
		if s := p.sizing.Load(); s != nil {
			n.Detail += fmt.Sprintf(" (%d..%d)", s.Min, s.Max)
		}
	}
}

// errGoexit is the outcome of code that left by runtime.Goexit.
var errGoexit = errors.New("runtime.Goexit was called")

// guard runs f on a goroutine of its own and calls crash, on that goroutine,
// when f panics or leaves by runtime.Goexit.
func guard(f func(), crash func(error)) {
	go func() {
		returned := false
		defer func() {
			if returned {
				return
			}
			if r := recover(); r != nil {
				stack := make([]byte, 16<<10)
				crash(&supervisor.PanicError{Value: r, Stack: stack[:runtime.Stack(stack, false)]})
				return
			}
			crash(errGoexit)
		}()
		f()
		returned = true
	}()
}
