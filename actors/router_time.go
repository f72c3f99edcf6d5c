package actors

import (
	"time"
)

// This file is what the router does because time has passed: timeouts of tasks
// and the end of a drain.

// sweepLater arms the sweep for the oldest assigned flight.
func (r *router) sweepLater() {
	if r.sweeping || r.assigned.head == nil {
		return
	}
	r.sweeping = true
	wait := time.Until(r.assigned.head.assigned) + r.pool.Timeout + r.pool.AbandonAfter
	time.AfterFunc(max(wait, 0), func() { r.tell(&sweep{}) })
}

// onSweep abandons the tasks whose handlers have ignored the end of their
// context. A goroutine cannot be killed: what can be done is to stop waiting.
func (r *router) onSweep() {
	r.sweeping = false
	limit := r.pool.Timeout + r.pool.AbandonAfter
	for f := r.assigned.head; f != nil && time.Since(f.assigned) >= limit; f = r.assigned.head {
		r.assigned.unlink(f)
		if f.state.CompareAndSwap(stateRunning, stateAbandoned) {
			r.abandon(f)
		} else {
			// It has just ended, or its worker has not begun it: look again later.
			f.assigned = time.Now()
			r.assigned.push(f)
		}
	}
	r.dispatch()
	r.sweepLater()
}

// abandon gives up waiting for a running task. Its slot is free again, unless the
// worker has lost as many goroutines as it has slots already: then the slot
// stays taken, so that a pool of stuck handlers cannot grow without bound.
func (r *router) abandon(f *flight) {
	w := &r.workers[f.worker]
	s := w.state
	s.abandoned.Add(1)
	w.lost++
	r.discharge(f)
	err := overdue(r.pool.Timeout, r.pool.AbandonAfter)
	r.pool.log.Error("task abandoned", r.pool.named(f, "worker", r.pool.workerID(f.worker), "err", err)...)
	if w.lost <= r.pool.Slots {
		r.balance.Release(f.worker)
		s.assigned.Add(-1)
		r.pool.system.Send(w.pid, &abandon{f})
	} else {
		w.held++
	}
	f.verdict = judge(r.pool.policyFor(f), pastOf(f.delivery), err, nil, 0.5)
	r.conclude(f)
}

// onDrain hands back what has not started.
func (r *router) onDrain() {
	r.draining = true
	r.handBack()
	r.ledger.each(func(f *flight) {
		if f.phase == onHold {
			// The attempt has been made and must be counted, so its copy goes
			// out now instead of after the wait.
			f.timer.Stop()
			r.publish(f)
		}
	})
	r.checkDrained()
}

// onCutoff cancels the tasks that run; those that return within the grace are
// still settled by their result. A second one shortens the grace.
func (r *router) onCutoff(m *cutoff) {
	r.cut = m.cause
	r.cancel(m.cause) // the first cause stays
	time.AfterFunc(m.grace, func() { r.tell(&giveUp{}) })
}

// onGiveUp hands back the deliveries of tasks that did not even return when they
// were cancelled, and of copies that could not be published.
func (r *router) onGiveUp() {
	r.ledger.each(func(f *flight) {
		if f.phase == withWorker && !r.revoke(f) {
			if !f.state.CompareAndSwap(stateRunning, stateAbandoned) {
				return // it has just ended; its result is on the way
			}
			r.workers[f.worker].state.abandoned.Add(1)
			r.workers[f.worker].lost++
			r.unassign(f)
		}
		r.settle(f, f.returned())
	})
}

// checkDrained tells the runtime when the last delivery is settled.
func (r *router) checkDrained() {
	if r.draining && r.closed && r.ledger.len() == 0 && !isDone(r.pool.drained) {
		close(r.pool.drained)
	}
}
