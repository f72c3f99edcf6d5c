package actors

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/magne-actors/magne-actors/supervisor"
)

// The words for what the intake of a pool is doing, as `tree` shows them.
const (
	intakeConnecting = "connecting" // no session with the broker, or no consumer yet
	intakeConsuming  = "consuming"
	intakeDraining   = "draining"
	intakeDown       = "failed" // the queue cannot be consumed; last_error says why
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

	// window belongs to the present router; a new router begins with a new one,
	// since the deliveries of the old one go back to the queue.
	window  atomic.Pointer[window]
	intake  atomic.Pointer[intakeState]
	problem atomic.Pointer[string] // what goes wrong although the intake works
	backlog atomic.Int64
	settled atomic.Int64
	workers []workerState
	shown   []atomic.Pointer[flight] // those that run, by their index in the ledger
	drained chan struct{}            // closed by the router when its drain is complete
}

// address is where an actor can be reached; its present incarnation's PID.
type address struct{ pid atomic.Pointer[actor.PID] }

// workerState is what the router and the worker tell of worker i.
type workerState struct {
	assigned, running, abandoned atomic.Int64
}

type intakeState struct {
	word  string
	since time.Time
	err   string // why, for connecting and failed
}

// stopping is the state of a stop, which outlives a restarting actor.
type stopping struct{ draining atomic.Bool }

func (p *pool) send(to *address, message any) {
	if pid := to.pid.Load(); pid != nil {
		p.system.Send(pid, message)
	}
}

func (p *pool) toRouter(message any) { p.send(&p.router, message) }

func (p *pool) setIntake(word string, err error) {
	s := &intakeState{word: word, since: time.Now()}
	if err != nil {
		s.err = err.Error()
	}
	p.intake.Store(s)
}

func (p *pool) setProblem(err error) {
	text := err.Error()
	p.problem.Store(&text)
}

func (p *pool) workerID(i int) string { return fmt.Sprintf("%s/%d", p.Name, i+1) }

func newPool(o Pool, log *slog.Logger) *pool {
	p := &pool{
		Pool:    o,
		log:     log.With("pool", o.Name),
		workers: make([]workerState, o.Workers),
		shown:   make([]atomic.Pointer[flight], o.High),
		drained: make(chan struct{}),
	}
	p.worker = func(i int) actor.Actor { return &worker{pool: p, index: i} }
	p.setIntake(intakeConnecting, nil)
	return p
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
	for i := range p.workers {
		w := &p.workers[i]
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
	p.inspectIntake(n, paused)
}

func (p *pool) inspectIntake(n *supervisor.Node, paused bool) {
	if n.State != "up" {
		return
	}
	s := p.intake.Load()
	n.State, n.Since = s.word, &s.since
	if problem := p.problem.Load(); problem != nil {
		n.LastError = *problem
	}
	if s.err != "" {
		n.LastError = s.err
	}
	if paused && s.word == intakeConsuming {
		n.State = "paused"
	}
	n.Detail = "queue " + p.Queue.Name
}

func (p *pool) inspectWorker(i int) func(*supervisor.Node) {
	return func(n *supervisor.Node) {
		s := &p.workers[i]
		running, abandoned := s.running.Load(), s.abandoned.Load()
		queued := max(0, s.assigned.Load()-running)
		n.Queued, n.Running = &queued, &running
		if abandoned > 0 {
			n.Abandoned = &abandoned
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
