package actors

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/ladder"
)

// This file is where the wait before the next run of a task is spent: in the router,
// with the delivery unsettled, or in the broker's ladder of delay queues.

const (
	// applyTimeout bounds the declaration of the ladder, which takes RabbitMQ 2 s.
	applyTimeout = 30 * time.Second
	// pauseTime is how long nothing is delayed on a broker that could not.
	pauseTime = time.Minute
)

// ladderPause is for a ladder that did not work.
type ladderPause struct {
	until time.Time // when it is tried again
	why   error
}

// delays is what is known of the ladder at the broker; all pools share it.
type delays struct {
	declared atomic.Bool // by this process
}

// poolDelays is what is known of a pool's way through the ladder.
type poolDelays struct {
	exits  atomic.Bool                 // the ladder leads into the queue, by our binding
	warned atomic.Bool                 // that it may not lead there
	pause  atomic.Pointer[ladderPause] // nil: the ladder works as far as we know
	routes bool                        // the queue's name can be delayed for
}

// usable reports whether the ladder may be tried.
func (d *poolDelays) usable(now time.Time) bool {
	pause := d.pause.Load()
	return d.routes && (pause == nil || !now.Before(pause.until))
}

// place is where a wait is spent.
type place uint8

const (
	nowhere   place = iota + 1 // there is none
	inProcess                  // in the router
	onBroker                   // on the ladder
)

// situation is what decides about the place of a wait.
type situation struct {
	wait, hold time.Duration
	delay      Delay
	held, room int  // flights that wait in the router, and how many may
	usable     bool // the ladder
	draining   bool
}

// place decides. It is pure.
func (s situation) place() place {
	broker := s.delay == DelayDurable || s.delay == DelayAuto && s.usable
	switch {
	case s.wait <= 0, s.draining && (s.wait <= s.hold || !broker):
		return nowhere // it ends now: the attempt has been made and must be counted
	case !broker, s.wait <= s.hold && s.held < s.room:
		return inProcess
	default:
		return onBroker
	}
}

// hold spends the wait before the next run of a flight that has its copy. In the
// router the delivery stays unsettled: if this process dies the broker has it still.
func (r *router) hold(f *flight) {
	v, policy, now := &f.verdict, r.pool.policyOf(f), time.Now()
	s := situation{
		wait: v.after, hold: policy.Hold, delay: policy.Delay, draining: r.draining,
		held: r.ledger.held, room: max(1, r.pool.limits.Load().high/10),
		// A burst ends when the queue is empty, and what is on the ladder is in no queue.
		usable: r.pool.burst == nil && r.pool.delays.usable(now),
	}
	where := s.place()
	if where == inProcess {
		v.after = policy.inMemory(v.after)
	}
	r.pool.log.Info("attempt failed", v.attrs(r.pool.named(f, "attempt", v.attempt, "retry_in", v.after, "on_broker", where == onBroker)...)...)
	switch where {
	case inProcess:
		r.ledger.hold(f)
		r.after(f, v.after, &retryDue{f})
		return
	case onBroker:
		f.delayed = true
		onLadder(f.outgoing, v.after, r.pool.Queue.Name, now)
	case nowhere:
	}
	r.publish(f)
}

// insists reports whether some wait must be spent on the broker.
func (r *Retry) insists() bool {
	insists := r.Delay == DelayDurable
	for _, t := range r.Tasks {
		insists = insists || t.Delay == DelayDurable
	}
	return insists
}

// inMemory bounds a wait in this process.
func (r *Retry) inMemory(wait time.Duration) time.Duration {
	if r.Backoff.Max > 0 {
		wait = min(wait, max(r.Hold, r.Backoff.Max))
	}
	return wait
}

// onLadder has a copy arrive in the queue after a wait. An expiry of the publisher
// would end the wait early.
func onLadder(c *broker.Publication, wait time.Duration, queue string, now time.Time) {
	c.Exchange, c.RoutingKey = ladder.RouteRetry(wait, queue)
	c.Expiration = ""
	c.Headers[ladder.HeaderETA] = now.Add(ladder.RetryDelay(wait)).UTC().Format(ladder.ETAFormat)
	c.Headers[ladder.HeaderQueue] = queue
}

// offLadder has it arrive at once.
func offLadder(c *broker.Publication, queue, expiration string) {
	c.Exchange, c.RoutingKey, c.Expiration = "", queue, expiration
	delete(c.Headers, ladder.HeaderETA)
	delete(c.Headers, ladder.HeaderQueue)
}

// ladderError says that the broker does not have the ladder and does not let us make it.
type ladderError struct{ err error }

func (e *ladderError) Error() string { return e.err.Error() }
func (e *ladderError) Unwrap() error { return e.err }

// prepare makes what a delay takes, once: it blocks for 2 s the first time. A pool that
// does not create its queue creates nothing here either.
func (p *pool) prepare(ctx context.Context, s broker.Session) error {
	if p.Queue.Declare != broker.DeclareCreate || p.ladder.declared.Load() && p.delays.exits.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	if !p.ladder.declared.Load() {
		if err := s.Apply(ctx, ladder.Topology()); err != nil {
			return asLadderError(s, err)
		}
		p.ladder.declared.Store(true)
		p.log.Info("declared the queues for delays", "exchange", ladder.DelayExchange(0))
	}
	if err := s.Apply(ctx, ladder.Exit(p.Queue.Name)); err != nil {
		return asLadderError(s, err)
	}
	p.delays.exits.Store(true)
	return nil
}

// asLadderError tells a refusal from the end of the session.
func asLadderError(s broker.Session, err error) error {
	if isDone(s.Done()) {
		return err
	}
	return &ladderError{fmt.Errorf("declare the queues for delays: %w", err)}
}

// bindExit leads what waits on the ladder into a queue that may be new, or was made by
// somebody who knows nothing of delays. That there is no ladder is no trouble: it is
// made when it is needed, or the waits are spent here.
func (b *brokerActor) bindExit(p *pool) {
	if !p.delays.routes || p.Retry.Delay == DelayMemory && !p.Retry.insists() {
		return
	}
	session := b.session
	if session == nil {
		return // it was lost before the answer to the subscription was heard
	}
	p.delays.exits.Store(false)
	b.own(func() {
		ctx, cancel := context.WithTimeout(b.ctx, applyTimeout)
		defer cancel()
		err := session.Apply(ctx, ladder.Exit(p.Queue.Name))
		p.delays.exits.Store(err == nil)
		if errors.Is(err, broker.ErrForbidden) && p.delays.warned.CompareAndSwap(false, true) {
			p.warnUnbound(err)
		}
	})
}

// warnUnbound: AMQP lists no bindings. Who may not bind cannot tell whether somebody
// else has, and the broker takes a delayed copy in either case.
func (p *pool) warnUnbound(err error) {
	p.log.Warn("cannot tell whether retries that wait on the broker come back to the queue: without a binding from the exchange they end in the other one",
		"queue", p.Queue.Name, "exchange", ladder.DeliverExchange, "other", ladder.UndeliveredQueue, "err", err, "longer_than", p.Retry.Hold,
		"do", fmt.Sprintf("`magne-actors topology apply` binds it, and `magne-actors topology plan --management URL` shows whether it is bound; "+
			"a user who may write %s and read %s binds it here", p.Queue.Name, ladder.DeliverExchange))
}

// cannotDelay reports whether a publication to the ladder failed because of the ladder.
func cannotDelay(err error) bool {
	_, refused := errors.AsType[*ladderError](err)
	return refused || errors.Is(err, broker.ErrTopology) || errors.Is(err, broker.ErrUnroutable) || errors.Is(err, broker.ErrForbidden)
}

// onUndelayed handles a copy that the ladder did not take. Perhaps it was there once:
// then it is made again. Else the wait is spent here, unless the policy insists.
func (r *router) onUndelayed(f *flight, err error) {
	d := &r.pool.delays
	_, refused := errors.AsType[*ladderError](err)
	if r.pool.Queue.Declare == broker.DeclareCreate {
		r.pool.ladder.declared.Store(false)
		d.exits.Store(false)
		if !refused && f.tries == 0 {
			f.tries++
			r.publish(f)
			return
		}
	}
	what := fmt.Errorf("%w: messages cannot wait on the broker before they are tried again; %s", err, remedy(err))
	if r.pool.policyOf(f).Delay == DelayDurable {
		r.republishLater(f, what)
		return
	}
	if d.pause.Swap(&ladderPause{time.Now().Add(pauseTime), what}) == nil {
		r.pool.log.Warn("retries wait in this process, with their deliveries unsettled", "queue", r.pool.Queue.Name, "err", what)
	}
	r.pool.setProblem(what)
	f.delayed = false
	offLadder(f.outgoing, r.pool.Queue.Name, f.delivery.Expiration)
	f.verdict.after = r.pool.policyOf(f).inMemory(f.verdict.after)
	if r.draining {
		r.publish(f)
		return
	}
	r.ledger.hold(f)
	r.pool.copies.set(r.ledger.out)
	r.after(f, f.verdict.after, &retryDue{f})
}

// remedy is what to do about a ladder that did not work.
func remedy(err error) string {
	const apply = "`magne-actors topology apply`"
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("the broker was too slow: it is tried again in %v; %s makes the queues before they are needed", pauseTime, apply)
	}
	return "run " + apply + " as a user who may configure what begins with magne.v1"
}

// onConfirmed notes that the broker has taken a copy: what was wrong with publishing is
// over, and with the ladder, if it went there.
func (r *router) onConfirmed(f *flight) {
	d := &r.pool.delays
	if f.delayed && d.pause.Swap(nil) != nil {
		r.pool.log.Info("retries wait on the broker again", "queue", r.pool.Queue.Name)
	}
	r.pool.copies.move()
	r.pool.problem.Store(nil)
	if pause := d.pause.Load(); pause != nil {
		r.pool.setProblem(pause.why)
	}
}
