package actors

import (
	"cmp"
	"fmt"
	"strconv"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/supervisor"
)

// RabbitMQ wants each delivery settled within its consumer timeout, 30 minutes by
// default. When one is late it closes the channel (up to 4.2) or cancels the
// consumer (from 4.3), and what else is unsettled on that is taken away with it. This
// file sees to it that one slow task does that to nobody else: half way to the limit
// the whole consumer is retired, and a fresh one on channels of its own takes what
// comes. What runs on the old one has the other half of the limit left; what has not
// started is handed back.

// DefaultAckTimeout is RabbitMQ's own default of consumer_timeout.
const DefaultAckTimeout = 30 * time.Minute

// Bounds of the time between two looks at the ages of deliveries.
const minGuard, maxGuard = 50 * time.Millisecond, 30 * time.Second

// maxWarned is how many old tasks of a pool are named in one look.
const maxWarned = 10

// ackGuard is the guard's arithmetic. The zero value guards nothing.
type ackGuard struct{ limit time.Duration }

func (g ackGuard) on() bool { return g.limit > 0 }

// every is the time between two looks: a delivery is found old at most a fiftieth of
// the limit too late.
func (g ackGuard) every() time.Duration { return min(max(g.limit/50, minGuard), maxGuard) }

// old is the age at which a delivery is warned about and kept apart.
func (g ackGuard) old() time.Duration { return g.limit / 2 }

// Messages about the ages of deliveries.
type (
	// guardTick has the broker actor look.
	guardTick struct{}
	// census has the router look: what is unsettled for longer than old?
	census struct{ old time.Duration }
	// isolate asks for another consumer, because of old deliveries of source.
	isolate struct {
		pool   *pool
		source *source
		oldest time.Duration
	}
	// isolatedEnded says that the broker has ended a consumer that was kept apart.
	isolatedEnded struct {
		pool *pool
		err  error
	}
)

func (b *brokerActor) guardLater() {
	if b.guard.on() {
		time.AfterFunc(b.guard.every(), func() { b.tell(&guardTick{}) })
	}
}

// onGuardTick asks the routers, and looks itself at what they have not seen: while
// the watermark pauses a pool, deliveries wait in the consumer.
func (b *brokerActor) onGuardTick() {
	b.guardLater()
	for _, in := range b.intakes {
		if !in.up {
			continue
		}
		in.pool.toRouter(&census{b.guard.old()})
		if in.consumer == nil || len(in.consumer.Deliveries()) == 0 {
			continue
		}
		mark := in.source.window.mark
		if waits := min(time.Since(mark.PausedAt()), time.Since(in.source.opened)); mark.Paused() && waits >= b.guard.old() {
			b.onIsolate(&isolate{in.pool, in.source, waits})
		}
	}
}

// onIsolate retires a consumer, unless that was done, and subscribes anew.
func (b *brokerActor) onIsolate(m *isolate) {
	in := b.intakes[m.pool]
	if in == nil || in.consumer == nil || in.source != m.source || m.pool.isDraining() {
		return
	}
	consumer, pool := in.consumer, in.pool
	pool.log.Warn("deliveries near the broker's ack timeout: keeping them apart, consuming anew",
		"queue", pool.Queue.Name, "oldest", m.oldest, "ack_timeout", b.guard.limit, "tag", consumer.Tag())
	pool.tell(supervisor.Event{Type: EventIsolated, Error: "consumer " + consumer.Tag() + ": its oldest delivery is unsettled for " + m.oldest.Round(time.Millisecond).String()})
	m.source.isolated.Store(true)
	pool.isolated.Add(1)
	b.retire(in, nil)
	b.own(func() {
		<-consumer.Done() // at the latest with the session
		pool.isolated.Add(-1)
		b.tell(&isolatedEnded{pool, consumer.Err()})
	})
	b.look(in)
}

// onIsolatedEnded tells what became of a consumer that was kept apart, unless we
// have closed it, or all is lost with the session.
func (b *brokerActor) onIsolatedEnded(m *isolatedEnded) {
	fault := broker.FaultOf(m.err)
	switch fault {
	case broker.FaultAckTimeout, broker.FaultCancelled:
		m.pool.log.Warn("the broker has given old deliveries to somebody else; their tasks run on, and what is new is not affected",
			"queue", m.pool.Queue.Name, "err", m.err)
		m.pool.tell(supervisor.Event{Type: supervisor.EventType(fault), Error: m.err.Error()})
	default: // told by others
	}
}

// onCensus counts what is unsettled for too long, warns once of each, and asks for
// their consumer to be kept apart. What a dead consumer delivered is not counted: it
// is somebody else's.
func (r *router) onCensus(m *census) {
	var old, named int64
	oldest := map[*source]time.Duration{}
	first := time.Duration(0)
	r.ledger.each(func(f *flight) {
		age := time.Duration(0)
		for _, c := range f.claims {
			if a := c.age(); a >= m.old && !c.dead() {
				age = max(age, a)
				oldest[c.source] = max(oldest[c.source], a)
			}
		}
		if age == 0 {
			return
		}
		old++
		first = max(first, age)
		if !f.warned {
			f.warned = true
			if named++; named <= maxWarned {
				r.warnOld(f, age)
			}
		}
	})
	if named > maxWarned {
		r.pool.log.Warn("more deliveries are unsettled for half of the broker's ack timeout", "more", named-maxWarned)
	}
	since := int64(0)
	if old > 0 {
		since = time.Now().Add(-first).UnixNano()
	}
	r.pool.old.Store(old)
	r.pool.oldest.Store(since)
	for s, age := range oldest {
		if !s.isolated.Load() && !s.retired {
			r.pool.send(r.pool.broker, &isolate{r.pool, s, age})
		}
	}
}

func (r *router) warnOld(f *flight, age time.Duration) {
	id, name := cmp.Or(f.delivery.MessageID, r.pool.Name+"#"+strconv.FormatInt(f.number, 10)), ""
	if r.pool.shown.at(f.slot).Load() == f { // else its worker may be writing what it is
		id, name = r.pool.id(f), f.message.Name
	}
	age = age.Round(time.Millisecond)
	r.pool.log.Warn("a delivery is unsettled for half of the broker's ack timeout", "task", name, "task_id", id, "age", age, "limit", r.pool.ackTimeout)
	r.pool.tell(supervisor.Event{Type: EventTaskOld, Error: fmt.Sprintf("task %s %s is unsettled for %v of %v", name, id, age, r.pool.ackTimeout)})
}

// handBackOf returns what a source has delivered and nobody has started.
func (r *router) handBackOf(s *source) {
	r.retain(func(f *flight) bool {
		if !f.isOf(s) {
			return true
		}
		r.settle(f, broker.Requeue)
		return false
	})
	r.ledger.each(func(f *flight) {
		if f.isOf(s) && f.phase == withWorker && r.revoke(f) {
			r.settle(f, broker.Requeue)
		}
	})
	r.dispatch()
}
