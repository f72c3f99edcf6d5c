package amqp

import (
	"context"
	"fmt"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker"
)

// Apply implements [broker.Session].
func (s *session) Apply(ctx context.Context, t broker.Topology) error {
	result := make(chan error, 1) // amqp091-go's calls know no context
	err := s.spawn(func() { result <- s.explain((&applying{ctx: ctx, s: s}).run(t)) })
	if err != nil {
		return fmt.Errorf("amqp: declare a topology: %w", err)
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("amqp: declare a topology: %w", ctx.Err())
	}
}

// applying declares one topology, on one channel as long as nothing is refused.
type applying struct {
	ctx context.Context
	s   *session
	ch  *amqp091.Channel // nil: open one
}

func (a *applying) run(t broker.Topology) error {
	for i := range t.Exchanges {
		if err := a.exchange(&t.Exchanges[i]); err != nil {
			return err
		}
	}
	for i := range t.Queues {
		if err := a.queue(&t.Queues[i]); err != nil {
			return err
		}
	}
	for i := range t.Bindings {
		if err := a.bind(&t.Bindings[i]); err != nil {
			return err
		}
	}
	if a.ch == nil {
		return nil
	}
	if err := a.ch.Close(); err != nil {
		return fmt.Errorf("amqp: declare a topology: %w", err)
	}
	return nil
}

// step makes one declaration. A refusal closes the channel.
func (a *applying) step(what string, f func(*amqp091.Channel) error) error {
	if err := a.ctx.Err(); err != nil {
		return fmt.Errorf("amqp: %s: %w", what, err)
	}
	if a.ch == nil {
		ch, err := a.s.link.Channel()
		if err != nil {
			return fmt.Errorf("amqp: %s: %w", what, err)
		}
		a.ch = ch
	}
	err := f(a.ch)
	if err != nil {
		a.ch = nil
	}
	return refused(what, err)
}

func (a *applying) exchange(x *broker.Exchange) error {
	args, err := toTable(x.Args)
	if err != nil {
		return fmt.Errorf("amqp: arguments of exchange %q: %w", x.Name, err)
	}
	return a.step(fmt.Sprintf("declare exchange %q", x.Name), func(ch *amqp091.Channel) error {
		return ch.ExchangeDeclare(x.Name, x.Kind, x.Durable, false, false, false, args)
	})
}

// queue declares q as a consumer would. The common case, a queue that is to be
// created with nothing beside it, needs no channel of its own.
func (a *applying) queue(q *broker.Queue) error {
	if err := a.ctx.Err(); err != nil {
		return fmt.Errorf("amqp: declare queue %q: %w", q.Name, err)
	}
	if q.Dead != nil || q.Exchange != "" || q.Declare != broker.DeclareCreate {
		return a.s.declare(*q)
	}
	args, err := toTable(q.Args)
	if err != nil {
		return fmt.Errorf("amqp: arguments of queue %q: %w", q.Name, err)
	}
	return a.step(fmt.Sprintf("declare queue %q", q.Name), func(ch *amqp091.Channel) error {
		_, err := ch.QueueDeclare(q.Name, q.Durable, false, false, false, args)
		return err
	})
}

func (a *applying) bind(b *broker.Binding) error {
	args, err := toTable(b.Args)
	if err != nil {
		return fmt.Errorf("amqp: arguments of a binding of exchange %q: %w", b.Exchange, err)
	}
	if b.ToExchange != "" {
		return a.step(fmt.Sprintf("bind exchange %q to exchange %q with key %q", b.ToExchange, b.Exchange, b.Key), func(ch *amqp091.Channel) error {
			return ch.ExchangeBind(b.ToExchange, b.Key, b.Exchange, false, args)
		})
	}
	return a.step(fmt.Sprintf("bind queue %q to exchange %q with key %q", b.Queue, b.Exchange, b.Key), func(ch *amqp091.Channel) error {
		return ch.QueueBind(b.Queue, b.Key, b.Exchange, false, args)
	})
}

// refused gives an error of a declaration its meaning, as classify does, for those
// who declare and do not consume.
func refused(what string, err error) error {
	if err == nil {
		return nil
	}
	reply, ok := replyOf(err)
	if !ok || isExclusiveUse(reply) {
		return classify(what, err)
	}
	switch reply.Code {
	case amqp091.NotFound:
		return fmt.Errorf("amqp: %s: %w: %s; declare it first", what, broker.ErrTopology, tell(err))
	case amqp091.PreconditionFailed, amqp091.CommandInvalid:
		return fmt.Errorf("amqp: %s: %w: %s; it exists with other arguments: delete it, or choose another name", what, broker.ErrTopology, tell(err))
	}
	return classify(what, err)
}
