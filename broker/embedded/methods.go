package embedded

import (
	"strings"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/engine"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// method does what the client asks on an open channel.
func (ch *channel) method(m wire.Method) error {
	switch m := m.(type) {
	case *wire.BasicPublish:
		ch.content.begin(m)
		return nil
	case *wire.BasicAck:
		return ch.engine.Ack(m.DeliveryTag, m.Multiple)
	case *wire.BasicNack:
		return ch.engine.Nack(m.DeliveryTag, m.Multiple, m.Requeue)
	case *wire.BasicReject:
		return ch.engine.Reject(m.DeliveryTag, m.Requeue)
	}
	switch class, _ := m.ID(); class {
	case wire.ClassBasic:
		return ch.basic(m)
	case wire.ClassQueue:
		return ch.queue(m)
	case wire.ClassExchange:
		return ch.exchange(m)
	case wire.ClassTx:
		return failf(wire.CodeNotImplemented, "transactions are not implemented: use publisher confirms")
	}
	switch m := m.(type) {
	case *wire.ChannelOpen:
		return failf(wire.CodeChannelError, "second 'channel.open' seen")
	case *wire.ChannelClose:
		ch.close()
		return nil
	case *wire.ChannelCloseOk: // of a close that crossed another one
		return nil
	case *wire.ChannelFlow:
		return ch.flow(m)
	case *wire.ConfirmSelect:
		return ch.confirmSelect(m)
	}
	return unimplemented()
}

// unimplemented is the answer to methods that only a server may send.
func unimplemented() error { return failf(wire.CodeCommandInvalid, "unimplemented method") }

// flow is refused if it would stop deliveries, as RabbitMQ does.
func (ch *channel) flow(m *wire.ChannelFlow) error {
	if !m.Active {
		return failf(wire.CodeNotImplemented, "active=false")
	}
	ch.reply(false, &wire.ChannelFlowOk{Active: true})
	return nil
}

func (ch *channel) queue(m wire.Method) error {
	e, owner := ch.conn.b.engine, ch.conn.owner
	switch m := m.(type) {
	case *wire.QueueDeclare:
		return ch.declare(m)
	case *wire.QueueBind:
		queue, key, err := ch.bindNames(m.Queue, m.RoutingKey)
		if err == nil {
			err = e.BindQueue(owner, queue, m.Exchange, key, m.Arguments)
		}
		return ch.done(err, m.NoWait, &wire.QueueBindOk{})
	case *wire.QueueUnbind:
		queue, key, err := ch.bindNames(m.Queue, m.RoutingKey)
		if err == nil {
			err = e.UnbindQueue(owner, queue, m.Exchange, key, m.Arguments)
		}
		return ch.done(err, false, &wire.QueueUnbindOk{})
	case *wire.QueuePurge:
		queue, err := ch.queueName(m.Queue)
		if err != nil {
			return err
		}
		n, err := e.Purge(owner, queue)
		return ch.done(err, m.NoWait, &wire.QueuePurgeOk{MessageCount: uint32(n)})
	case *wire.QueueDelete:
		queue, err := ch.queueName(m.Queue)
		if err != nil {
			return err
		}
		n, err := e.DeleteQueue(owner, queue, m.IfUnused, m.IfEmpty)
		return ch.done(err, m.NoWait, &wire.QueueDeleteOk{MessageCount: uint32(n)})
	}
	return unimplemented()
}

// declare takes line ends out of the name, as RabbitMQ does.
func (ch *channel) declare(m *wire.QueueDeclare) error {
	ok, err := ch.conn.b.engine.DeclareQueue(ch.conn.owner, engine.QueueSpec{
		Name: stripLines(m.Queue), Durable: m.Durable, Exclusive: m.Exclusive, AutoDelete: m.AutoDelete, Args: m.Arguments,
	}, m.Passive)
	if err != nil {
		return err
	}
	ch.lastName = ok.Name
	ch.reply(m.NoWait, &wire.QueueDeclareOk{
		Queue: ok.Name, MessageCount: uint32(ok.Messages), ConsumerCount: uint32(ok.Consumers),
	})
	return nil
}

func (ch *channel) exchange(m wire.Method) error {
	e := ch.conn.b.engine
	switch m := m.(type) {
	case *wire.ExchangeDeclare:
		return ch.done(e.DeclareExchange(engine.ExchangeSpec{
			Name: stripLines(m.Exchange), Type: m.Type, Durable: m.Durable,
			AutoDelete: m.AutoDelete, Internal: m.Internal, Args: m.Arguments,
		}, m.Passive), m.NoWait, &wire.ExchangeDeclareOk{})
	case *wire.ExchangeDelete:
		return ch.done(e.DeleteExchange(stripLines(m.Exchange), m.IfUnused), m.NoWait, &wire.ExchangeDeleteOk{})
	case *wire.ExchangeBind:
		return ch.done(e.BindExchange(m.Destination, m.Source, m.RoutingKey, m.Arguments), m.NoWait, &wire.ExchangeBindOk{})
	case *wire.ExchangeUnbind:
		return ch.done(e.UnbindExchange(m.Destination, m.Source, m.RoutingKey, m.Arguments), m.NoWait, &wire.ExchangeUnbindOk{})
	}
	return unimplemented()
}

// done replies unless there is an error.
func (ch *channel) done(err error, noWait bool, m wire.Method) error {
	if err == nil {
		ch.reply(noWait, m)
	}
	return err
}

// queueName is the name itself, or for "" that of the queue declared last.
func (ch *channel) queueName(name string) (string, error) {
	if name == "" {
		name = ch.lastName
	}
	if name == "" {
		return "", failf(wire.CodeNotFound, "no previously declared queue")
	}
	return name, nil
}

// bindNames is queueName; with neither a name nor a key the queue's name is both.
func (ch *channel) bindNames(queue, key string) (string, string, error) {
	name, err := ch.queueName(queue)
	if queue == "" && key == "" {
		key = name
	}
	return name, key, err
}

var lineEnds = strings.NewReplacer("\r", "", "\n", "")

func stripLines(name string) string { return lineEnds.Replace(name) }
