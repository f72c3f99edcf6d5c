package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// call is one request of amqp091-go, with what must arrive and what answers it.
type call struct {
	do     func(ch *amqp.Channel) error
	want   wire.Method
	answer wire.Method // nil for none
}

func TestInteropCalls(t *testing.T) {
	args := wire.Table{"x-message-ttl": int32(60000), "x-dead-letter-exchange": "dlx"}
	calls := append(exchangeCalls(args), queueCalls(args)...)
	calls = append(calls, basicCalls(args)...)
	conn := withPeer(t, func(p *peer) {
		p.handshake()
		for i, c := range calls {
			p.expect(1, c.want)
			if i == len(calls)-1 { // while the client waits, so that nothing of its comes between
				p.send(1, &wire.ChannelFlow{Active: false})
				p.expect(1, &wire.ChannelFlowOk{Active: false})
			}
			if c.answer != nil {
				p.send(1, c.answer)
			}
		}
		p.expect(1, &wire.ChannelClose{ReplyCode: 200})
		p.send(1, &wire.ChannelCloseOk{})
	})
	_, ch := openChannel(t, conn)
	flow := ch.NotifyFlow(make(chan bool, 1))
	for _, c := range calls {
		if err := c.do(ch); err != nil {
			t.Errorf("%s: %v", c.want.Name(), err)
		}
	}
	if active := <-flow; active {
		t.Error("the flow is active")
	}
	if err := ch.Close(); err != nil {
		t.Error(err)
	}
}

func exchangeCalls(args wire.Table) []call {
	return []call{
		{
			func(ch *amqp.Channel) error {
				return ch.ExchangeDeclare("e", "topic", true, false, true, false, foreignTable(args))
			},
			&wire.ExchangeDeclare{Exchange: "e", Type: "topic", Durable: true, Internal: true, Arguments: args},
			&wire.ExchangeDeclareOk{},
		},
		{
			func(ch *amqp.Channel) error {
				return ch.ExchangeDeclarePassive("e", "fanout", false, true, false, true, nil)
			},
			&wire.ExchangeDeclare{Exchange: "e", Type: "fanout", Passive: true, AutoDelete: true, NoWait: true},
			nil,
		},
		{
			func(ch *amqp.Channel) error { return ch.ExchangeBind("to", "key", "from", false, foreignTable(args)) },
			&wire.ExchangeBind{Destination: "to", Source: "from", RoutingKey: "key", Arguments: args},
			&wire.ExchangeBindOk{},
		},
		{
			func(ch *amqp.Channel) error { return ch.ExchangeUnbind("to", "key", "from", false, nil) },
			&wire.ExchangeUnbind{Destination: "to", Source: "from", RoutingKey: "key"},
			&wire.ExchangeUnbindOk{},
		},
		{
			func(ch *amqp.Channel) error { return ch.ExchangeDelete("e", true, false) },
			&wire.ExchangeDelete{Exchange: "e", IfUnused: true},
			&wire.ExchangeDeleteOk{},
		},
	}
}

func queueCalls(args wire.Table) []call {
	return []call{
		{
			func(ch *amqp.Channel) error {
				q, err := ch.QueueDeclare("", true, true, false, false, foreignTable(args))
				return errors.Join(err, differ(amqp.Queue{Name: "amq.gen-1", Messages: 70000, Consumers: 3}, q))
			},
			&wire.QueueDeclare{Durable: true, AutoDelete: true, Arguments: args},
			&wire.QueueDeclareOk{Queue: "amq.gen-1", MessageCount: 70000, ConsumerCount: 3},
		},
		{
			func(ch *amqp.Channel) error {
				_, err := ch.QueueDeclare("é", false, false, true, true, nil)
				return err
			},
			&wire.QueueDeclare{Queue: "é", Exclusive: true, NoWait: true},
			nil,
		},
		{
			func(ch *amqp.Channel) error { return ch.QueueBind("q", "a.#", "e", false, foreignTable(args)) },
			&wire.QueueBind{Queue: "q", Exchange: "e", RoutingKey: "a.#", Arguments: args},
			&wire.QueueBindOk{},
		},
		{
			func(ch *amqp.Channel) error { return ch.QueueUnbind("q", "a.#", "e", foreignTable(args)) },
			&wire.QueueUnbind{Queue: "q", Exchange: "e", RoutingKey: "a.#", Arguments: args},
			&wire.QueueUnbindOk{},
		},
		{
			func(ch *amqp.Channel) error {
				n, err := ch.QueuePurge("q", false)
				return errors.Join(err, differ(5, n))
			},
			&wire.QueuePurge{Queue: "q"},
			&wire.QueuePurgeOk{MessageCount: 5},
		},
		{
			func(ch *amqp.Channel) error {
				n, err := ch.QueueDelete("q", false, true, false)
				return errors.Join(err, differ(6, n))
			},
			&wire.QueueDelete{Queue: "q", IfEmpty: true},
			&wire.QueueDeleteOk{MessageCount: 6},
		},
	}
}

func basicCalls(args wire.Table) []call {
	return []call{
		{
			func(ch *amqp.Channel) error { return ch.Qos(1000, 1<<20, true) },
			&wire.BasicQos{PrefetchCount: 1000, PrefetchSize: 1 << 20, Global: true},
			&wire.BasicQosOk{},
		},
		{
			func(ch *amqp.Channel) error {
				_, err := ch.Consume("q", "tag", true, false, true, false, foreignTable(args))
				return err
			},
			&wire.BasicConsume{Queue: "q", ConsumerTag: "tag", NoAck: true, NoLocal: true, Arguments: args},
			&wire.BasicConsumeOk{ConsumerTag: "tag"},
		},
		{
			func(ch *amqp.Channel) error { return ch.Cancel("tag", false) },
			&wire.BasicCancel{ConsumerTag: "tag"},
			&wire.BasicCancelOk{ConsumerTag: "tag"},
		},
		{
			func(ch *amqp.Channel) error {
				_, ok, err := ch.Get("q", true)
				return errors.Join(err, differ(false, ok))
			},
			&wire.BasicGet{Queue: "q", NoAck: true},
			&wire.BasicGetEmpty{},
		},
		{
			func(ch *amqp.Channel) error { return ch.Ack(1<<40, true) },
			&wire.BasicAck{DeliveryTag: 1 << 40, Multiple: true},
			nil,
		},
		{
			func(ch *amqp.Channel) error { return ch.Nack(8, false, true) },
			&wire.BasicNack{DeliveryTag: 8, Requeue: true},
			nil,
		},
		{
			func(ch *amqp.Channel) error { return ch.Reject(9, true) },
			&wire.BasicReject{DeliveryTag: 9, Requeue: true},
			nil,
		},
		{
			func(ch *amqp.Channel) error { return ch.Recover(true) }, //nolint:staticcheck // deprecated, and still sent by clients
			&wire.BasicRecover{Requeue: true},
			&wire.BasicRecoverOk{},
		},
		{func(ch *amqp.Channel) error { return ch.Confirm(false) }, &wire.ConfirmSelect{}, &wire.ConfirmSelectOk{}},
		{func(ch *amqp.Channel) error { return ch.Tx() }, &wire.TxSelect{}, &wire.TxSelectOk{}},
		{func(ch *amqp.Channel) error { return ch.TxCommit() }, &wire.TxCommit{}, &wire.TxCommitOk{}},
		{func(ch *amqp.Channel) error { return ch.TxRollback() }, &wire.TxRollback{}, &wire.TxRollbackOk{}},
		{
			func(ch *amqp.Channel) error { return ch.Flow(true) },
			&wire.ChannelFlow{Active: true},
			&wire.ChannelFlowOk{Active: true},
		},
	}
}

func differ(want, got any) error {
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("(-want +got):\n%s", diff)
	}
	return nil
}

// TestInteropMessages: a message goes in, and comes out as a delivery, by get and
// as a return; its body takes several frames.
func TestInteropMessages(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789"), 1500)
	published := amqp.Publishing{
		Headers: foreignTable(everyType()), ContentType: "text/plain", ContentEncoding: "utf-8",
		DeliveryMode: amqp.Persistent, Priority: 9, CorrelationId: "corr", ReplyTo: "reply", Expiration: "60000",
		MessageId: "id", Timestamp: time.Unix(1700000000, 0), Type: "type", UserId: "guest", AppId: "app", Body: body,
	}
	conn := withPeer(t, func(p *peer) { messages(p, body) })

	_, ch := openChannel(t, conn)
	returns := ch.NotifyReturn(make(chan amqp.Return, 1))
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	confirms := ch.NotifyPublish(make(chan amqp.Confirmation, 2))
	for range 2 {
		if err := ch.PublishWithContext(t.Context(), "e", "k", true, false, published); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []amqp.Confirmation{{DeliveryTag: 1, Ack: true}, {DeliveryTag: 2}} {
		if got := <-confirms; got != want {
			t.Errorf("confirm %+v, want %+v", got, want)
		}
	}
	returned := <-returns
	if returned.ReplyCode != 312 || returned.ReplyText != "NO_ROUTE" || returned.Exchange != "e" || returned.RoutingKey != "k" {
		t.Errorf("return %+v", returned)
	}
	cancelled := ch.NotifyCancel(make(chan string, 1))
	deliveries, err := ch.Consume("q", "tag", false, true, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	delivered := <-deliveries
	if delivered.ConsumerTag != "tag" || delivered.DeliveryTag != 1<<33 || !delivered.Redelivered || delivered.Exchange != "e" || delivered.RoutingKey != "k" {
		t.Errorf("delivery %s %d %v", delivered.ConsumerTag, delivered.DeliveryTag, delivered.Redelivered)
	}
	if tag := <-cancelled; tag != "tag" {
		t.Errorf("%q was cancelled", tag)
	}
	got, ok, err := ch.Get("q", false)
	if err != nil || !ok || got.DeliveryTag != 5 || got.MessageCount != 70000 || got.RoutingKey != "k" {
		t.Errorf("get %v %v %d %d", ok, err, got.DeliveryTag, got.MessageCount)
	}
	for name, back := range map[string]amqp.Publishing{
		"delivered": publishing(delivered), "got": publishing(got), "returned": publishing(amqp.Delivery{
			Headers: returned.Headers, ContentType: returned.ContentType, ContentEncoding: returned.ContentEncoding,
			DeliveryMode: returned.DeliveryMode, Priority: returned.Priority, CorrelationId: returned.CorrelationId,
			ReplyTo: returned.ReplyTo, Expiration: returned.Expiration, MessageId: returned.MessageId,
			Timestamp: returned.Timestamp, Type: returned.Type, UserId: returned.UserId, AppId: returned.AppId, Body: returned.Body,
		}),
	} {
		if diff := cmp.Diff(published, back, sameValues); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func publishing(d amqp.Delivery) amqp.Publishing {
	return amqp.Publishing{
		Headers: d.Headers, ContentType: d.ContentType, ContentEncoding: d.ContentEncoding, DeliveryMode: d.DeliveryMode,
		Priority: d.Priority, CorrelationId: d.CorrelationId, ReplyTo: d.ReplyTo, Expiration: d.Expiration,
		MessageId: d.MessageId, Timestamp: d.Timestamp, Type: d.Type, UserId: d.UserId, AppId: d.AppId, Body: d.Body,
	}
}

// messages is the broker's side of TestInteropMessages.
func messages(p *peer, wantBody []byte) {
	p.handshake()
	p.expect(1, &wire.ConfirmSelect{})
	p.send(1, &wire.ConfirmSelectOk{})
	var raw, body []byte
	for range 2 {
		p.expect(1, &wire.BasicPublish{Exchange: "e", RoutingKey: "k", Mandatory: true})
		raw, body = p.content()
	}
	if !bytes.Equal(body, wantBody) {
		p.fatal("a body of", len(body), "bytes")
	}
	properties, err := wire.ParseProperties(raw)
	if err != nil {
		p.fatal(err)
	}
	want := &wire.Properties{
		Present: properties.Present, Headers: everyType(), ContentType: "text/plain", ContentEncoding: "utf-8",
		DeliveryMode: wire.Persistent, Priority: 9, CorrelationID: "corr", ReplyTo: "reply", Expiration: "60000",
		MessageID: "id", Timestamp: time.Unix(1700000000, 0), Type: "type", UserID: "guest", AppID: "app",
	}
	if diff := cmp.Diff(want, properties, sameValues); diff != "" {
		p.fatal(diff)
	}
	parsed, err := properties.AppendRaw(nil) // what an x-death would be added to
	if err != nil {
		p.fatal(err)
	}

	p.write(wire.AppendAck(nil, 1, 1, false))
	p.write(wire.AppendContent(wire.AppendReturn(nil, 1, wire.CodeNoRoute, "NO_ROUTE", "e", "k"), 1, wire.ClassBasic, raw, body, wire.MinFrameSize))
	p.write(wire.AppendNack(nil, 1, 2, false))

	p.expect(1, &wire.BasicConsume{Queue: "q", ConsumerTag: "tag", Exclusive: true})
	p.send(1, &wire.BasicConsumeOk{ConsumerTag: "tag"})
	p.write(wire.AppendContent(wire.AppendDeliver(nil, 1, "tag", 1<<33, true, "e", "k"), 1, wire.ClassBasic, parsed, body, wire.MinFrameSize))
	p.send(1, &wire.BasicCancel{ConsumerTag: "tag", NoWait: true})

	p.expect(1, &wire.BasicGet{Queue: "q"})
	p.write(wire.AppendContent(wire.AppendGetOk(nil, 1, 5, false, "e", "k", 70000), 1, wire.ClassBasic, raw, body, wire.MinFrameSize))
}
