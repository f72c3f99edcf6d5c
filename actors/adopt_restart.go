package actors

import (
	"time"

	"github.com/magne-actors/magne-actors/broker"
)

// This file is what a router does about tasks that run on after the router before it
// has ended. Their deliveries are lost, and their contexts cancelled.

// bequeath leaves to the next router what f runs or what has become of it. What its
// worker has not begun it must not begin any more: the message comes again.
func (r *router) bequeath(f *flight) {
	f.state.CompareAndSwap(stateQueued, stateRevoked)
	if f.key.id == "" {
		return
	}
	switch f.phase {
	case onHold, publishing:
		r.remember(f)
	case withWorker:
		switch f.state.Load() {
		case stateRunning, stateEnding:
			f.heir = nil
			r.pool.foreign[f.key] = f
		case stateDone: // we do not get to what the worker says of it
			r.remember(f)
		default:
			r.pool.memory.forget(f.key)
		}
	case inBacklog, awaiting:
		r.pool.memory.forget(f.key)
	}
}

// await has f wait for the end of first, which runs the same message for no router.
// It waits as long as a task may ignore the end of its context.
func (r *router) await(first, f *flight) {
	if first.heir != nil && r.ledger.has(first.heir) {
		r.join(first.heir, f)
		return
	}
	r.pool.counters.adopted.Add(1)
	r.pool.log.Debug("a message that came again is still run from before the restart", "task_id", first.key.id)
	r.ledger.add(f)
	r.pool.shown.grow(f.slot)
	f.phase, first.heir = awaiting, f
	r.after(f, r.pool.AbandonAfter, &awaited{f})
	if first.state.Load() == stateDone {
		r.onForeign(first) // nobody may tell us of it: there was no router when it ended
	}
}

// inherit takes the results of what has ended while there was no router.
func (r *router) inherit() {
	for _, f := range r.pool.foreign {
		if f.state.Load() == stateDone {
			r.onForeign(f)
		}
	}
}

// onForeign takes the result of a flight of a router before us.
func (r *router) onForeign(f *flight) {
	if f.key.id == "" || r.pool.foreign[f.key] != f {
		return
	}
	delete(r.pool.foreign, f.key)
	heir := f.heir
	if heir == nil || !r.ledger.has(heir) {
		if f.verdict.isResult() {
			r.pool.counters.outlived.Add(1)
		}
		r.remember(f)
		return
	}
	heir.timer.Stop()
	if f.verdict.isResult() {
		heir.verdict = f.verdict
		r.conclude(heir)
	} else {
		r.start(heir)
	}
}

// awaitEnd is the wait for a worker that is noting the result of its task.
const awaitEnd = 10 * time.Millisecond

// onAwaited: f has waited for a task that does not end.
func (r *router) onAwaited(f *flight) {
	if !r.ledger.has(f) || f.phase != awaiting {
		return
	}
	if first := r.pool.foreign[f.key]; first != nil {
		switch {
		case first.state.Load() == stateDone:
			r.onForeign(first)
			return
		case !first.state.CompareAndSwap(stateRunning, stateAbandoned):
			r.after(f, awaitEnd, &awaited{f}) // it is just ending
			return
		}
		delete(r.pool.foreign, f.key)
		r.pool.workers.all()[first.worker].abandoned.Add(1)
		r.pool.log.Error("task abandoned: it ignores that its context ended when the router was restarted", "task_id", first.key.id)
	}
	r.start(f)
}

// start runs f after all.
func (r *router) start(f *flight) {
	f.phase, f.timer = inBacklog, nil
	if r.draining || r.pool.heldBy() != "" {
		r.settle(f, broker.Requeue)
		return
	}
	r.line(f).push(f)
	r.dispatch()
}

// follow takes over what old, whose router has ended, remembers of the same queue.
func (p *pool) follow(old *pool) {
	if old != nil && old.Queue.Name == p.Queue.Name {
		p.memory, p.seed = old.memory, old.seed
		p.memory.resize(recentFor(p.High))
	}
}
