package amqp

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker"
)

// Taking is a look at the messages of a queue from its head on, one by one by
// basic.get, on a channel of its own. The broker keeps each of them until it is
// acked: what is not, is back in the queue after Close, or when the connection or
// the process ends, however that happens. It is for one goroutine at a time.
type Taking struct {
	// Ready is how many messages were there at first.
	Ready int

	admin   *Admin
	ch      *amqp091.Channel
	queue   string
	held    map[uint64]struct{}
	unsure  int // acks since the last answer of the queue
	release func() bool
	ctx     context.Context
}

// Take begins to take messages. When ctx ends, the connection is cut and the Admin
// is of no more use; the messages are back in the queue then.
func (a *Admin) Take(ctx context.Context, queue string) (*Taking, error) {
	t := &Taking{admin: a, queue: queue, held: map[uint64]struct{}{}, ctx: ctx}
	t.release = context.AfterFunc(ctx, a.link.wire.abort)
	err := func() (err error) {
		if t.ch, err = a.link.Channel(); err != nil {
			return err
		}
		q, err := t.ch.QueueDeclarePassive(queue, false, false, false, false, nil)
		t.Ready = q.Messages
		return err
	}()
	if err != nil {
		err = t.failed("look at", err)
		t.release()
		return nil, err
	}
	return t, nil
}

// Next returns the next message, or nil when none is ready. Its Tag is for Ack.
func (t *Taking) Next() (*broker.Delivery, error) {
	d, ok, err := t.ch.Get(t.queue, false)
	if err != nil {
		return nil, t.failed("get a message of", err)
	}
	t.unsure = 0
	if !ok {
		return nil, nil //nolint:nilnil // an empty queue is no error
	}
	t.held[d.DeliveryTag] = struct{}{}
	return fromDelivery(&d, d.DeliveryTag, t.queue), nil
}

// Ack removes a message from the queue. It is certain that the broker has done so
// when Close returns no error; otherwise the message may be back in the queue.
//
// A channel of RabbitMQ keeps back what it has for a quorum queue beyond 32 commands on
// their way, and forgets it when it is closed: messages that were acked come back. A
// basic.get goes through the same log, and when it is answered, all before it is done.
func (t *Taking) Ack(tag uint64) error {
	if err := t.ch.Ack(tag, false); err != nil {
		return t.failed("ack a message of", err)
	}
	delete(t.held, tag)
	if t.unsure++; t.unsure < returnedAtOnce {
		return nil
	}
	_, err := t.Next() // it goes back with the others
	return err
}

// Close puts back what was not acked, in the order in which it was taken. A classic
// queue and the embedded broker have each message in its old place then. A quorum
// queue of RabbitMQ has them behind all that was not taken, when it has no
// x-delivery-limit.
func (t *Taking) Close() error {
	defer t.release()
	if t.unsure > 0 {
		if _, err := t.Next(); err != nil {
			return err
		}
	}
	err := t.putBack(slices.Sorted(maps.Keys(t.held)))
	if err == nil {
		err = t.ch.Close() // waits until the broker has done all before
	}
	if err != nil {
		return t.failed("put messages back in", err)
	}
	return nil
}

// perReturn is how much longer than returnTime the return may take per message.
const perReturn = time.Millisecond

func (t *Taking) putBack(tags []uint64) error {
	if len(tags) == 0 {
		return nil
	}
	q, err := t.ch.QueueDeclarePassive(t.queue, false, false, false, false, nil)
	if err != nil {
		return err
	}
	late := time.Now().Add(returnTime + time.Duration(len(tags))*perReturn)
	for i, tag := range tags {
		if i > 0 && i%returnedAtOnce == 0 {
			if err := awaitReady(t.ch, t.queue, q.Messages+i, late); err != nil {
				return err
			}
		}
		if err := t.ch.Nack(tag, false, true); err != nil {
			return err
		}
	}
	return awaitReady(t.ch, t.queue, q.Messages+len(tags), late)
}

func (t *Taking) failed(what string, err error) error {
	if t.ctx.Err() != nil {
		err = context.Cause(t.ctx)
	}
	return t.admin.explain(fmt.Sprintf("%s queue %q", what, t.queue), err)
}
