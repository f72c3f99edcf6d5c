package actors

import (
	"cmp"
	"context"
	"time"

	"github.com/magne-actors/magne-actors/supervisor"
)

// load is what the size of a pool follows.
type load struct {
	workers int // that there are
	idle    int // of those
	waiting int // deliveries that no worker has a slot for, but suspects: those wait for one to themselves
}

// sizer decides how many workers a pool has. It is pure: it is told the time.
type sizer struct {
	Size
	waitingSince, idleSince time.Time // zero: it is not so
}

// next is the number of workers to have now.
//
// One is added when deliveries have waited for ScaleUpAfter, then another one after
// as long again, and at once as long as fewer than Spare are idle. One is taken
// away when more than Spare have been idle for IdleTTL.
func (s *sizer) next(l load, now time.Time) int {
	since := func(t *time.Time, so bool) time.Duration {
		switch {
		case !so:
			*t = time.Time{}
			return -1
		case t.IsZero():
			*t = now
		}
		return now.Sub(*t)
	}
	waited, idled := since(&s.waitingSince, l.waiting > 0), since(&s.idleSince, l.waiting == 0 && l.idle > s.Spare)
	switch {
	case l.workers < s.Min:
		return s.Min
	case l.workers > s.Max:
		return s.Max
	case l.workers < s.Max && (waited >= s.ScaleUpAfter || l.idle < s.Spare):
		s.waitingSince = time.Time{}
		return l.workers + 1
	case l.workers > s.Min && idled >= s.IdleTTL:
		s.idleSince = time.Time{}
		return l.workers - 1
	}
	return l.workers
}

func (s Size) withDefaults() Size {
	s.Min = cmp.Or(s.Min, 1)
	s.Max = max(s.Max, s.Min)
	s.IdleTTL, s.ScaleUpAfter = cmp.Or(s.IdleTTL, time.Minute), cmp.Or(s.ScaleUpAfter, 200*time.Millisecond)
	return s
}

const (
	lookEvery  = 50 * time.Millisecond // at the load
	scaleLimit = time.Minute           // for one worker more or less; longer, and it goes on without us
)

// services are the helpers of a pool, which stand last in its tree.
func (p *pool) services() []supervisor.Child {
	var list []supervisor.Child
	if p.Size != nil {
		list = append(list, supervisor.Child{ID: "size:" + p.Name, Kind: "control", Producer: supervisor.Service(p.log, p.followLoad)})
	}
	if p.burst != nil {
		list = append(list, supervisor.Child{ID: "burst:" + p.Name, Kind: "control", Producer: supervisor.Service(p.log, p.awaitEmpty)})
	}
	return list
}

// followLoad scales the pool until ctx ends.
func (p *pool) followLoad(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var s sizer
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			size := int(p.size.Load())
			s.Size = *p.sizing.Load()
			if p.parked.Load() || p.isDraining() {
				continue
			}
			if next := s.next(p.load(size), now); next != size {
				p.resize(ctx, size, next)
			}
		}
	}
}

func (p *pool) load(size int) load {
	l := load{workers: size, waiting: int(p.backlog.Load() - p.suspects.Load())}
	for i, w := range p.workers.all() {
		if i < size && w.assigned.Load() == 0 {
			l.idle++
		}
	}
	return l
}

func (p *pool) resize(ctx context.Context, size, next int) {
	p.log.Info("following the load", "workers", size, "to", next)
	ctx, cancel := context.WithTimeout(ctx, scaleLimit)
	defer cancel()
	if err := p.scale(ctx, next); err != nil && ctx.Err() == nil {
		p.log.Warn("cannot change the number of workers", "to", next, "err", err)
	}
}

const (
	emptyEvery   = 100 * time.Millisecond // look at the queue of a burst
	emptyTimeout = 5 * time.Second
)

// awaitEmpty ends the pool when its queue has been found empty twice in a row, with
// nothing in flight here.
func (p *pool) awaitEmpty(ctx context.Context) error {
	tick := time.NewTicker(emptyEvery)
	defer tick.Stop()
	empty := 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		delivered := p.counters.delivered.Load()
		if ready, err := p.ready(ctx); err != nil || ready > 0 || p.live.Load().state != LiveConsuming || p.inFlight() > 0 ||
			p.counters.delivered.Load() != delivered {
			empty = 0
			continue
		}
		if empty++; empty == 2 {
			p.log.Info("the queue is empty")
			p.toRouter(&burstOver{})
		}
	}
}

// ready is how many messages the pool's queue has for anybody.
func (p *pool) ready(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, emptyTimeout)
	defer cancel()
	return p.burst(ctx, p.Queue.Name)
}

func (p *pool) inFlight() int64 {
	if w := p.window.Load(); w != nil {
		return w.mark.Depth()
	}
	return 0
}
