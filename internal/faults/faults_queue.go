package faults

import (
	"context"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// queueFaults are about the queue.
func queueFaults() []Fault {
	return []Fault{
		{
			Name: "queue-deleted", Title: "the queue is deleted",
			renews: true, why: says(`cancelled by the broker`),
			inject: func(_ context.Context, r *rig) error { return r.deleteQueue() },
		},
		{
			Name: "queue-purged", Title: "the queue is purged (what was in it is no loss)",
			keeps: true, able: now,
			inject: func(_ context.Context, r *rig) error {
				defer r.books.remove()
				return r.asAdmin(func(ch *amqp091.Channel) error {
					_, err := ch.QueuePurge(queue, false)
					return err
				})
			},
		},
	}
}

// deleteQueue deletes the queue with what is in it.
func (r *rig) deleteQueue() error {
	defer r.books.remove()
	return r.asAdmin(func(ch *amqp091.Channel) error {
		_, err := ch.QueueDelete(queue, false, false, false)
		return err
	})
}

// now is for a broker that is able all the time.
func now(context.Context, *rig) error { return nil }
