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
func (b *brokerActor) onRedeclare(p *pool) {
	in := b.intakes[p]
	if in == nil || b.session == nil || time.Since(in.again) < redeclareRest {
		return
	}
	in.again = time.Now()
	session := b.session
	b.own(func() {
		ctx, cancel := context.WithTimeout(b.ctx, subscribeTimeout)
		defer cancel()
		if err := session.Declare(ctx, p.Queue); err != nil {
			p.log.Error("cannot declare the queues again", "queue", p.Queue.Name, "err", err)
		}
	})
}

// doubtRest is the time between two consumers that are given up because they starve.
const doubtRest = 30 * time.Second

// onStarving gives up a consumer that the broker does not serve, and another one is
// subscribed. RabbitMQ 3.10 forgets a consumer without a word when its quorum queue
// is deleted and declared again at once.
func (b *brokerActor) onStarving(m *starving) {
	in := b.intakes[m.pool]
	if in == nil || in.consumer == nil || m.pool.isDraining() || time.Since(in.doubted) < doubtRest {
		return
	}
	in.doubted, in.doubt = time.Now(), fmt.Errorf("given up and subscribed anew: %s", m.answer)
	consumer := in.consumer
	b.own(func() { closeSoon(consumer.Close) })
}
