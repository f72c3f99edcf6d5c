package amqp

import (
	"context"
	"fmt"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker"
)

const (
	// returnedAtOnce is how many messages go back before the queue is asked how
	// many it has: beyond 32 commands on their way RabbitMQ makes one of those that
	// follow, and a quorum queue takes that apart in no order.
	returnedAtOnce = 16
	// returnTime is how long all of this may take; the rest goes back at once.
	returnTime = 2 * time.Second
)

// Peek returns up to n messages from the head of a queue and puts them back where
// they were. For the broker that is a delivery: they are marked as redelivered,
// and in a quorum queue it counts for x-delivery-limit. A quorum queue of RabbitMQ
// puts them behind others that came back before, and at its very end when it has
// no x-delivery-limit. Their Tag says nothing.
func (a *Admin) Peek(ctx context.Context, name string, n int) ([]*broker.Delivery, error) {
	var got []*broker.Delivery
	err := a.step(ctx, fmt.Sprintf("peek into queue %q", name), func(ch *amqp091.Channel) error {
		for len(got) < n {
			d, ok, err := ch.Get(name, false)
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			got = append(got, fromDelivery(&d, d.DeliveryTag, name))
		}
		return putBack(ch, name, got)
	})
	return got, err
}

// putBack returns messages one by one and in order, no faster than the queue takes
// them.
func putBack(ch *amqp091.Channel, queue string, list []*broker.Delivery) error {
	rest, err := ch.QueueDeclarePassive(queue, false, false, false, false, nil)
	if err != nil {
		return err
	}
	late := time.Now().Add(returnTime)
	for i, d := range list {
		if i > 0 && i%returnedAtOnce == 0 {
			if err := awaitReady(ch, queue, rest.Messages+i, late); err != nil {
				return err
			}
		}
		if err := ch.Nack(d.Tag, false, true); err != nil {
			return err
		}
	}
	return awaitReady(ch, queue, rest.Messages+len(list), late)
}

// awaitReady waits until n messages are ready in a queue, which may never be: others
// take them.
func awaitReady(ch *amqp091.Channel, queue string, n int, late time.Time) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for now := time.Now(); now.Before(late); now = <-tick.C {
		q, err := ch.QueueDeclarePassive(queue, false, false, false, false, nil)
		if err != nil || q.Messages >= n {
			return err
		}
	}
	return nil
}
