package faults

import (
	"encoding/json"
	"errors"
	"fmt"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// deadQueue is where the instance puts what it gives up: see ADR 5.
const deadQueue = "magne.v1.dead." + queue

// deadLetters takes the dead letters and notes their numbers.
func (r *rig) deadLetters() error {
	_, err := r.takeAll(deadQueue, r.books.dead)
	if reply, is := errors.AsType[*amqp091.Error](err); is && reply.Code == amqp091.NotFound {
		return nil // there was never one, or the fault has deleted it
	}
	return err
}

// empty is nil when the instance has settled all that it had: what it has not is
// back in the queue when it is gone.
func (r *rig) empty() error {
	n, err := r.takeAll(queue, r.books.left)
	if err == nil && n > 0 {
		err = fmt.Errorf("faults: %d messages are left in the queue", n)
	}
	return err
}

// takeAll takes all messages out of a queue and notes their numbers.
func (r *rig) takeAll(name string, note func(number int)) (n int, err error) {
	err = r.asAdmin(func(ch *amqp091.Channel) error {
		for {
			d, ok, err := ch.Get(name, true)
			if err != nil || !ok {
				return err
			}
			n++
			var body struct {
				Args []int `json:"args"`
			}
			if json.Unmarshal(d.Body, &body) == nil && len(body.Args) == 1 {
				note(body.Args[0])
			}
		}
	})
	return n, err
}
