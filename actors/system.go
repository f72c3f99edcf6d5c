package actors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/magne-actors/magne-actors/internal/osproc"
	"github.com/magne-actors/magne-actors/internal/restart"
	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/supervisor/process"
)

// System is a configured runtime: a supervision tree of a broker actor and, for
// each pool, a router and its workers.
type System struct {
	opts    Options
	system  *supervisor.System
	pools   atomic.Pointer[[]*pool]
	turn    chan struct{} // capacity 1: holds a token while an operator's change is carried out
	node    string        // host name
	host    *process.Host // of this System; nil without processes, or with Options.Host
	emptied chan struct{} // closed when all pools have ended by themselves, see Options.Burst
	broker  address
	status  brokerStatus
	self    osproc.Self
	stop    stopping
	ladder  delays
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
		abort: make(chan struct{}), failed: make(chan error, 1), turn: make(chan struct{}, 1),
		node: node, emptied: make(chan struct{}),
	}
	s.status.spool = o.Spool
	if o.Observe != nil {
		s.system.Observe(o.Observe)
	}
	var pools []*pool
	for _, p := range o.Pools {
		q, err := s.newPool(p)
		if err != nil {
			return nil, err
		}
		pools = append(pools, q)
	}
	s.put(pools)
	return s, nil
}

// newPool makes what the actors of a pool share.
func (s *System) newPool(o Pool) (*pool, error) {
	if o.Process != nil {
		if err := s.openHost(); err != nil {
			return nil, err
		}
		options := s.processes(o.Name, *o.Process)
		o.Process = &options
	}
	p := newPool(o, s.log)
	p.node, p.system, p.broker, p.stop, p.notify = s.node, s.system, &s.broker, &s.stop, s.opts.Observe
	p.burst, p.link, p.ladder, p.ackTimeout = s.opts.Burst, &s.status, &s.ladder, s.opts.AckTimeout
	return p, nil
}

// processes are the options of a pool's processes with what the System has for them.
func (s *System) processes(pool string, o process.Options) process.Options {
	o.Pool, o.Host = pool, cmp.Or(o.Host, s.opts.Host, s.host)
	o.Logger = cmp.Or(o.Logger, s.log)
	return o
}

// openHost makes what starts processes, once.
func (s *System) openHost() (err error) {
	if s.opts.Host == nil && s.host == nil {
		s.host, err = process.NewHost(process.HostOptions{Logger: s.log})
	}
	return err
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
	if s.host != nil {
		defer s.host.Close()
	}
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
	case <-s.emptied:
		err = s.burstResult()
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
		s.measure(root)
	}
	return root
}

// measure adds to the root what is known of this process.
func (s *System) measure(root *supervisor.Node) {
	used := s.self.Usage()
	root.PID, root.RSS, root.CPU = new(os.Getpid()), used.RSS, used.CPU
}

// Inspect is the part of the tree below the node with that id, with the stacks of
// panics, or nil if there is none. It asks no actor.
func (s *System) Inspect(id string) *supervisor.Node {
	n := s.system.Inspect(id)
	if n != nil && n.Kind == "root" {
		s.measure(n)
	}
	return n
}

// Restart has a node of the tree run anew, and blocks until it is up, has failed
// at it, or ctx ends; see supervisor.System.Restart. What a restarted router had
// in flight returns to its queue.
func (s *System) Restart(ctx context.Context, id string) error { return s.system.Restart(ctx, id) }

func (s *System) inFlight() int64 {
	var n int64
	for _, p := range s.all() {
		n += p.inFlight()
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
	var pools []supervisor.Child
	for _, p := range s.all() {
		pools = append(pools, p.child())
	}
	children := []supervisor.Child{
		{
			ID: "broker", Kind: "broker",
			Producer: func() actor.Actor {
				return &brokerActor{
					dialer: s.opts.Dialer, reconnect: restart.Backoff(s.opts.Reconnect), log: s.log,
					system: s.system, stop: &s.stop, status: &s.status, denied: s.deny, flights: s.flights,
					notify: s.opts.Observe, spool: s.opts.Spool, guard: ackGuard{s.opts.AckTimeout},
				}
			},
			Up:      func(pid *actor.PID, _ int) { s.broker.pid.Store(pid) },
			Inspect: s.status.inspect,
		},
		s.poolsChild(pools),
	}
	for _, service := range s.opts.Services {
		children = append(children, supervisor.Child{
			ID: service.ID, Kind: service.Kind, Producer: supervisor.Service(s.log, service.Run),
		})
	}
	return children
}

// poolsChild is the supervisor of all pools. In a burst it ends with the last one,
// and then the System does.
func (s *System) poolsChild(pools []supervisor.Child) supervisor.Child {
	spec := *s.opts.PoolsSupervisor
	spec.OnExhausted = atOnce(spec.OnExhausted)
	c := supervisor.Child{ID: "pools", Kind: "sup", Children: pools, Supervisor: &spec}
	if s.opts.Burst != nil {
		c.Restart, spec.AutoShutdown = supervisor.Transient, supervisor.AllSignificant
		c.Down = func(e supervisor.Exit) {
			if e.Reason != supervisor.Abnormal && s.burstIsOver() && !isDone(s.emptied) {
				close(s.emptied)
			}
		}
	}
	return c
}

// atOnce has a failure upwards count on one level, that of Options.PoolsSupervisor.
// Were it tried again on each, the backoffs would keep it from ever getting to the root.
func atOnce(o supervisor.OnExhausted) supervisor.OnExhausted {
	if o == supervisor.Escalate {
		return supervisor.EscalateAtOnce
	}
	return o
}

// burstIsOver reports whether each pool has found its queue empty, or has given up:
// the pools may also have ended because they are restarted.
func (s *System) burstIsOver() bool {
	return !slices.ContainsFunc(s.all(), func(p *pool) bool { return !isDone(p.drained) && p.gaveUp.Load() == nil })
}

// burstResult is why not all queues are empty at the end of a burst.
func (s *System) burstResult() error {
	var errs []error
	for _, p := range s.all() {
		if err := p.gaveUp.Load(); err != nil {
			errs = append(errs, *err)
		}
	}
	return errors.Join(errs...)
}

// flights is how many deliveries all pools may have.
func (s *System) flights() int {
	n := 0
	for _, p := range s.all() {
		n += p.limits.Load().high
	}
	return n
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
	workers := *p.Supervise
	workers.Strategy = supervisor.Dynamic
	pair := &supervisor.Spec{
		Strategy: supervisor.RestForOne, Intensity: 3, Period: time.Minute,
		Backoff: workers.Backoff, OnExhausted: workers.OnExhausted,
	}
	workers.OnExhausted = atOnce(workers.OnExhausted)
	child := supervisor.Child{ID: p.Name, Kind: "sup", Supervisor: pair, Up: p.onPairUp, Down: p.onPairDown}
	router := p.routerChild()
	if p.burst != nil {
		pair.AutoShutdown = supervisor.AnySignificant
		child.Restart, child.Significant = supervisor.Transient, true
		router.Restart, router.Significant = supervisor.Transient, true
	}
	child.Children = []supervisor.Child{
		router,
		{
			ID: "pool:" + p.Name, Kind: "pool", Supervisor: &workers, Size: int(p.size.Load()),
			Template: p.workerChild, Up: p.onUp, Down: p.onDown, Inspect: p.inspectWorkers,
		},
	}
	child.Children = append(child.Children, p.services()...)
	return child
}

func (p *pool) routerChild() supervisor.Child {
	return supervisor.Child{
		ID: "router:" + p.Name, Kind: "router",
		Producer: func() actor.Actor { return &router{pool: p} },
		Up: func(pid *actor.PID, _ int) {
			p.router.pid.Store(pid)
			p.send(p.broker, &routerUp{p})
		},
		Down:    func(supervisor.Exit) { p.send(p.broker, &routerDown{p}) },
		Inspect: p.inspectRouter,
	}
}

// workerChild is the n-th worker, counted from 1.
func (p *pool) workerChild(n int) supervisor.Child {
	i := n - 1
	state := p.grow(i)
	c := supervisor.Child{
		ID: p.workerID(i), Kind: "worker", Restart: p.WorkerRestart, Shutdown: p.WorkerShutdown,
		Producer: func() actor.Actor { return p.worker(i) },
		Up:       func(pid *actor.PID, _ int) { p.toRouter(&workerUp{i, state.ups.Add(1), pid}) },
		Down:     func(supervisor.Exit) { p.toRouter(&workerDown{i, state.ups.Load()}) },
		Inspect:  p.inspectWorker(i),
	}
	if state.slot != nil {
		c.Kind = "slot"
		c.Kill = func(*actor.PID, int) { _ = state.slot.Kill() } // it has ended otherwise
	}
	return c
}

// onDown and onUp: a pool whose workers or router gave up takes no deliveries until
// an operator brings them back. It is the workers that have to be up for that: if
// they give up while the pair starts, the pair is up without them.
func (p *pool) onDown(e supervisor.Exit) {
	if e.Parked {
		p.parked.Store(true)
		p.send(p.broker, &intakeChanged{pool: p})
	}
}

func (p *pool) onPairUp(*actor.PID, int) { p.gaveUp.Store(nil) }

func (p *pool) onPairDown(e supervisor.Exit) {
	if exhausted, ok := errors.AsType[*supervisor.ExhaustedError](e.Err); ok {
		var err error = exhausted
		p.gaveUp.Store(&err)
	}
	p.onDown(e)
}

func (p *pool) onUp(*actor.PID, int) {
	if p.parked.CompareAndSwap(true, false) {
		p.send(p.broker, &intakeChanged{pool: p})
	}
}
