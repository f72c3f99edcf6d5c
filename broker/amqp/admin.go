package amqp

import (
	"context"
	"errors"
	"fmt"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker"
)

// What the broker may have against an operation of an [Admin], to compare with
// errors.Is. The error's text has the broker's own words as well.
var (
	// ErrNoQueue: there is no queue of that name.
	ErrNoQueue = errors.New("no such queue")
	// ErrLocked: the queue belongs to another connection (exclusive), or only its
	// single active consumer may read it.
	ErrLocked = errors.New("the queue is locked")
	// ErrConflict: the queue exists with other arguments, or is not as unused or
	// empty as was asked for.
	ErrConflict = errors.New("the queue is not as asked for")
	// ErrLost: the connection ended before the broker had answered. What was asked for
	// may be done or not; an Admin that is made anew can ask again.
	ErrLost = errors.New("the connection was lost")
)

// Admin looks at queues and changes them, by AMQP alone and so alike on every
// broker. It has one connection of its own. It is for one goroutine at a time;
// each method blocks until the broker has answered, and when ctx ends first, the
// connection is cut and the Admin is of no more use.
type Admin struct {
	d    Dialer
	link *link
}

// Counts is what AMQP tells about a queue. There is no number of unsettled
// deliveries in it.
type Counts struct {
	Name             string
	Ready, Consumers int
}

// QueueSpec is a queue to declare as it is, without dead letters and bindings.
type QueueSpec struct {
	Name       string
	Durable    bool
	AutoDelete bool
	Args       map[string]any
}

// Admin connects as Dial does, and with its errors.
func (d Dialer) Admin(ctx context.Context) (*Admin, error) {
	d = d.withDefaults()
	d, l, err := d.open(ctx, "admin", false)
	if err != nil {
		return nil, err
	}
	return &Admin{d: d, link: l}, nil
}

// Product returns what the broker calls itself, and its version.
func (a *Admin) Product() (name, version string) {
	name, _ = a.link.Properties["product"].(string)
	version, _ = a.link.Properties["version"].(string)
	return name, version
}

// Close closes the connection within some two seconds, or at once when ctx ends.
func (a *Admin) Close(ctx context.Context) { a.link.close(ctx) }

// Queue returns the counts of a queue that exists.
func (a *Admin) Queue(ctx context.Context, name string) (Counts, error) {
	var q amqp091.Queue
	err := a.step(ctx, fmt.Sprintf("look at queue %q", name), func(ch *amqp091.Channel) (err error) {
		q, err = ch.QueueDeclarePassive(name, false, false, false, false, nil)
		return err
	})
	return Counts{Name: name, Ready: q.Messages, Consumers: q.Consumers}, err
}

// Declare creates a queue, or checks that the one that exists is equal. The name
// "" is replaced by one that the broker makes up.
func (a *Admin) Declare(ctx context.Context, spec QueueSpec) (Counts, error) {
	args, err := toTable(spec.Args)
	if err != nil {
		return Counts{}, fmt.Errorf("amqp: arguments of queue %q: %w", spec.Name, err)
	}
	var q amqp091.Queue
	err = a.step(ctx, fmt.Sprintf("declare queue %q", spec.Name), func(ch *amqp091.Channel) (err error) {
		q, err = ch.QueueDeclare(spec.Name, spec.Durable, spec.AutoDelete, false, false, args)
		return err
	})
	return Counts{Name: q.Name, Ready: q.Messages, Consumers: q.Consumers}, err
}

// Delete deletes a queue with all that is in it, and returns how many messages
// were ready. With ifUnused it must have no consumer, with ifEmpty no message.
// That one is missing is an error, although the broker takes it for none.
func (a *Admin) Delete(ctx context.Context, name string, ifUnused, ifEmpty bool) (messages int, err error) {
	if _, err := a.Queue(ctx, name); err != nil {
		return 0, err
	}
	err = a.step(ctx, fmt.Sprintf("delete queue %q", name), func(ch *amqp091.Channel) (err error) {
		messages, err = ch.QueueDelete(name, ifUnused, ifEmpty, false)
		return err
	})
	return messages, err
}

// Purge removes the messages that are ready, and returns how many. Those that
// are delivered and not settled stay.
func (a *Admin) Purge(ctx context.Context, name string) (messages int, err error) {
	err = a.step(ctx, fmt.Sprintf("purge queue %q", name), func(ch *amqp091.Channel) (err error) {
		messages, err = ch.QueuePurge(name, false)
		return err
	})
	return messages, err
}

// step is try with the meaning of what the broker has against it.
func (a *Admin) step(ctx context.Context, what string, f func(*amqp091.Channel) error) error {
	return a.explain(what, a.try(ctx, f))
}

// try runs f with a channel of its own: the broker answers a refusal by closing
// it. Closing it waits until the broker has done all before.
func (a *Admin) try(ctx context.Context, f func(*amqp091.Channel) error) error {
	release := context.AfterFunc(ctx, a.link.wire.abort)
	ch, err := a.link.Channel()
	if err == nil {
		if err = f(ch); err == nil {
			err = ch.Close()
		}
	}
	if !release() && err != nil {
		err = context.Cause(ctx)
	}
	return err
}

// explain gives an error of the broker its meaning.
func (a *Admin) explain(what string, err error) error {
	if err == nil {
		return nil
	}
	reply, ok := replyOf(err)
	if !ok {
		if _, client := errors.AsType[*amqp091.Error](err); !client || !a.link.IsClosed() {
			return fmt.Errorf("amqp: %s: %w", what, err)
		}
		if lost := a.link.wire.failure(); lost != nil {
			return fmt.Errorf("amqp: %s: %w: %w", what, ErrLost, lost)
		}
		return fmt.Errorf("amqp: %s: %w", what, ErrLost)
	}
	var meaning error
	switch {
	case isExclusiveUse(reply):
		meaning = ErrLocked
	case reply.Code == amqp091.NotFound:
		meaning = ErrNoQueue
	case reply.Code == amqp091.PreconditionFailed:
		meaning = ErrConflict
	case reply.Code == amqp091.AccessRefused:
		return fmt.Errorf("amqp: %s: %w: %s%s", what, broker.ErrForbidden, tell(err), lacks(what))
	case a.link.IsClosed():
		meaning = ErrLost
	default:
		return fmt.Errorf("amqp: %s: %s", what, tell(err))
	}
	return fmt.Errorf("amqp: %s: %w: %s", what, meaning, tell(err))
}
