package amqp

import (
	"context"
	"fmt"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker"
)

// Presence is how an exchange or a queue that exists compares with one that is
// wanted.
type Presence string

const (
	// Missing: there is none of that name.
	Missing Presence = "missing"
	// Same: it exists, and declaring it would change nothing.
	Same Presence = "same"
	// Differs: it exists otherwise, and declaring it would fail (406).
	Differs Presence = "differs"
	// Hidden: the broker does not say, for want of permissions or because the queue
	// is locked.
	Hidden Presence = "hidden"
)

// Seen is what the broker has said of an exchange or a queue.
type Seen struct {
	Presence Presence
	// Exists: it does, whatever Presence says. With Hidden it may or may not when
	// this is false.
	Exists bool
	// Words are the broker's own when Presence is Differs or Hidden.
	Words string
	// Ready and Consumers are those of a queue that exists.
	Ready, Consumers int
}

// LookQueue compares a queue with one that is wanted. Nothing is changed: it is
// declared only after the broker has said that it exists. One that somebody
// deletes between these two would be made again, as it is wanted.
func (a *Admin) LookQueue(ctx context.Context, want QueueSpec) (Seen, error) {
	args, err := toTable(want.Args)
	if err != nil {
		return Seen{}, fmt.Errorf("amqp: arguments of queue %q: %w", want.Name, err)
	}
	var seen Seen
	what := fmt.Sprintf("look at queue %q", want.Name)
	err = a.try(ctx, func(ch *amqp091.Channel) error {
		q, err := ch.QueueDeclarePassive(want.Name, want.Durable, want.AutoDelete, false, false, nil)
		seen.Ready, seen.Consumers = q.Messages, q.Consumers
		return err
	})
	return a.compare(ctx, what, seen, err, func(ch *amqp091.Channel) error {
		_, err := ch.QueueDeclare(want.Name, want.Durable, want.AutoDelete, false, false, args)
		return err
	})
}

// LookExchange is LookQueue for an exchange.
func (a *Admin) LookExchange(ctx context.Context, want broker.Exchange) (Seen, error) {
	args, err := toTable(want.Args)
	if err != nil {
		return Seen{}, fmt.Errorf("amqp: arguments of exchange %q: %w", want.Name, err)
	}
	err = a.try(ctx, func(ch *amqp091.Channel) error {
		return ch.ExchangeDeclarePassive(want.Name, want.Kind, want.Durable, false, false, false, nil)
	})
	return a.compare(ctx, fmt.Sprintf("look at exchange %q", want.Name), Seen{}, err, func(ch *amqp091.Channel) error {
		return ch.ExchangeDeclare(want.Name, want.Kind, want.Durable, false, false, false, args)
	})
}

// compare takes the answer to whether something exists, and declares what does.
func (a *Admin) compare(ctx context.Context, what string, seen Seen, exists error, declare func(*amqp091.Channel) error) (Seen, error) {
	err := exists
	if err == nil {
		seen.Exists = true
		if err = a.try(ctx, declare); err == nil {
			seen.Presence = Same
			return seen, nil
		}
	}
	reply, ok := replyOf(err)
	if !ok {
		return Seen{}, a.explain(what, err)
	}
	seen.Words = tell(err)
	switch reply.Code {
	case amqp091.NotFound:
		seen = Seen{Presence: Missing, Words: seen.Words}
	case amqp091.PreconditionFailed:
		seen.Presence, seen.Exists = Differs, true
	case amqp091.ResourceLocked:
		seen.Presence, seen.Exists = Hidden, true
	case amqp091.AccessRefused:
		seen.Presence = Hidden
	default:
		return Seen{}, a.explain(what, err)
	}
	return seen, nil
}

// DeclareExchange creates an exchange, or checks that the one that exists is equal.
func (a *Admin) DeclareExchange(ctx context.Context, e broker.Exchange) error {
	args, err := toTable(e.Args)
	if err != nil {
		return fmt.Errorf("amqp: arguments of exchange %q: %w", e.Name, err)
	}
	return a.step(ctx, fmt.Sprintf("declare exchange %q", e.Name), func(ch *amqp091.Channel) error {
		return ch.ExchangeDeclare(e.Name, e.Kind, e.Durable, false, false, false, args)
	})
}

// Bind makes bindings, one after the other on one channel, and returns how many
// were made before the first that was refused. One that is there stays as it is.
func (a *Admin) Bind(ctx context.Context, list []broker.Binding) (made int, err error) {
	what := "bind"
	err = a.try(ctx, func(ch *amqp091.Channel) error {
		for _, b := range list {
			what = fmt.Sprintf("bind %q to exchange %q with key %q", b.Destination(), b.Exchange, b.Key)
			args, err := toTable(b.Args)
			if err != nil {
				return err
			}
			if b.ToExchange != "" {
				err = ch.ExchangeBind(b.ToExchange, b.Key, b.Exchange, false, args)
			} else {
				err = ch.QueueBind(b.Queue, b.Key, b.Exchange, false, args)
			}
			if err != nil {
				return err
			}
			made++
		}
		return nil
	})
	return made, a.explain(what, err)
}
