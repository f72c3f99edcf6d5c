package engine

import (
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

var errTodo = errorf(wire.CodeNotImplemented, "not yet")

// Engine is an open broker. Its methods may be called concurrently.
type Engine struct{}

// Open replays Options.Dir and returns an engine. Its errors are the store's.
func Open(o Options) (*Engine, error) { return &Engine{}, nil }

// Close stops timers and writes what is pending. Channels must be closed before,
// or what they hold is delivered again after the next Open.
func (e *Engine) Close() error { return nil }

// Owner owns exclusive queues: one for each connection.
type Owner struct{}

// NewOwner returns a new owner.
func (e *Engine) NewOwner() *Owner { return &Owner{} }

// Close deletes the exclusive queues of the owner. Its channels are to be closed
// before.
func (o *Owner) Close() {}

// DeclareExchange declares an exchange; passive only asks whether it is there.
// It waits for the disk if the exchange is durable and new.
func (e *Engine) DeclareExchange(spec ExchangeSpec, passive bool) error { return errTodo }

// DeleteExchange deletes an exchange and its bindings. One that does not exist
// is no error, as in RabbitMQ.
func (e *Engine) DeleteExchange(name string, ifUnused bool) error { return errTodo }

// BindExchange binds the exchange dst to the exchange src.
func (e *Engine) BindExchange(dst, src, key string, args wire.Table) error { return errTodo }

// UnbindExchange undoes BindExchange. A binding that does not exist is no error.
func (e *Engine) UnbindExchange(dst, src, key string, args wire.Table) error { return errTodo }

// DeclareQueue declares a queue; passive only asks whether it is there. It waits
// for the disk if the queue is durable and new.
func (e *Engine) DeclareQueue(o *Owner, spec QueueSpec, passive bool) (QueueOK, error) {
	return QueueOK{}, errTodo
}

// DeleteQueue deletes a queue and returns how many messages were ready in it.
// One that does not exist is no error, as in RabbitMQ.
func (e *Engine) DeleteQueue(o *Owner, name string, ifUnused, ifEmpty bool) (int, error) {
	return 0, errTodo
}

// Purge drops the messages of a queue that are ready and returns how many.
func (e *Engine) Purge(o *Owner, name string) (int, error) { return 0, errTodo }

// BindQueue binds a queue to an exchange.
func (e *Engine) BindQueue(o *Owner, queue, exchange, key string, args wire.Table) error {
	return errTodo
}

// UnbindQueue undoes BindQueue. A binding that does not exist is no error.
func (e *Engine) UnbindQueue(o *Owner, queue, exchange, key string, args wire.Table) error {
	return errTodo
}

// Publish routes a message. If routed is false, no queue got it, and the caller
// returns it if it is mandatory, then confirms it. Otherwise c, unless nil, is
// told once when the message is safe. An error ends the channel of the publisher
// (or its connection), and c is not called. user is who is logged in, for the
// property user-id. Publish does not wait for the disk.
func (e *Engine) Publish(p *Publish, c Confirmer, seq uint64, user string) (routed bool, err error) {
	return false, errTodo
}

// Queues returns a snapshot of each queue, by name.
func (e *Engine) Queues() []QueueInfo { return nil }

// Stats returns a snapshot of all.
func (e *Engine) Stats() Stats { return Stats{} }

// CancelConsumers ends all consumers of a queue, as its deletion would, and
// returns how many: a fault for tests.
func (e *Engine) CancelConsumers(queue string) int { return 0 }

// Channel has the consumers and the unsettled deliveries of a channel. Its
// methods may be called concurrently; those of a client's methods come from one
// goroutine.
type Channel struct{}

// NewChannel returns a channel of a connection. Close ends it.
func (e *Engine) NewChannel(o *Owner, out Out) *Channel { return &Channel{} }

// Close ends the consumers and requeues what is not settled, in order. A second
// Close does nothing.
func (c *Channel) Close() {}

// Qos sets how many deliveries may be unsettled: of each consumer started from
// now on, or, if global, of the channel. 0 is no limit.
func (c *Channel) Qos(count uint16, global bool) {}

// Flow stops deliveries to consumers, or lets them go on.
func (c *Channel) Flow(active bool) {}

// Resume says that Out.Writable is true again.
func (c *Channel) Resume() {}

// Consume starts a consumer. started is called with the tag after the consumer
// is registered and before its first delivery, as the methods of Out are.
func (c *Channel) Consume(s ConsumeSpec, started func(tag string)) error { return errTodo }

// Cancel ends a consumer. What it has not settled remains so. An unknown tag is
// no error.
func (c *Channel) Cancel(tag string) {}

// Get delivers one message, if there is one ready: got is called as Out.Deliver.
func (c *Channel) Get(queue string, noAck bool, got func(*Delivery)) (ok bool, err error) {
	return false, errTodo
}

// Ack settles a delivery, or all up to tag. An unknown tag is an error (406).
func (c *Channel) Ack(tag uint64, multiple bool) error { return errTodo }

// Nack refuses a delivery, or all up to tag: they return to their queue, or are
// dead-lettered.
func (c *Channel) Nack(tag uint64, multiple, requeue bool) error { return errTodo }

// Reject is Nack of one delivery.
func (c *Channel) Reject(tag uint64, requeue bool) error { return errTodo }

// Recover requeues all that is not settled. Without requeue it is refused (540),
// as RabbitMQ does.
func (c *Channel) Recover(requeue bool) error { return errTodo }

// Overdue reports whether the oldest delivery that is not settled is older than
// the timeout: the server then closes the channel with 406.
func (c *Channel) Overdue(now time.Time) (timeout time.Duration, late bool) { return 0, false }
