package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/restart"
	"github.com/magne-actors/magne-actors/supervisor"
)

const (
	// subscribeTimeout bounds the declarations and the basic.consume of a pool.
	// Quorum queues are slow to be declared while a cluster elects leaders.
	subscribeTimeout = 30 * time.Second
	cancelTimeout    = 5 * time.Second
)

// brokerActor owns the session with the broker and the consumers on it. It dials
// again when the session is lost and subscribes again when a consumer is lost;
// neither is a crash, and neither counts towards a restart intensity.
type brokerActor struct {
	dialer    broker.Dialer
	reconnect restart.Backoff
	log       *slog.Logger
	system    *supervisor.System
	stop      *stopping
	status    *brokerStatus
	denied    func(error) // called when the first dial ever is denied
	flights   int         // that all pools may have at once

	self    *actor.PID
	ctx     context.Context // ends with the actor; for the goroutines it owns
	cancel  context.CancelFunc
	epoch   int // of the session; fences messages about older ones
	session broker.Session
	outbox  *outbox
	hanging bool // hangUp is being carried out
	dials   restart.Series
	intakes map[*pool]*intake
}

// intake is the broker actor's side of a pool.
type intake struct {
	pool     *pool
	up       bool // its router is up
	try      int  // of subscribing; fences timers and answers of older ones
	tries    restart.Series
	consumer broker.Consumer
	finish   chan struct{} // closed to tell the pump that we drain
}

func (b *brokerActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		b.self = ctx.Self()
		b.ctx, b.cancel = context.WithCancel(context.Background())
		b.intakes = map[*pool]*intake{}
		b.dials.Backoff = b.reconnect
		b.onDial(&dial{})
	case *actor.Stopping:
		b.onStopping()
	case *dial:
		b.onDial(m)
	case *connected:
		b.onConnected(m)
	case *sessionLost:
		b.onSessionLost(m)
	case *routerUp:
		b.onRouterUp(m)
	case *routerDown:
		b.onRouterDown(m)
	case *subscribe:
		b.onSubscribe(m)
	case *subscribed:
		b.onSubscribed(m)
	case *consumerEnded:
		b.onConsumerEnded(m)
	case *publish:
		b.onPublish(m)
	case *drain:
		b.onDrain()
	case *hangUp:
		b.onHangUp(m)
	case *crashed:
		panic(m.err)
	}
}

func (b *brokerActor) tell(message any) { b.system.Send(b.self, message) }

// own runs f on a goroutine that belongs to the actor: a panic there is a panic
// of the actor.
func (b *brokerActor) own(f func()) {
	guard(f, func(err error) { b.tell(&crashed{err}) })
}

// after sends the message when the next wait of the series is over.
func (b *brokerActor) after(s *restart.Series, message any) time.Duration {
	wait := s.Next(time.Now(), rand.Float64())
	time.AfterFunc(wait, func() { b.tell(message) })
	return wait
}

func (b *brokerActor) onDial(m *dial) {
	if m.epoch != b.epoch || b.session != nil || b.stop.draining.Load() {
		return
	}
	b.epoch++
	epoch, ctx := b.epoch, b.ctx
	b.status.set(intakeConnecting, nil)
	b.own(func() {
		session, err := b.dialer.Dial(ctx)
		b.tell(&connected{epoch, session, err})
	})
}

func (b *brokerActor) onConnected(m *connected) {
	if m.epoch != b.epoch || b.ctx.Err() != nil {
		if m.session != nil {
			b.close(m.session)
		}
		return
	}
	if m.err != nil {
		b.onDialFailed(m.err)
		return
	}
	b.session = m.session
	b.status.reached.Store(true)
	b.dials.Up(time.Now())
	b.outbox = newOutbox(m.session, b.flights)
	b.status.set("connected", nil)
	b.log.Info("connected to the broker")
	session, epoch, outbox, ctx := m.session, m.epoch, b.outbox, b.ctx
	b.own(func() { outbox.run(ctx) })
	b.own(func() {
		select {
		case <-session.Done():
			b.tell(&sessionLost{epoch, session.Err()})
		case <-ctx.Done():
		}
	})
	for _, in := range b.intakes {
		b.subscribeNow(in)
	}
}

func (b *brokerActor) onDialFailed(err error) {
	if errors.Is(err, broker.ErrDenied) && !b.status.reached.Load() {
		b.denied(err)
	}
	b.status.set(intakeConnecting, err)
	wait := b.after(&b.dials, &dial{b.epoch})
	b.log.Warn("cannot reach the broker, trying again", "err", err, "retry_in", wait)
}

func (b *brokerActor) onSessionLost(m *sessionLost) {
	if m.epoch != b.epoch || b.session == nil {
		return
	}
	b.close(b.session)
	b.session, b.outbox = nil, nil
	b.status.reconnects.Add(1)
	b.status.set(intakeConnecting, m.err)
	wait := b.after(&b.dials, &dial{b.epoch})
	b.log.Warn("connection to the broker lost", "err", m.err, "retry_in", wait)
}

func (b *brokerActor) onRouterUp(m *routerUp) {
	in := b.intakes[m.pool]
	if in == nil {
		in = &intake{pool: m.pool, tries: restart.Series{Backoff: b.reconnect}}
		b.intakes[m.pool] = in
	}
	in.up = true
	if b.stop.draining.Load() {
		m.pool.toRouter(&drain{})
		m.pool.toRouter(&intakeClosed{})
		return
	}
	b.subscribeNow(in)
}

func (b *brokerActor) onRouterDown(m *routerDown) {
	in := b.intakes[m.pool]
	if in == nil {
		return
	}
	in.up = false
	in.try++
	m.pool.setIntake(intakeConnecting, nil)
	b.closeConsumer(in)
}

// subscribeNow starts a subscription unless there is one already, or nobody to
// deliver to, or nothing to subscribe on.
func (b *brokerActor) subscribeNow(in *intake) {
	if b.session == nil || !in.up || in.consumer != nil || b.stop.draining.Load() {
		return
	}
	in.try++
	b.onSubscribe(&subscribe{in.pool, in.try})
}

func (b *brokerActor) onSubscribe(m *subscribe) {
	in := b.intakes[m.pool]
	if in == nil || m.try != in.try || b.session == nil || b.stop.draining.Load() {
		return
	}
	win := m.pool.window.Load()
	source := broker.Source{Queue: m.pool.Queue, Credit: m.pool.High, Settled: win.mark.Done}
	session := b.session
	b.own(func() {
		ctx, cancel := context.WithTimeout(b.ctx, subscribeTimeout)
		defer cancel()
		c, err := session.Consume(ctx, source)
		b.tell(&subscribed{m.pool, m.try, win, c, err})
	})
}

func (b *brokerActor) onSubscribed(m *subscribed) {
	in := b.intakes[m.pool]
	if m.try != in.try || b.stop.draining.Load() || b.ctx.Err() != nil {
		if m.consumer != nil {
			b.own(func() { closeSoon(m.consumer.Close) })
		}
		return
	}
	if m.err != nil {
		b.resubscribe(in, intakeDown, fmt.Errorf("consume from queue %q: %w", m.pool.Queue.Name, m.err))
		return
	}
	in.consumer, in.finish = m.consumer, make(chan struct{})
	in.tries.Up(time.Now())
	in.pool.setIntake(intakeConsuming, nil)
	in.pool.log.Info("consuming", "queue", m.pool.Queue.Name, "high", m.pool.High, "low", m.pool.Low)
	p := &pump{pool: in.pool, source: &source{m.consumer, m.window}, finish: in.finish}
	b.own(func() {
		p.run()
		b.tell(&consumerEnded{m.pool, m.consumer, m.consumer.Err()})
	})
}

// resubscribe waits out the backoff after a subscription that failed or died.
func (b *brokerActor) resubscribe(in *intake, word string, err error) {
	if b.session == nil || isDone(b.session.Done()) {
		in.pool.setIntake(intakeConnecting, err)
		return // the next session will subscribe
	}
	in.try++
	wait := b.after(&in.tries, &subscribe{in.pool, in.try})
	in.pool.setIntake(word, err)
	in.pool.log.Error("not consuming", "queue", in.pool.Queue.Name, "err", err, "retry_in", wait)
}

func (b *brokerActor) onConsumerEnded(m *consumerEnded) {
	in := b.intakes[m.pool]
	if b.stop.draining.Load() {
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
	b.resubscribe(in, intakeConnecting, m.err)
}

func (b *brokerActor) onPublish(m *publish) {
	if b.outbox == nil {
		m.answer(broker.ErrClosed)
		return
	}
	b.outbox.put(m)
}

// onDrain cancels the consumers. Their pumps hand back what is still in our
// hands; the session stays for the settlements of what runs.
func (b *brokerActor) onDrain() {
	for _, in := range b.intakes {
		in.try++
		in.pool.setIntake(intakeDraining, nil)
		in.pool.toRouter(&drain{})
		if in.consumer == nil {
			in.pool.toRouter(&intakeClosed{})
			continue
		}
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
}

func (b *brokerActor) onHangUp(m *hangUp) {
	if b.hanging {
		return // asked again; the answer comes when it is done
	}
	b.hanging = true
	session := b.session
	b.session = nil
	b.epoch++ // nothing about the old session matters any more
	b.own(func() {
		defer func() {
			select {
			case m.done <- struct{}{}:
			default: // it was told before
			}
		}()
		if session == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), m.within)
		defer cancel()
		if err := session.Close(ctx); err != nil {
			b.log.Warn("closing the session with the broker", "err", err)
		}
	})
}

func (b *brokerActor) onStopping() {
	b.cancel()
	for _, in := range b.intakes {
		b.closeConsumer(in)
	}
	if b.session != nil {
		b.close(b.session)
	}
}

func (b *brokerActor) closeConsumer(in *intake) {
	c := in.consumer
	in.consumer = nil
	if c != nil && !isDone(c.Done()) {
		b.own(func() { closeSoon(c.Close) })
	}
}

func (b *brokerActor) close(s broker.Session) {
	b.own(func() { closeSoon(s.Close) })
}

// closeSoon closes something that nobody waits for.
func closeSoon(f func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), cancelTimeout)
	defer cancel()
	_ = f(ctx) // it is given up anyway; what is unsettled returns to the queue
}

func isDone(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
