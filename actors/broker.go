package actors

import (
	"context"
	"errors"
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
	// blockedEvery is how often a session is asked whether the broker blocks it.
	blockedEvery = 500 * time.Millisecond
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
	flights   func() int  // that all pools may have at once
	guard     ackGuard
	notify    func(supervisor.Event)
	spool     broker.Spool // nil: none

	self    *actor.PID
	ctx     context.Context // ends with the actor; for the goroutines it owns
	cancel  context.CancelFunc
	epoch   int // of the session; fences messages about older ones
	session broker.Session
	outbox  *outbox
	lost    string // why there is no session
	hanging bool   // hangUp is being carried out
	blocked bool   // the broker takes no publications
	dials   restart.Series
	intakes map[*pool]*intake
	retired map[broker.Consumer]*retiree
}

func (b *brokerActor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		b.onStarted(ctx.Self())
	case *actor.Stopping:
		b.onStopping()
	case *dial:
		b.onDial(m)
	case *connected:
		b.onConnected(m)
	case *sessionLost:
		b.onSessionLost(m)
	case *sessionBlocked:
		b.onSessionBlocked(m)
	case *routerUp:
		b.onRouterUp(m)
	case *routerDown:
		b.onRouterDown(m)
	case *subscribe:
		b.onSubscribe(m)
	case *subscribed:
		b.onSubscribed(m)
	case *starving:
		b.onStarving(m)
	case *redeclared:
		b.onRedeclared(m)
	case *redeclare:
		b.onRedeclare(m)
	case *declared:
		b.onDeclared(m)
	case *consumerEnded:
		b.onConsumerEnded(m)
	case *intakeChanged:
		b.onIntakeChanged(m)
	case *consumerIdle:
		b.onConsumerIdle(m.consumer)
	case *leave:
		b.onLeave(m.pool)
	case *left:
		delete(b.intakes, m.pool)
	case *publish:
		b.onPublish(m)
	case *drain:
		b.onDrain()
	case *hangUp:
		b.onHangUp(m)
	case *guardTick:
		b.onGuardTick()
	case *isolate:
		b.onIsolate(m)
	case *isolatedEnded:
		b.onIsolatedEnded(m)
	case *crashed:
		panic(m.err)
	}
}

func (b *brokerActor) onStarted(self *actor.PID) {
	b.self = self
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.intakes = map[*pool]*intake{}
	b.retired = map[broker.Consumer]*retiree{}
	b.dials.Backoff = b.reconnect
	b.onDial(&dial{})
	b.guardLater()
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

// report tells an event of the connection.
func (b *brokerActor) report(e supervisor.Event) {
	if b.notify != nil {
		e.Time, e.ID, e.Kind = time.Now(), "broker", "broker"
		b.notify(e)
	}
}

// reportLost tells that there is no session, by the name of the fault first.
func (b *brokerActor) reportLost(err error, wait time.Duration) {
	e := supervisor.Event{Type: supervisor.EventType(broker.FaultOf(err)), Delay: wait}
	if err != nil {
		e.Error = err.Error()
	}
	if e.Type != EventConnectionLost && err != nil {
		b.report(e)
	}
	e.Type = EventConnectionLost
	b.report(e)
}

func (b *brokerActor) onDial(m *dial) {
	if m.epoch != b.epoch || b.session != nil || b.stop.draining.Load() {
		return
	}
	b.epoch++
	epoch, ctx := b.epoch, b.ctx
	b.status.set(sessionState{word: LiveConnecting, err: b.lost})
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
	b.outbox = newOutbox(m.session, b.spool, b.flights())
	b.lost, b.blocked = "", false
	address := addressOf(m.session)
	b.status.session.Store(&m.session)
	b.status.set(sessionState{word: "connected", address: address})
	b.report(supervisor.Event{Type: EventConnected})
	b.log.Info("connected to the broker", "address", address)
	session, epoch, outbox, ctx := m.session, m.epoch, b.outbox, b.ctx
	b.own(func() { outbox.run(ctx) })
	if b.spool != nil {
		b.own(func() { b.spool.Flush(ctx, session) })
	}
	b.own(func() { b.watchSession(ctx, session, epoch) })
	for _, in := range b.intakes {
		b.subscribeNow(in)
	}
}

// addressOf is whom a session is connected to, "" if it does not know.
func addressOf(s broker.Session) string {
	if a, ok := s.(broker.Addressed); ok {
		return a.Address()
	}
	return ""
}

// watchSession tells the actor when the session ends, and when the broker begins or
// ceases to block it.
func (b *brokerActor) watchSession(ctx context.Context, s broker.Session, epoch int) {
	tick := time.NewTicker(blockedEvery)
	defer tick.Stop()
	was := time.Time{}
	for {
		select {
		case <-s.Done():
			b.tell(&sessionLost{epoch, s.Err()})
			return
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		reason, since := s.Blocked()
		if since.IsZero() != was.IsZero() {
			b.tell(&sessionBlocked{epoch, !since.IsZero(), reason})
		}
		was = since
	}
}

func (b *brokerActor) onSessionBlocked(m *sessionBlocked) {
	if m.epoch != b.epoch || b.session == nil || m.blocked == b.blocked {
		return
	}
	b.blocked = m.blocked
	if m.blocked {
		b.report(supervisor.Event{Type: EventBlocked, Error: m.reason})
		b.log.Warn("the broker blocks publishers: retries and dead letters wait, and tasks run on", "reason", m.reason)
		return
	}
	b.report(supervisor.Event{Type: EventUnblocked})
	b.log.Info("the broker takes publications again")
}

func (b *brokerActor) onDialFailed(err error) {
	if errors.Is(err, broker.ErrDenied) && !b.status.reached.Load() {
		b.denied(err)
	}
	wait := b.redial(err)
	b.log.Warn("cannot reach the broker, trying again", "err", err, "fault", string(broker.FaultOf(err)), "retry_in", wait)
}

func (b *brokerActor) onSessionLost(m *sessionLost) {
	if m.epoch != b.epoch || b.session == nil {
		return
	}
	b.close(b.session)
	b.outbox.abandon()
	b.session, b.outbox = nil, nil
	b.status.session.Store(nil)
	b.status.reconnects.Add(1)
	wait := b.redial(m.err)
	b.log.Warn("connection to the broker lost", "err", m.err, "fault", string(broker.FaultOf(m.err)), "retry_in", wait)
}

// redial dials when the backoff is over. err is why there is no session.
func (b *brokerActor) redial(err error) time.Duration {
	wait := b.after(&b.dials, &dial{b.epoch})
	b.lost = ""
	if err != nil {
		b.lost = err.Error()
	}
	next := time.Now().Add(wait)
	b.status.set(sessionState{word: LiveConnecting, err: b.lost, next: next})
	for _, in := range b.intakes {
		if in.consumer == nil { // else the end of its consumer is told
			b.offline(in, err)
		}
	}
	b.reportLost(err, wait)
	return wait
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
		b.drain(in)
	}
}

func (b *brokerActor) onHangUp(m *hangUp) {
	if b.hanging {
		return // asked again; the answer comes when it is done
	}
	b.hanging = true
	session := b.session
	b.session = nil
	b.status.session.Store(nil)
	b.epoch++ // nothing about the old session matters any more
	b.own(func() {
		defer func() {
			select {
			case m.done <- struct{}{}:
			default: // it was told before
			}
		}()
		ctx, cancel := context.WithTimeout(context.Background(), m.within)
		defer cancel()
		if b.spool != nil {
			b.drainSpool(ctx, session)
		}
		if session == nil {
			return
		}
		if err := session.Close(ctx); err != nil {
			b.log.Warn("closing the session with the broker", "err", err)
		}
	})
}

func (b *brokerActor) onStopping() {
	b.cancel()
	for _, in := range b.intakes {
		b.closeConsumers(in)
	}
	if b.session != nil {
		b.close(b.session)
	}
	if b.outbox != nil {
		b.outbox.abandon()
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
