package actors

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/supervisor"
)

// This file is what the router does about workers that come and go, and about an
// intake that is held.

func (r *router) onWorkerUp(m *workerUp) {
	w := r.seat(m.worker)
	if m.generation <= w.generation {
		return
	}
	r.takeBack(m.worker) // in case its end was never told
	w.pid, w.generation = m.pid, m.generation
	r.open(m.worker)
	r.dispatch()
}

func (r *router) onWorkerDown(m *workerDown) {
	if m.generation != r.seat(m.worker).generation {
		return
	}
	r.close(m.worker)
	r.takeBack(m.worker)
	r.dispatch()
}

// onWorkerAble: the process of a slot can, or cannot, take tasks for now.
func (r *router) onWorkerAble(m *workerAble) {
	switch w := r.seat(m.worker); {
	case w.pid == nil || !w.pid.Equal(m.pid):
		return // of an earlier generation, or before it is up
	case m.able:
		r.open(m.worker)
	default:
		r.close(m.worker)
		r.takeBack(m.worker)
	}
	r.dispatch()
}

func (r *router) open(worker int) {
	if w := &r.workers[worker]; !w.up {
		w.up = true
		r.pool.up.Add(1)
		if !r.isolated.ward.Keeps(worker) {
			r.balance.Up(worker)
		}
		if r.pool.bare.CompareAndSwap(true, false) {
			r.pool.send(r.pool.broker, &intakeChanged{pool: r.pool})
		}
	}
}

func (r *router) close(worker int) {
	if w := &r.workers[worker]; w.up {
		w.up = false
		r.pool.up.Add(-1)
		r.balance.Down(worker)
	}
}

// takeBack puts what a dead generation of the worker had not started at the head
// of the backlog. What it had started reports by itself.
func (r *router) takeBack(worker int) {
	r.ledger.each(func(f *flight) {
		if f.phase == withWorker && f.worker == worker && r.revoke(f) {
			r.renew(f)
		}
	})
}

// renew puts the delivery of f, which is with no worker any more, at the head of
// the backlog.
func (r *router) renew(f *flight) {
	fresh := f.again()
	r.ledger.replace(f, fresh)
	r.line(fresh).pushFront(fresh)
}

// again gives a flight that its worker did not start to another one.
func (r *router) again(f *flight) {
	f.bounces++
	if r.draining || r.pool.heldBy() != "" || f.bounces > maxBounces {
		r.settle(f, broker.Requeue)
		return
	}
	r.renew(f)
}

// onHandBack follows the last arrivals of a consumer that was cancelled, if there
// was one. While the pool is held, what has not started returns to the queue.
func (r *router) onHandBack(m *handBack) {
	if r.pool.heldBy() != "" {
		r.handBack()
	}
	if m.source != nil {
		if m.source.isolated.Load() { // what waits would be late as well
			r.handBackOf(m.source)
		}
		m.source.retired = true
		r.checkRetired(m.source)
	}
	if m.done != nil {
		close(m.done)
	}
}

// handBack returns what has not started to the queue.
func (r *router) handBack() {
	r.retain(func(f *flight) bool {
		r.settle(f, broker.Requeue)
		return false
	})
	r.isolate() // there is nobody to keep a worker for
	r.countWaiting()
	r.ledger.each(func(f *flight) {
		if f.phase == withWorker && r.revoke(f) {
			r.settle(f, broker.Requeue)
		}
	})
}

// checkRetired has a retired consumer closed when its last delivery is settled.
func (r *router) checkRetired(s *source) {
	if s.retired && s.open == 0 {
		s.retired = false // once is enough
		r.pool.send(r.pool.broker, &consumerIdle{s.consumer})
	}
}

// onBurstOver ends the router, and with it the pool, unless something has arrived.
func (r *router) onBurstOver(ctx actor.Context) {
	if r.ledger.len() == 0 && !r.draining {
		if !isDone(r.pool.drained) { // else a router before us has, and was restarted
			close(r.pool.drained)
		}
		supervisor.Quit(ctx, nil)
	}
}

func (r *router) onLimits(m *limits) {
	r.pool.window.Load().mark.Set(m.high, m.low)
	r.pool.memory.resize(recentFor(m.high))
}
