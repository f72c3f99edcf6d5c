package actors

import (
	"context"
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/credit"
	"github.com/magne-actors/magne-actors/supervisor"
)

// router owns every delivery of a pool from its arrival to its settlement: it
// gives it to the least loaded worker, and it alone decides whether the delivery
// is acked, handed back, retried or dead-lettered.
type router struct {
	pool *pool

	self     *actor.PID
	cancel   context.CancelCauseFunc // of the context of all tasks
	ledger   ledger
	backlog  backlog
	isolated isolation // of suspects
	assigned assignedList
	balance  *credit.Balancer // of r.workers
	workers  []seat
	sweeping bool // a sweep is due
	draining bool
	closed   bool // no more arrivals will come
	cut      error

	stopping   bool             // by its supervisor
	unanswered map[*flight]bool // whose copies it waits for then
}

// seat is the router's entry for a worker.
type seat struct {
	state      *workerState
	up         bool
	pid        *actor.PID
	generation int64
	lost       int // abandoned tasks whose end has not been reported
	held       int // slots that some of them keep occupied
}

func (r *router) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *arrivals:
		r.onArrivals(m)
	case *finished:
		r.onFinished((*flight)(m))
	case *published:
		r.onPublished(m)
		delete(r.unanswered, m.flight)
		r.checkAnswered(ctx)
	case *workerUp:
		r.onWorkerUp(m)
	case *workerDown:
		r.onWorkerDown(m)
	case *consumerLost:
		r.onConsumerLost(m.source)
		r.forgetDropped()
		r.checkAnswered(ctx)
	case *awaited:
		r.onAwaited(m.flight)
	case *retryDue:
		r.onRetryDue(m.flight)
	case *republish:
		r.onRepublish(m.flight)
	case *sweep:
		r.onSweep()
	case *census:
		r.onCensus(m)
	case *handBack:
		r.onHandBack(m)
	case *limits:
		r.onLimits(m)
	case *workerAble:
		r.onWorkerAble(m)
	case *burstOver:
		r.onBurstOver(ctx)
	case *drain:
		r.onDrain()
	case *intakeClosed:
		r.closed = true
		r.checkDrained()
	case *cutoff:
		r.onCutoff(m)
	case *giveUp:
		r.onGiveUp()
	case *supervisor.Drain:
		r.onStop(ctx)
	case *stopNow:
		r.onStopNow(ctx)
	case *actor.Started:
		r.onStarted(ctx.Self())
	case *actor.Stopping:
		r.onStopping()
	}
}

func (r *router) onStarted(self *actor.PID) {
	r.self = self
	ctx, cancel := context.WithCancelCause(context.Background())
	r.cancel = cancel
	limits := r.pool.limits.Load()
	old := r.pool.window.Swap(&window{credit.NewWatermark(limits.high, limits.low), ctx})
	if old != nil {
		r.pool.pauses.Add(old.mark.Pauses())
	}
	r.pool.backlog.Store(0)
	r.pool.up.Store(0)
	r.pool.bare.Store(true)
	r.pool.orphans.Store(0)
	r.pool.copies.set(0)
	r.balance = credit.NewBalancer(0, r.pool.Slots)
	r.beginIsolation()
	for _, w := range r.pool.workers.all() {
		w.assigned.Store(0)
	}
	r.inherit()
}

// seat is the entry of the worker with that index, which may be new.
func (r *router) seat(worker int) *seat {
	for len(r.workers) <= worker {
		r.workers = append(r.workers, seat{state: r.pool.grow(len(r.workers))})
	}
	r.balance.Grow(len(r.workers))
	return &r.workers[worker]
}

// onStopping leaves the deliveries to the broker actor, which closes their
// consumer when the router goes down: they are lost to us.
func (r *router) onStopping() {
	r.cancel(errReplaced)
	r.ledger.each(func(f *flight) {
		if f.timer != nil {
			f.timer.Stop()
		}
		r.pool.counters.lost.Add(int64(len(f.claims)))
		r.bequeath(f)
	})
}

func (r *router) tell(message any) { r.pool.system.Send(r.self, message) }

func (r *router) onArrivals(m *arrivals) {
	if r.stopping {
		return // they return to the queue with the consumer
	}
	n := int64(len(m.flights))
	r.pool.counters.delivered.Add(n)
	number := r.pool.numbers.Add(n) - n
	for _, f := range m.flights {
		number++
		f.number, f.lost = number, r.pool.lostUnder(f.delivery)
		// A consumer of the router before us may deliver until it is closed; the
		// context of its tasks has ended already.
		old := f.source.window != r.pool.window.Load()
		if !old && r.known(f) {
			continue
		}
		r.ledger.add(f)
		r.pool.shown.grow(f.slot)
		if old || r.draining || r.pool.heldBy() != "" {
			r.settle(f, broker.Requeue)
			continue
		}
		r.line(f).push(f)
	}
	r.dispatch()
}

// dispatch gives flights to workers as long as there are both.
func (r *router) dispatch() {
	if r.stopping {
		return
	}
	r.isolate()
	for r.backlog.n > 0 {
		i, ok := r.balance.Acquire()
		if !ok {
			break
		}
		r.isolated.ward.Assigned()
		r.assign(r.backlog.pop(), i)
	}
	r.countWaiting()
}

func (r *router) assign(f *flight, worker int) {
	w := &r.workers[worker]
	f.phase, f.worker = withWorker, worker
	w.state.assigned.Add(1)
	if r.pool.Timeout > 0 {
		f.assigned = time.Now()
		r.assigned.push(f)
		r.sweepLater()
	}
	r.pool.system.Send(w.pid, (*assign)(f))
}

// unassign gives the slot of a flight back.
func (r *router) unassign(f *flight) {
	r.balance.Release(f.worker)
	r.workers[f.worker].state.assigned.Add(-1)
	r.discharge(f)
	if r.pool.Timeout > 0 {
		r.assigned.unlink(f)
	}
}

func (r *router) onFinished(f *flight) {
	switch {
	case f.state.Load() == stateAbandoned:
		r.onLate(f)
	case !r.ledger.has(f):
		r.onForeign(f)
	default:
		r.unassign(f)
		r.conclude(f)
	}
	r.dispatch()
}

// onLate handles the end of a task that had been abandoned. What becomes of its
// delivery was decided then; here it is about the slot and the thread only.
func (r *router) onLate(f *flight) {
	if f.source.window != r.pool.window.Load() {
		return // it was run for a router before us, and never had a slot of ours
	}
	w := &r.workers[f.worker]
	w.lost--
	if w.held == 0 {
		return
	}
	w.held--
	r.balance.Release(f.worker)
	w.state.assigned.Add(-1)
	// The thread that f has freed may be an old one, and the present one stuck.
	r.pool.system.Send(w.pid, &abandon{f})
}

// conclude carries out the verdict on a flight that is with no worker any more.
func (r *router) conclude(f *flight) {
	switch v := &f.verdict; {
	case r.bereft(f):
		if v.isResult() {
			r.pool.counters.outlived.Add(1)
		}
		r.outlive(f)
	case v.action == ackIt:
		r.settle(f, broker.Ack)
	case v.action == requeueIt:
		r.settle(f, broker.Requeue)
	case v.action == deadLetterIt:
		r.logDeadLetter(f)
		f.outgoing = deadLetter(f.delivery, r.pool, v, time.Now())
		r.publish(f)
	case v.action == againIt:
		r.again(f)
	case v.action == retryIt:
		f.outgoing = nextAttempt(f.delivery, r.pool, v, time.Now())
		r.hold(f)
	}
}

func (r *router) logDeadLetter(f *flight) {
	v := &f.verdict
	r.pool.log.Warn("dead-lettering a message", v.attrs(r.pool.named(f,
		"queue", r.pool.Queue.Dead.Name, "reason", v.reason, "attempt", v.attempt)...)...)
}

func (r *router) after(f *flight, wait time.Duration, message any) {
	f.timer = time.AfterFunc(wait, func() { r.tell(message) })
}

func (r *router) onRetryDue(f *flight) {
	if r.ledger.has(f) && f.phase == onHold {
		r.publish(f)
	}
}

func (r *router) publish(f *flight) {
	r.ledger.publish(f)
	r.pool.copies.set(r.ledger.out)
	f.timer = nil
	if r.stopping {
		return
	}
	r.pool.send(r.pool.broker, &publish{r.pool, f, f.claims[0].source.consumer, time.Now()})
}

func (r *router) onRepublish(f *flight) {
	if r.ledger.has(f) {
		r.publish(f)
	}
}

// onPublished acks a delivery once the broker has its copy. Until then it stays
// unsettled, however often the publication fails.
func (r *router) onPublished(m *published) {
	f := m.flight
	if !r.ledger.has(f) {
		if m.err == nil && m.release == nil && f.key.id != "" {
			r.pool.memory.copied(f.key, r.sum(f))
		}
		m.resolve(false)
		return
	}
	f.copied = m.err == nil && m.release == nil
	switch {
	case r.bereft(f):
		r.outlive(f)
		m.resolve(false)
	case m.err == nil:
		r.onConfirmed(f)
		m.resolve(r.settle(f, broker.Ack))
	case r.cut != nil:
		r.settle(f, f.returned())
	case f.delayed && cannotDelay(m.err):
		r.onUndelayed(f, m.err)
	case errors.Is(m.err, broker.ErrInvalid) && !f.stripped:
		r.pool.log.Warn("the copy of a message is published without its headers", r.pool.named(f, "err", m.err)...)
		f.stripped = true
		strip(f.outgoing)
		r.publish(f)
	default:
		r.republishLater(f, m.err)
	}
}

// republishLater tries again to publish the copy of a flight.
func (r *router) republishLater(f *flight, err error) {
	f.tries++
	if errors.Is(err, broker.ErrUnroutable) {
		r.pool.send(r.pool.broker, &redeclare{r.pool, f.outgoing.Exchange == "" && f.outgoing.RoutingKey == r.pool.Queue.Name})
	}
	wait := republishBackoff.Delay(f.tries, 0.5)
	r.pool.setProblem(err)
	r.pool.log.Error("cannot publish a copy of the message, keeping the original", r.pool.named(f,
		"exchange", f.outgoing.Exchange, "routing_key", f.outgoing.RoutingKey, "err", err, "retry_in", wait)...)
	r.after(f, wait, &republish{f})
}

// onConsumerLost forgets what the dead consumer had delivered. Running tasks run
// on; they hold no delivery any more, until it comes again.
func (r *router) onConsumerLost(s *source) {
	r.mourn(s)
	ofIt := func(c claim) bool { return c.source == s }
	r.retain(func(f *flight) bool {
		if !r.lose(f, ofIt) {
			return true
		}
		r.drop(f)
		return false
	})
	r.ledger.each(func(f *flight) {
		switch {
		case f.orphan || !r.lose(f, ofIt):
		case f.phase == onHold || f.phase == publishing:
			r.outlive(f)
		case f.phase != withWorker || r.revoke(f):
			r.drop(f)
		default:
			r.orphan(f)
		}
	})
	r.dispatch()
}

// revoke takes a flight back from its worker unless its task has started.
func (r *router) revoke(f *flight) bool {
	if !f.state.CompareAndSwap(stateQueued, stateRevoked) {
		return false
	}
	r.unassign(f)
	return true
}
