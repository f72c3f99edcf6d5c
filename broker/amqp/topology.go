package amqp

import (
	"errors"
	"fmt"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker"
)

// DeadExchange is the durable direct exchange that dead letters go to, from
// RabbitMQ by the arguments of a [QuorumQueue] and from a worker that quarantines
// a message. The routing key is the name of the queue that the message was in.
const DeadExchange = "magne.v1.dead"

// DeadQueue returns the name of the queue that holds the dead letters of a queue.
func DeadQueue(queue string) string { return DeadExchange + "." + queue }

// QuorumQueue describes a durable work queue of ours: replicated, its dead
// letters forwarded at least once, and a delivery limit as a safety net against
// a message that kills its worker. Dead is the quorum queue of its dead letters.
func QuorumQueue(name string) broker.Queue {
	return broker.Queue{
		Name: name, Durable: true,
		Args: map[string]any{
			"x-queue-type":              "quorum",
			"x-delivery-limit":          int32(100),
			"x-dead-letter-exchange":    DeadExchange,
			"x-dead-letter-routing-key": name,
			"x-dead-letter-strategy":    "at-least-once",
			"x-overflow":                "reject-publish", // at-least-once requires it
		},
		Dead: deadQueue(name),
	}
}

// MagneQueue describes a queue as magne declares it: direct exchange, queue and
// routing key have one name, nothing is durable, no arguments. RabbitMQ does not
// dead-letter from it; Dead is for what a worker quarantines.
func MagneQueue(name string) broker.Queue {
	return broker.Queue{Name: name, Exchange: name, Dead: deadQueue(name)}
}

func deadQueue(name string) *broker.Queue {
	return &broker.Queue{
		Name: DeadQueue(name), Durable: true,
		Args:     map[string]any{"x-queue-type": "quorum"},
		Exchange: DeadExchange, Key: name,
	}
}

// declare does what q.Declare asks for, dead letters first: a work queue must
// not lead into the void.
func (s *session) declare(q broker.Queue) error {
	if q.Dead != nil {
		dead := *q.Dead
		dead.Declare = q.Declare
		err := s.declareOne(dead)
		if dead.Declare == broker.DeclarePassive && errors.Is(err, broker.ErrDenied) {
			// Newer brokers let only those look who may also create.
			s.d.Logger.Warn("cannot check the dead-letter queue", "queue", dead.Name, "err", err)
			err = nil
		}
		if err != nil {
			return fmt.Errorf("amqp: dead letters of %q: %w", q.Name, err)
		}
	}
	if q.Declare == broker.DeclarePassive {
		return nil // basic.consume fails when it is missing, and needs fewer rights
	}
	return s.declareOne(q)
}

func (s *session) declareOne(q broker.Queue) error {
	args, err := toTable(q.Args)
	if err != nil {
		return fmt.Errorf("amqp: arguments of queue %q: %w", q.Name, err)
	}
	d := declaration{s: s, q: q, args: args}
	switch q.Declare {
	case broker.DeclarePassive:
		return d.exist()
	case broker.DeclareMatch:
		if err := d.exist(); err != nil {
			return err
		}
		return d.create()
	default:
		if err := d.create(); err != nil {
			return err
		}
		return d.bind()
	}
}

// declaration declares one queue and its exchange. Every step has a channel of
// its own: the broker answers a refusal by closing it.
type declaration struct {
	s    *session
	q    broker.Queue
	args amqp091.Table
}

func (d declaration) step(what string, f func(*amqp091.Channel) error) error {
	ch, err := d.s.link.Channel()
	if err != nil {
		return classify(what, err)
	}
	if err := f(ch); err != nil {
		return classify(what, err)
	}
	if err := ch.Close(); err != nil {
		return classify(what, err)
	}
	return nil
}

// exist checks that the exchange and the queue are there.
func (d declaration) exist() error {
	if d.q.Exchange != "" {
		err := d.step(fmt.Sprintf("check exchange %q", d.q.Exchange), func(ch *amqp091.Channel) error {
			return ch.ExchangeDeclarePassive(d.q.Exchange, amqp091.ExchangeDirect, d.q.Durable, false, false, false, nil)
		})
		if err != nil {
			return err
		}
	}
	return d.step(fmt.Sprintf("check queue %q", d.q.Name), func(ch *amqp091.Channel) error {
		_, err := ch.QueueDeclarePassive(d.q.Name, d.q.Durable, false, false, false, d.args)
		return err
	})
}

// create declares the exchange and the queue, which checks the arguments of
// those that exist.
func (d declaration) create() error {
	if d.q.Exchange != "" {
		err := d.step(fmt.Sprintf("declare exchange %q", d.q.Exchange), func(ch *amqp091.Channel) error {
			return ch.ExchangeDeclare(d.q.Exchange, amqp091.ExchangeDirect, d.q.Durable, false, false, false, nil)
		})
		if err != nil {
			return err
		}
	}
	return d.step(fmt.Sprintf("declare queue %q", d.q.Name), func(ch *amqp091.Channel) error {
		_, err := ch.QueueDeclare(d.q.Name, d.q.Durable, false, false, false, d.args)
		return err
	})
}

func (d declaration) bind() error {
	if d.q.Exchange == "" {
		return nil
	}
	return d.step(fmt.Sprintf("bind queue %q to exchange %q", d.q.Name, d.q.Exchange), func(ch *amqp091.Channel) error {
		return ch.QueueBind(d.q.Name, d.q.BindingKey(), d.q.Exchange, false, nil)
	})
}
