package actors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/supervisor"
)

// This file is what an operator may do to a running System. All of it is safe for
// concurrent use; one change at a time is carried out.

// all are the pools as of now.
func (s *System) all() []*pool {
	if list := s.pools.Load(); list != nil {
		return *list
	}
	return nil
}

// pool finds a pool by its name, or by the id of its router or supervisor.
func (s *System) pool(name string) (*pool, error) {
	bare := strings.TrimPrefix(strings.TrimPrefix(name, "router:"), "pool:")
	for _, p := range s.all() {
		if p.Name == bare {
			return p, nil
		}
	}
	return nil, fmt.Errorf("actors: pool %q: %w", name, supervisor.ErrNotFound)
}

// lock waits for the turn of a change.
func (s *System) lock(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("actors: another change is still being carried out: %w", context.Cause(ctx))
	}
}

func (s *System) unlock() { <-s.turn }

// Scale gives a pool another number of workers, at least 1, and blocks until the
// new ones are up, or the surplus ones, those with the highest numbers, are down;
// what they had not started goes to others. Where the high watermark was just what
// the workers can run at once it follows, and so does low. The pool keeps its size
// when it is restarted. One that was given up is not scaled: the error wraps
// supervisor.ErrNotRunning.
func (s *System) Scale(ctx context.Context, name string, workers int) error {
	p, err := s.pool(name)
	if err != nil {
		return err
	}
	if p.Size != nil {
		return fmt.Errorf("actors: scale %s: its size follows the load, from %d to %d: change size in the configuration", p.Name, p.Size.Min, p.Size.Max)
	}
	if err := checkWorkers(&p.Pool, workers); err != nil {
		return fmt.Errorf("actors: scale %s: %w", p.Name, err)
	}
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	l := p.limits.Load()
	if l.high == int(p.size.Load())*p.Slots {
		s.limit(p, workers*p.Slots, (workers*p.Slots+1)/2)
	}
	p.workers.grow(workers, p.freshWorker) // at once: one at a time it takes minutes for 100,000
	err = p.scale(ctx, workers)
	if errors.Is(err, supervisor.ErrNotRunning) && p.limits.Load() != l {
		s.limit(p, l.high, l.low)
	}
	return err
}

// scale has the supervisor of the workers have so many. One that does not run,
// because it was given up, keeps those that it had.
func (p *pool) scale(ctx context.Context, workers int) error {
	old := p.size.Swap(int64(workers))
	err := p.system.Scale(ctx, "pool:"+p.Name, workers)
	if errors.Is(err, supervisor.ErrNotRunning) {
		p.size.Store(old)
		return fmt.Errorf("actors: scale %s: %w: it keeps its %d workers, restart it first", p.Name, supervisor.ErrNotRunning, old)
	}
	return err
}

// checkWorkers holds a number of workers against the bounds of a pool.
func checkWorkers(p *Pool, workers int) error {
	switch {
	case workers < 1:
		return fmt.Errorf("%d workers: there must be at least 1; pause stops the intake", workers)
	case p.Mode == Thread && workers > MaxThreads:
		return fmt.Errorf("%d workers: with mode thread there may be %d", workers, MaxThreads)
	case p.Mode == Process && workers > MaxProcesses, p.Mode == Oneshot && workers > MaxProcesses/p.Slots:
		return fmt.Errorf("%d workers: there may be %d processes at once", workers, MaxProcesses)
	case workers > MaxHigh/p.Slots:
		return fmt.Errorf("%d workers with %d slots: there may be %d slots in all", workers, p.Slots, MaxHigh)
	}
	return nil
}

// Pause stops the intake of a pool until Resume: its consumer is cancelled and what
// has not started returns to the queue; what runs goes on and is settled. It blocks
// until that is so, or ctx ends. It is kept when the pool is restarted.
func (s *System) Pause(ctx context.Context, name string) error {
	p, err := s.pool(name)
	if err != nil {
		return err
	}
	p.suspended.Store(true)
	p.log.Info("suspended by an operator")
	return s.intakeChanged(ctx, p)
}

// Resume ends a Pause. It does not wait for the consumer. A pool that was given up
// takes nothing after it either, and that is an error.
func (s *System) Resume(ctx context.Context, name string) error {
	p, err := s.pool(name)
	if err != nil {
		return err
	}
	if p.suspended.CompareAndSwap(true, false) {
		p.log.Info("resumed by an operator")
	}
	if err := s.intakeChanged(ctx, p); err != nil {
		return err
	}
	if p.parked.Load() {
		return fmt.Errorf("actors: resume %s: it was given up, and takes nothing until it is restarted", p.Name)
	}
	return nil
}

// Limit changes the watermarks of a pool, 0 <= low < high. Its consumer is replaced
// by one with the new prefetch; nothing of what is in flight is given back.
func (s *System) Limit(ctx context.Context, name string, high, low int) error {
	p, err := s.pool(name)
	if err != nil {
		return err
	}
	if high < 1 || high > MaxHigh || low < 0 || low >= high {
		return fmt.Errorf("actors: limit %s: high %d, low %d: high is from 1 to %d and low is below it", p.Name, high, low, MaxHigh)
	}
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	s.limit(p, high, low)
	return nil
}

func (s *System) limit(p *pool, high, low int) {
	l := &limits{high, low}
	p.limits.Store(l)
	p.toRouter(l)
	s.tellBroker(&intakeChanged{pool: p})
	p.log.Info("watermarks changed", "high", high, "low", low)
	p.tell(supervisor.Event{Type: EventLimited})
}

// intakeChanged has the broker actor look at the pool again and waits until it has
// done what it found.
func (s *System) intakeChanged(ctx context.Context, p *pool) error {
	limit := time.NewTimer(intakeTimeout)
	defer limit.Stop()
	again := time.NewTicker(askAgain) // a crash may have taken the message with it
	defer again.Stop()
	for {
		done := make(chan struct{})
		s.tellBroker(&intakeChanged{p, done})
		select {
		case <-done:
			return nil
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("actors: pool %s: the change goes on: %w", p.Name, context.Cause(ctx))
		case <-limit.C:
			return fmt.Errorf("actors: pool %s: the broker has not answered within %v; the change goes on", p.Name, intakeTimeout)
		}
	}
}

const (
	// intakeTimeout is longer than a consumer takes to be cancelled.
	intakeTimeout = cancelTimeout + 5*time.Second
	// askAgain is how often a question is repeated, for the case that who was asked
	// was just being restarted.
	askAgain = 500 * time.Millisecond
)

// AddPool starts one more pool and returns nil when it is up.
func (s *System) AddPool(ctx context.Context, o Pool) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	return s.add(ctx, o, nil)
}

// add starts a pool, which may follow one that has ended.
func (s *System) add(ctx context.Context, o Pool, old *pool) error {
	o = o.withDefaults()
	if err := errors.Join(append(o.problems(), s.nameTaken(o.Name))...); err != nil {
		return fmt.Errorf("actors: add pool %q: %w", o.Name, err)
	}
	p, err := s.newPool(o)
	if err != nil {
		return err
	}
	p.follow(old)
	s.put(append(slices.Clone(s.all()), p))
	if err := s.addChild(ctx, p.child()); err != nil {
		s.put(without(s.all(), p))
		s.tellBroker(&left{p})
		return fmt.Errorf("actors: add pool %q: %w", o.Name, err)
	}
	return nil
}

// addChild adds a pool's part of the tree; a supervisor that is just being restarted
// is waited for.
func (s *System) addChild(ctx context.Context, c supervisor.Child) error {
	again := time.NewTicker(askAgain / 10)
	defer again.Stop()
	for {
		err := s.system.Add(ctx, "pools", c)
		if !errors.Is(err, supervisor.ErrNotRunning) {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return err
		}
	}
}

func (s *System) put(list []*pool) { s.pools.Store(&list) }

func without(list []*pool, p *pool) []*pool {
	return slices.DeleteFunc(slices.Clone(list), func(q *pool) bool { return p == q })
}

func (s *System) nameTaken(name string) error {
	if s.system.Inspect(name) != nil {
		return errors.New("there is a node of that name")
	}
	return nil
}

// RemovePool ends a pool: no new deliveries, what has not started returns to the
// queue, what runs may go on for Options.Shutdown and is cancelled and handed back
// then. It blocks until that is done. When ctx ends, what runs is cancelled at once.
func (s *System) RemovePool(ctx context.Context, name string) error {
	p, err := s.pool(name)
	if err != nil {
		return err
	}
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	return s.remove(ctx, p)
}

func (s *System) remove(ctx context.Context, p *pool) error {
	p.leaving.Store(true)
	s.tellBroker(&leave{p})
	if !p.awaitDrained(ctx.Done(), s.opts.Shutdown) {
		p.log.Warn("cancelling the running tasks of a pool that is removed", "cause", ErrShutdown)
		p.toRouter(&cutoff{ErrShutdown, warmGrace})
		p.awaitDrained(nil, 2*warmGrace)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.Shutdown+forceLimit)
	defer cancel()
	err := s.system.Remove(ctx, p.Name)
	s.tellBroker(&left{p})
	s.put(without(s.all(), p))
	if err != nil {
		return fmt.Errorf("actors: remove pool %q: %w", p.Name, err)
	}
	return nil
}

// forceLimit is longer than it takes to end processes that have to be forced, with
// the usual timeout.kill_after.
const forceLimit = 10 * time.Second

// awaitDrained reports whether the pool was drained in time.
func (p *pool) awaitDrained(abort <-chan struct{}, within time.Duration) bool {
	limit := time.NewTimer(within)
	defer limit.Stop()
	select {
	case <-p.drained:
		return true
	case <-abort:
	case <-limit.C:
	}
	return false
}

// ReplacePool has a pool run with other options: it is removed as RemovePool does,
// and then added. One of mode Process that differs in its processes, their number
// and the watermarks only keeps its slots, which replace their processes one after
// the other: see process.Slot. When the new ones do not get ready nothing is changed,
// and the error wraps ErrKept.
func (s *System) ReplacePool(ctx context.Context, o Pool) error {
	o = o.withDefaults()
	p, err := s.pool(o.Name)
	if err != nil {
		return err
	}
	if err := errors.Join(o.problems()...); err != nil {
		return fmt.Errorf("actors: replace pool %q: %w", o.Name, err)
	}
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	if p.canTurnInto(o) {
		return s.turnInto(ctx, p, o)
	}
	suspended := p.suspended.Load()
	if err := s.remove(ctx, p); err != nil {
		return err
	}
	if err := s.add(ctx, o, p); err != nil {
		return err
	}
	if suspended {
		q, err := s.pool(o.Name)
		if err != nil {
			return err
		}
		q.suspended.Store(true)
		return s.intakeChanged(ctx, q)
	}
	return nil
}
