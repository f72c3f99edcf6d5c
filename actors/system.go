package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/magne-actors/magne-actors/internal/restart"
	"github.com/magne-actors/magne-actors/supervisor"
)

// System is a configured runtime: a supervision tree of a broker actor and, for
// each pool, a router and its workers.
type System struct {
	opts    Options
	system  *supervisor.System
	pools   []*pool
	broker  address
	status  brokerStatus
	stop    stopping
	abort   chan struct{}             // closed by Abort
	aborted atomic.Pointer[time.Time] // when Abort was called first
	failed  chan error                // capacity 1: the broker refused us for good
	log     *slog.Logger
}

// New checks the options and builds a System; it starts nothing. The error joins
// everything that is wrong.
func New(o Options) (*System, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	node, err := os.Hostname()
	if err != nil {
		node = "unknown"
	}
	s := &System{
		opts: o, log: o.Logger, system: supervisor.NewSystem(o.Logger),
		abort: make(chan struct{}), failed: make(chan error, 1),
	}
	if o.Observe != nil {
		s.system.Observe(o.Observe)
	}
	for _, p := range o.Pools {
		q := newPool(p, o.Logger)
		q.node, q.system, q.broker, q.stop = node, s.system, &s.broker, &s.stop
		s.pools = append(s.pools, q)
	}
	return s, nil
}

// Run starts everything and blocks. When ctx ends it drains: no new deliveries,
// what has not started goes back to its queue, running tasks may finish for
// Options.Shutdown and are cancelled and handed back then, settlements are
// flushed; it returns nil. It returns ErrAborted after Abort, an error that wraps
// broker.ErrDenied when the broker refuses the credentials of the first
// connection, and a *supervisor.ExhaustedError when the root supervisor gave up.
// It may be called once.
func (s *System) Run(ctx context.Context) error {
	defer s.system.Close()
	root, stopRoot := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRoot()
	ended := make(chan error, 1)
	guard(func() { ended <- s.system.Run(root, "root", *s.opts.Root, s.children()...) },
		func(err error) { ended <- err })

	var err error
	select {
	case err = <-ended:
		return err
	case err = <-s.failed:
	case <-ctx.Done():
	case <-s.abort:
	}
	over, early := s.drain(ended)
	stopRoot()
	if !over {
		early = s.awaitEnd(ended)
	}
	if isDone(s.abort) {
		return ErrAborted
	}
	return errors.Join(err, early)
}

// Abort makes Run stop at once: it cancels what runs, hands back what is
// unsettled and returns ErrAborted within 2 s. It may be called at any
// time, by anybody, more than once; it does not block.
func (s *System) Abort() {
	now := time.Now()
	if s.aborted.CompareAndSwap(nil, &now) {
		close(s.abort)
	}
}

// Tree is a snapshot of the supervision tree, nil before Run. It asks no actor,
// so that it answers at once while all of them are busy.
func (s *System) Tree() *supervisor.Node {
	root := s.system.Snapshot()
	if root != nil {
		pid := os.Getpid()
		root.PID = &pid
	}
	return root
}

// Inspect is the part of the tree below the node with that id, with the stacks of
// panics, or nil if there is none. It asks no actor.
func (s *System) Inspect(id string) *supervisor.Node {
	n := s.system.Inspect(id)
	if n != nil && n.Kind == "root" {
		n.PID = new(os.Getpid())
	}
	return n
}

// Restart has a node of the tree run anew, and blocks until it is up, has failed
// at it, or ctx ends; see supervisor.System.Restart. What a restarted router had
// in flight returns to its queue.
func (s *System) Restart(ctx context.Context, id string) error { return s.system.Restart(ctx, id) }

func (s *System) inFlight() int64 {
	var n int64
	for _, p := range s.pools {
		if w := p.window.Load(); w != nil {
			n += w.mark.Depth()
		}
	}
	return n
}

func (s *System) tellBroker(message any) {
	if pid := s.broker.pid.Load(); pid != nil {
		s.system.Send(pid, message)
	}
}

// children is the tree below the root: the broker first and the services last.
// Each pool is a pair, so that a crash in it restarts nothing of the others.
func (s *System) children() []supervisor.Child {
	pools := make([]supervisor.Child, len(s.pools))
	for i, p := range s.pools {
		pools[i] = p.child()
	}
	flights := 0
	for _, p := range s.pools {
		flights += p.High
	}
	children := []supervisor.Child{
		{
			ID: "broker", Kind: "broker",
			Producer: func() actor.Actor {
				return &brokerActor{
					dialer: s.opts.Dialer, reconnect: restart.Backoff(s.opts.Reconnect), log: s.log,
					system: s.system, stop: &s.stop, status: &s.status, denied: s.deny, flights: flights,
				}
			},
			Up:      func(pid *actor.PID, _ int) { s.broker.pid.Store(pid) },
			Inspect: s.status.inspect,
		},
		{
			ID: "pools", Kind: "sup", Children: pools,
			Supervisor: &supervisor.Spec{Strategy: supervisor.OneForOne, Intensity: 3, Period: time.Minute},
		},
	}
	for _, service := range s.opts.Services {
		children = append(children, supervisor.Child{
			ID: service.ID, Kind: service.Kind, Producer: supervisor.Service(s.log, service.Run),
		})
	}
	return children
}

// deny ends Run because the broker has refused our first connection.
func (s *System) deny(err error) {
	select {
	case s.failed <- fmt.Errorf("connect to the broker: %w", err):
	default:
	}
}

// child is a pool's part of the tree: a router and the supervisor of its
// workers, which needs the router and is restarted with it.
func (p *pool) child() supervisor.Child {
	workers := make([]supervisor.Child, p.Workers)
	for i := range workers {
		workers[i] = supervisor.Child{
			ID: p.workerID(i), Kind: "worker",
			Producer: func() actor.Actor { return p.worker(i) },
			Up:       func(pid *actor.PID, gen int) { p.toRouter(&workerUp{i, gen, pid}) },
			Down:     func(e supervisor.Exit) { p.toRouter(&workerDown{i, e.Generation}) },
			Inspect:  p.inspectWorker(i),
		}
	}
	return supervisor.Child{
		ID: p.Name, Kind: "sup",
		Supervisor: &supervisor.Spec{Strategy: supervisor.RestForOne, Intensity: 3, Period: time.Minute},
		Children: []supervisor.Child{
			{
				ID: "router:" + p.Name, Kind: "router",
				Producer: func() actor.Actor { return &router{pool: p} },
				Up: func(pid *actor.PID, _ int) {
					p.router.pid.Store(pid)
					p.send(p.broker, &routerUp{p})
				},
				Down:    func(supervisor.Exit) { p.send(p.broker, &routerDown{p}) },
				Inspect: p.inspectRouter,
			},
			{ID: "pool:" + p.Name, Kind: "pool", Supervisor: p.Supervise, Children: workers},
		},
	}
}
