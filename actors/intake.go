package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/restart"
)

// intake is the broker actor's side of a pool.
type intake struct {
	pool     *pool
	up       bool // its router is up
	try      int  // of subscribing; fences timers and answers of older ones
	tries    restart.Series
	consumer broker.Consumer
	finish   chan struct{} // closed to tell the pump that we drain
	source   *source       // of consumer
	credit   int           // of consumer
	declared int           // epoch of the session on which the queue was last declared
	again    time.Time     // when it was last declared because a copy reached no queue
	doubted  time.Time     // when its consumer was last given up because it starved
	rest     time.Duration // from then on until the next one may be
}

// retiree is a consumer that was cancelled and is closed when its last delivery is
// settled.
type retiree struct {
	pool   *pool
	source *source
	ended  bool            // its pump has; until then, the next consumer waits
	done   chan<- struct{} // may be nil
}

func (b *brokerActor) onRouterUp(m *routerUp) {
	in := b.intakes[m.pool]
	if in == nil {
		in = &intake{pool: m.pool, tries: restart.Series{Backoff: resubscribing(b.reconnect)}}
		b.intakes[m.pool] = in
	}
	in.up = true
	if m.pool.isDraining() {
		m.pool.toRouter(&drain{})
		m.pool.toRouter(&intakeClosed{})
		return
	}
	b.look(in)
}

func (b *brokerActor) onRouterDown(m *routerDown) {
	in := b.intakes[m.pool]
	if in == nil {
		return
	}
	in.up = false
	in.try++
	m.pool.happen(liveEvent{kind: liveRetired})
	b.closeConsumers(in)
}

// onIntakeChanged carries out what an operator, or the end of a pool's workers,
// has changed.
func (b *brokerActor) onIntakeChanged(m *intakeChanged) {
	in := b.intakes[m.pool]
	if in == nil || !in.up || m.pool.isDraining() {
		if m.done != nil {
			close(m.done)
		}
		return
	}
	held := m.pool.heldBy() != ""
	if in.consumer != nil && (held || in.credit != m.pool.limits.Load().high) {
		b.retire(in, m.done)
	} else {
		m.pool.toRouter(&handBack{done: m.done})
	}
	b.look(in)
}

// look subscribes if it should, and else sees to it that there is a queue.
func (b *brokerActor) look(in *intake) {
	if in.pool.heldBy() != "" {
		in.try++ // whatever is under way is not wanted
		b.showHeld(in)
	}
	b.subscribeNow(in)
}

func (b *brokerActor) showHeld(in *intake) {
	switch in.pool.heldBy() {
	case "":
	case heldBare:
		in.pool.happen(liveEvent{kind: liveRetired})
	default:
		in.pool.happen(liveEvent{kind: liveHeld})
	}
}

// retire cancels the consumer of an intake and leaves it open for the settlements
// of what runs.
func (b *brokerActor) retire(in *intake, done chan<- struct{}) {
	in.pool.happen(liveEvent{kind: liveRetired})
	b.dismiss(in, done)
}

func (b *brokerActor) dismiss(in *intake, done chan<- struct{}) {
	b.retired[in.consumer] = &retiree{pool: in.pool, source: in.source, done: done}
	b.cancelConsumer(in)
	in.consumer = nil
	in.try++
}

func (b *brokerActor) onConsumerIdle(c broker.Consumer) {
	if _, ok := b.retired[c]; ok {
		delete(b.retired, c)
		b.own(func() { closeSoon(c.Close) })
	}
}

// onLeave drains one pool.
func (b *brokerActor) onLeave(p *pool) {
	if in := b.intakes[p]; in != nil && in.up {
		b.drain(in)
	} else { // its router is down; it will be told when it comes up
		p.toRouter(&drain{})
		p.toRouter(&intakeClosed{})
	}
}

// drain ends an intake for good. Its pump hands back what is still in our hands.
func (b *brokerActor) drain(in *intake) {
	in.try++
	in.pool.happen(liveEvent{kind: liveDrained})
	in.pool.toRouter(&drain{})
	if in.consumer == nil {
		in.pool.toRouter(&intakeClosed{})
		return
	}
	b.cancelConsumer(in)
}

// cancelConsumer has the pump and the broker stop.
func (b *brokerActor) cancelConsumer(in *intake) {
	close(in.finish)
	consumer, log := in.consumer, in.pool.log
	b.own(func() {
		ctx, cancel := context.WithTimeout(b.ctx, cancelTimeout)
		defer cancel()
		if err := consumer.Cancel(ctx); err != nil && b.ctx.Err() == nil {
			// Without a cancel-ok the deliveries would go on; ending the
			// consumer returns them to the queue.
			log.Warn("cannot cancel the consumer, closing it", "err", err)
			closeSoon(consumer.Close)
		}
	})
}

// closeConsumers gives up all consumers of a pool.
func (b *brokerActor) closeConsumers(in *intake) {
	shut := func(c broker.Consumer) {
		if !isDone(c.Done()) {
			b.own(func() { closeSoon(c.Close) })
		}
	}
	if c := in.consumer; c != nil {
		in.consumer = nil
		shut(c)
	}
	for c, r := range b.retired {
		if r.pool == in.pool {
			r.finish()
			delete(b.retired, c)
			shut(c)
		}
	}
}

// finish tells who waits for the consumer's end that nothing more will come of it.
func (r *retiree) finish() {
	if r.done != nil {
		close(r.done)
		r.done = nil
	}
}

// subscribeNow starts a subscription, or a declaration if the pool is held, unless
// there is one already, or nobody to deliver to, or nothing to subscribe on.
func (b *brokerActor) subscribeNow(in *intake) {
	if b.session == nil || !in.up || in.consumer != nil || in.pool.isDraining() {
		return
	}
	for _, r := range b.retired {
		if r.pool == in.pool && !r.ended {
			return // onRetired looks again: two pumps must not raise one watermark
		}
	}
	in.try++
	b.onSubscribe(&subscribe{in.pool, in.try})
}

func (b *brokerActor) onSubscribe(m *subscribe) {
	in := b.intakes[m.pool]
	if in == nil || m.try != in.try || b.session == nil || m.pool.isDraining() {
		return
	}
	if m.pool.heldBy() != "" {
		b.declare(in)
		return
	}
	m.pool.happen(liveEvent{kind: liveTrying})
	win := m.pool.window.Load()
	credit := m.pool.limits.Load().high
	source := broker.Source{Queue: m.pool.Queue, Credit: credit, Settled: win.mark.Done}
	session := b.session
	b.own(func() {
		ctx, cancel := context.WithTimeout(b.ctx, subscribeTimeout)
		defer cancel()
		c, err := session.Consume(ctx, source)
		b.tell(&subscribed{m.pool, m.try, win, credit, c, err})
	})
}

// declare makes the queue of a pool that is held: who publishes does not know that
// no worker has been up yet, and its messages are to wait.
func (b *brokerActor) declare(in *intake) {
	if in.declared == b.epoch {
		return
	}
	session, pool, epoch, try := b.session, in.pool, b.epoch, in.try
	b.own(func() {
		ctx, cancel := context.WithTimeout(b.ctx, subscribeTimeout)
		defer cancel()
		b.tell(&declared{pool, epoch, try, session.Declare(ctx, pool.Queue)})
	})
}

func (b *brokerActor) onDeclared(m *declared) {
	in := b.intakes[m.pool]
	switch {
	case in == nil || m.try != in.try || m.pool.isDraining() || b.ctx.Err() != nil:
	case m.err != nil:
		b.resubscribe(in, liveRefused, fmt.Errorf("declare queue %q: %w", m.pool.Queue.Name, m.err))
	default:
		in.declared = m.epoch
		in.tries.Up(time.Now())
		b.showHeld(in)
	}
}

func (b *brokerActor) onSubscribed(m *subscribed) {
	in := b.intakes[m.pool]
	if in == nil || m.try != in.try || m.pool.isDraining() || b.ctx.Err() != nil {
		if m.consumer != nil {
			b.own(func() { closeSoon(m.consumer.Close) })
		}
		return
	}
	if m.err != nil {
		b.resubscribe(in, liveRefused, fmt.Errorf("consume from queue %q: %w", m.pool.Queue.Name, m.err))
		return
	}
	in.consumer, in.finish, in.credit, in.declared = m.consumer, make(chan struct{}), m.credit, b.epoch
	in.source = &source{consumer: m.consumer, window: m.window, opened: time.Now()}
	in.tries.Up(time.Now())
	in.pool.happen(liveEvent{kind: liveSubscribed, tag: m.consumer.Tag()})
	in.pool.log.Info("consuming", "queue", m.pool.Queue.Name, "high", m.credit, "low", m.pool.limits.Load().low, "tag", m.consumer.Tag())
	b.bindExit(in.pool)
	p := &pump{pool: in.pool, source: in.source, finish: in.finish}
	b.own(func() {
		p.run()
		b.tell(&consumerEnded{m.pool, m.consumer, m.consumer.Err()})
	})
}

// resubscribeWithin bounds the wait for the next attempt to subscribe. It costs the
// broker little, and whatever was in the way may be gone at any time.
const resubscribeWithin = 2 * time.Second

// resubscribing is the backoff of subscriptions on a session that lives.
func resubscribing(b restart.Backoff) restart.Backoff {
	most := time.Duration(float64(resubscribeWithin) / (1 + min(max(b.Jitter, 0), 1)))
	if b.Max <= 0 || b.Max > most {
		b.Max = most
	}
	return b
}

// resubscribe waits out the backoff after a subscription that was refused, or
// ended.
func (b *brokerActor) resubscribe(in *intake, kind liveKind, err error) {
	if b.session == nil || isDone(b.session.Done()) {
		b.offline(in, err)
		return // the next session will subscribe
	}
	in.try++
	wait := b.after(&in.tries, &subscribe{in.pool, in.try})
	before := in.pool.live.Load()
	now := in.pool.happen(liveEvent{kind: kind, err: err, next: time.Now().Add(wait)})
	level := slog.LevelError
	if before.cause == now.cause {
		level = slog.LevelDebug // it was said
	}
	in.pool.log.Log(b.ctx, level, "not consuming", "queue", in.pool.Queue.Name, "err", err, "fault", string(now.fault), "retry_in", wait)
}

// offline says that an intake waits for a session, and why there is none.
func (b *brokerActor) offline(in *intake, err error) {
	if in.pool.heldBy() == "" {
		in.pool.happen(liveEvent{kind: liveOffline, err: err})
	}
}

func (b *brokerActor) onConsumerEnded(m *consumerEnded) {
	if r := b.retired[m.consumer]; r != nil {
		b.onRetired(r, m.consumer)
		return
	}
	in := b.intakes[m.pool]
	if in == nil {
		return
	}
	if m.pool.isDraining() {
		if in.consumer == m.consumer {
			m.pool.toRouter(&intakeClosed{})
		}
		return
	}
	if in.consumer != m.consumer {
		return
	}
	in.consumer = nil
	if m.err == nil {
		m.err = errors.New("the consumer ended")
	}
	b.resubscribe(in, liveEnded, m.err)
}

// onRetired: the pump of a retired consumer has sent its last arrivals.
func (b *brokerActor) onRetired(r *retiree, c broker.Consumer) {
	r.ended = true
	if isDone(c.Done()) { // the pump has told the router of the loss
		delete(b.retired, c)
	} else {
		b.own(r.watch)
	}
	r.pool.toRouter(&handBack{r.source, r.done})
	r.done = nil // the router closes it
	if in := b.intakes[r.pool]; in != nil && in.up && !r.pool.isDraining() {
		b.look(in)
	}
}

// watch tells the router of the death of a retired consumer that has no pump any more,
// also when it is the broker actor that ends: it closes the consumer then, and a flight
// of that whose copy was asked for at that moment has nobody else to free it.
func (r *retiree) watch() {
	<-r.source.consumer.Done()
	r.pool.toRouter(&consumerLost{r.source})
}
