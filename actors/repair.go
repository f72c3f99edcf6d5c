package actors

import (
	"context"
	"fmt"
	"time"
)

// redeclareRest is the time between two declarations that unroutable copies ask for:
// all that are underway come back at once.
const redeclareRest = time.Second

// onRedeclare declares the queue and its dead-letter queue once more. The copies that
// came back are published again whatever becomes of it.
func (b *brokerActor) onRedeclare(m *redeclare) {
	p := m.pool
	in := b.intakes[p]
	if in == nil || b.session == nil || time.Since(in.again) < redeclareRest {
		return
	}
	in.again = time.Now()
	session, consumer := b.session, in.consumer
	b.own(func() {
		ctx, cancel := context.WithTimeout(b.ctx, subscribeTimeout)
		defer cancel()
		if err := session.Declare(ctx, p.Queue); err != nil {
			p.log.Error("cannot declare the queues again", "queue", p.Queue.Name, "err", err)
			return
		}
		if m.gone && consumer != nil {
			b.tell(&redeclared{p, consumer})
		}
	})
}

// onRedeclared gives up the consumer of a queue that was gone: where the declaration
// overtakes its end, RabbitMQ 3.10 forgets the consumer without a word.
func (b *brokerActor) onRedeclared(m *redeclared) {
	if in := b.intakes[m.pool]; in != nil && in.consumer == m.consumer {
		b.giveUp(in, fmt.Errorf("subscribed anew: queue %q was deleted; a copy that was published to it came back", m.pool.Queue.Name))
	}
}

// The time between two consumers that are given up because they starve doubles from
// doubtRest to maxDoubtRest, as long as nothing comes.
const (
	doubtRest    = 2 * time.Second
	maxDoubtRest = 30 * time.Second
)

// onStarving gives up a consumer that the broker does not serve. RabbitMQ 3.10 forgets
// a consumer without a word when its quorum queue is deleted and declared again at once.
func (b *brokerActor) onStarving(m *starving) {
	in := b.intakes[m.pool]
	if in == nil || in.consumer == nil {
		return
	}
	if m.pool.arrived.Load() > in.doubted.UnixNano() {
		in.rest = 0 // the last one has done its work for a time
	}
	if time.Since(in.doubted) < in.rest {
		return
	}
	in.doubted, in.rest = time.Now(), min(max(2*in.rest, doubtRest), maxDoubtRest)
	b.giveUp(in, fmt.Errorf("given up and subscribed anew: %s", m.answer))
}

// giveUp replaces a consumer by another one. What it has delivered may still be settled
// on its channel.
func (b *brokerActor) giveUp(in *intake, why error) {
	if in.pool.isDraining() || isDone(in.consumer.Done()) {
		return
	}
	in.pool.log.Error("the consumer gets nothing", "queue", in.pool.Queue.Name, "tag", in.consumer.Tag(), "err", why)
	in.pool.happen(liveEvent{kind: liveEnded, err: why})
	b.dismiss(in, nil)
	b.look(in)
}
