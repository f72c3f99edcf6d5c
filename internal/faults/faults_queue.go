package faults

import (
	"context"
	"errors"
	"strconv"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// queueFaults are about queues.
func queueFaults() []Fault {
	return []Fault{
		{
			Name: "queue-deleted", Title: "the queue is deleted",
			anywhere: true, removes: true, renews: true, why: says(`cancel|was deleted`),
			inject: func(_ context.Context, r *rig) error { return r.deleteQueues(queue) },
		},
		{
			Name: "queue-replaced", Title: "the queue is deleted and declared anew with the same arguments by another client",
			anywhere: true, removes: true, renews: true, why: says(`cancel|was deleted|has got nothing|knows of no consumer`), more: 4 * time.Second, reason: forgotten,
			inject: func(_ context.Context, r *rig) error { return r.redeclareQueue() },
		},
		{
			Name: "queue-other-arguments", Title: "the queue is deleted and declared as a classic one, for 4 s",
			anywhere: true, removes: true, lasts: 4 * time.Second, renews: true, why: says(`PRECONDITION_FAILED|inequivalent`), more: reconnectMax, reason: capped,
			inject: func(_ context.Context, r *rig) error { return r.replaceQueue(false) },
			heal:   func(_ context.Context, r *rig) error { return r.deleteQueues(queue) },
		},
		{
			Name: "queue-locked", Title: "another connection has a queue of that name for itself (405), for 4 s",
			anywhere: true, removes: true, lasts: 4 * time.Second, renews: true, why: says(`RESOURCE_LOCKED|exclusive`), more: reconnectMax, reason: capped,
			inject: func(_ context.Context, r *rig) error { return r.replaceQueue(true) },
			heal:   func(_ context.Context, r *rig) error { return r.unlock() },
		},
		{
			Name: "queue-purged", Title: "the queue is purged (what was in it is no loss)",
			anywhere: true, removes: true, keeps: true, able: now,
			inject: func(_ context.Context, r *rig) error {
				defer r.books.remove()
				return r.asAdmin(func(ch *amqp091.Channel) error {
					_, err := ch.QueuePurge(queue, false)
					return err
				})
			},
		},
		{
			Name: "dead-queue-deleted", Title: "the dead-letter queue is deleted (what was in it is no loss)",
			anywhere: true, removes: true, keeps: true, able: now,
			inject: func(_ context.Context, r *rig) error { return r.deleteQueues(deadQueue) },
		},
		{
			Name: "dead-queue-full", Title: "a policy lets the dead-letter queue take nothing more (max-length, reject-publish), for 4 s",
			lasts: 4 * time.Second, keeps: true, why: says(`cannot publish.*refused`),
			inject: evaluate(full(deadQueue, 1)),
			heal: func(ctx context.Context, r *rig) error {
				return errors.Join(r.eval(ctx, roomy(deadQueue)), r.deadLetters())
			},
		},
		{
			Name: "queue-full", Title: "a policy lets the queue take nothing more (max-length, reject-publish), for 4 s",
			lasts: 4 * time.Second, keeps: true,
			inject: evaluate(full(queue, 0)), heal: evaluate(roomy(queue)),
		},
		consumerTimeout(),
	}
}

// forgotten is why a consumer may be missing longer: RabbitMQ 3.10 shows it as active and
// says nothing.
const forgotten = "three answers over 2 s that messages wait, a second between them"

// full is Erlang for a policy that lets a queue take no message while it has more than n,
// and roomy ends it.
func full(name string, n int) string {
	return `ok = rabbit_policy:set(<<"%[1]s">>, <<"full">>, <<"^` + name + `$">>, ` +
		`[{<<"max-length">>, ` + strconv.Itoa(n) + `}, {<<"overflow">>, <<"reject-publish">>}], 1, <<"queues">>, <<"chaos">>)`
}

// roomy ends full. RabbitMQ 3.10 lets those that publish go on when the queue is below its
// limit again; when it has none any more they are refused for ever (rabbit_fifo,
// is_below_soft_limit), and so is what dead-letters into it: the ladder of delays.
func roomy(name string) string { return full(name, 1_000_000) }

// consumerTimeout is RabbitMQ's limit for deliveries that are not settled: the channel
// is closed, and all that is unsettled on it comes again.
func consumerTimeout() Fault {
	const set = `application:set_env(rabbit, consumer_timeout, `
	return Fault{
		Name: "consumer-timeout", Title: "five tasks outlast the broker's consumer_timeout (2 s), for 6 s",
		lasts: 6 * time.Second, brief: true, keeps: true, renews: true, why: says(`timed out|timeout`), more: reconnectMax, reason: capped,
		inject: func(ctx context.Context, r *rig) error {
			r.sink.stall.Store(stalled)
			return r.eval(ctx, `application:set_env(rabbit, channel_tick_interval, 500), `+set+`2000)`+closeUser)
		},
		heal: func(ctx context.Context, r *rig) error {
			r.sink.stall.Store(0)
			return r.eval(ctx, `application:set_env(rabbit, channel_tick_interval, 60000), `+set+`1800000)`)
		},
	}
}

// deleteQueues deletes queues with what is in them.
func (r *rig) deleteQueues(names ...string) error {
	defer r.books.remove()
	return r.asAdmin(func(ch *amqp091.Channel) error {
		for _, name := range names {
			if _, err := ch.QueueDelete(name, false, false, false); err != nil {
				return err
			}
		}
		return nil
	})
}

// redeclareQueue deletes the queue and declares it at once as the instance does.
func (r *rig) redeclareQueue() error {
	defer r.books.remove()
	return r.asAdmin(func(ch *amqp091.Channel) error {
		if _, err := ch.QueueDelete(queue, false, false, false); err != nil {
			return err
		}
		_, err := ch.QueueDeclare(queue, true, false, false, false, amqp091.Table{
			"x-queue-type": "quorum", "x-delivery-limit": int32(100), "x-overflow": "reject-publish",
			"x-dead-letter-exchange": "magne.v1.dead", "x-dead-letter-routing-key": queue, "x-dead-letter-strategy": "at-least-once",
		})
		return err
	})
}

// replaceQueue deletes the queue and declares a classic one of that name: durable,
// or locked by a connection that stays until unlock.
func (r *rig) replaceQueue(locked bool) error {
	defer r.books.remove()
	conn, raw, err := dialRaw(r.admin())
	if err != nil {
		return err
	}
	r.lock, r.lockWire = conn, raw
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	// The instance may be faster with declaring its own.
	for range 100 {
		if _, err = ch.QueueDelete(queue, false, false, false); err != nil {
			return err
		}
		if _, err = ch.QueueDeclare(queue, !locked, false, locked, false, nil); err == nil {
			break
		}
		if ch, err = conn.Channel(); err != nil {
			return err
		}
	}
	if err == nil && !locked {
		err = r.unlock()
	}
	return err
}

// unlock ends the connection that has the queue for itself. An exclusive queue goes with
// it: before the broker agrees to the end, so that nothing is confirmed there afterwards.
func (r *rig) unlock() error {
	defer r.books.remove()
	defer r.lockWire.Close()
	return r.lock.CloseDeadline(time.Now().Add(5 * time.Second)) //nolint:wrapcheck // runOne says whose it is
}

// now is for a broker that is able all the time.
func now(context.Context, *rig) error { return nil }
