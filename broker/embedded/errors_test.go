package embedded_test

import (
	"strings"
	"testing"

	"github.com/magne-actors/magne-actors/broker/embedded"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// TestChannelErrors: RabbitMQ's code, text and method; the connection lives on,
// and so does the number of the channel.
func TestChannelErrors(t *testing.T) {
	b := open(t, embedded.Options{})
	for _, c := range []struct {
		m    wire.Method
		code uint16
		text string
	}{
		{&wire.QueueDeclare{Queue: "gone", Passive: true}, 404, "NOT_FOUND - no queue 'gone' in vhost '/'"},
		{&wire.QueueDeclare{Queue: "amq.mine"}, 403, "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'"},
		{&wire.QueuePurge{Queue: "gone"}, 404, "NOT_FOUND - no queue 'gone' in vhost '/'"},
		{&wire.QueuePurge{}, 404, "NOT_FOUND - no previously declared queue"},
		{&wire.QueueBind{Queue: "gone", Exchange: "amq.direct"}, 404, "NOT_FOUND - no queue 'gone' in vhost '/'"},
		{&wire.ExchangeDeclare{Exchange: "gone", Type: "direct", Passive: true}, 404, "NOT_FOUND - no exchange 'gone' in vhost '/'"},
		{&wire.ExchangeDelete{Exchange: "amq.direct"}, 403, "ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed"},
		{&wire.ExchangeBind{Destination: "amq.fanout", Source: "gone"}, 404, "NOT_FOUND - no exchange 'gone' in vhost '/'"},
		{&wire.BasicConsume{Queue: "gone"}, 404, "NOT_FOUND - no queue 'gone' in vhost '/'"},
		{&wire.BasicGet{Queue: "gone"}, 404, "NOT_FOUND - no queue 'gone' in vhost '/'"},
		{&wire.BasicAck{DeliveryTag: 7}, 406, "PRECONDITION_FAILED - unknown delivery tag 7"},
		{&wire.BasicNack{DeliveryTag: 7}, 406, "PRECONDITION_FAILED - unknown delivery tag 7"},
		{&wire.BasicReject{DeliveryTag: 7}, 406, "PRECONDITION_FAILED - unknown delivery tag 7"},
	} {
		r := rawChannel(t, b)
		r.send(1, c.m)
		r.want(1, channelClose(c.code, c.text, c.m))
		r.send(1, &wire.QueuePurge{Queue: "also gone"}, &wire.ChannelCloseOk{}) // the first is ignored
		r.channel(1)
	}
}

// TestConnectionErrors: a connection.close that says what was wrong.
func TestConnectionErrors(t *testing.T) {
	b := open(t, embedded.Options{})
	method := func(channel uint16, m wire.Method) []byte { return wire.AppendMethodFrame(nil, channel, m) }
	header := wire.AppendContentHeader(nil, 1, wire.ClassBasic, []byte{0, 0}, 3)
	publish := method(1, &wire.BasicPublish{RoutingKey: "q"})
	for name, c := range map[string]struct {
		bytes []byte
		want  *wire.ConnectionClose
	}{
		"unknown channel": {method(9, &wire.QueuePurge{Queue: "q"}), connectionClose(504, "CHANNEL_ERROR - expected 'channel.open'", &wire.QueuePurge{})},
		"twice open":      {method(1, &wire.ChannelOpen{}), connectionClose(504, "CHANNEL_ERROR - second 'channel.open' seen", &wire.ChannelOpen{})},
		"flow":            {method(1, &wire.ChannelFlow{}), connectionClose(540, "NOT_IMPLEMENTED - active=false", &wire.ChannelFlow{})},
		"tx":              {method(1, &wire.TxSelect{}), connectionClose(540, "NOT_IMPLEMENTED - transactions are not implemented: use publisher confirms", &wire.TxSelect{})},
		"recover":         {method(1, &wire.BasicRecover{}), connectionClose(540, "NOT_IMPLEMENTED - requeue=false", &wire.BasicRecover{})},
		"prefetch size":   {method(1, &wire.BasicQos{PrefetchSize: 1}), connectionClose(540, "NOT_IMPLEMENTED - prefetch_size!=0 (1)", &wire.BasicQos{})},
		"server's method": {method(1, &wire.QueueDeclareOk{}), connectionClose(503, "COMMAND_INVALID - unimplemented method", &wire.QueueDeclareOk{})},
		"type":            {method(1, &wire.ExchangeDeclare{Exchange: "x", Type: "odd"}), connectionClose(503, "COMMAND_INVALID - unknown exchange type 'odd'", &wire.ExchangeDeclare{})},
		"secret":          {method(0, &wire.ConnectionUpdateSecret{}), connectionClose(530, "NOT_ALLOWED - New secret was refused by one of the backends", &wire.ConnectionUpdateSecret{})},
		"open again":      {method(0, &wire.ConnectionOpen{VirtualHost: "/"}), connectionClose(504, "CHANNEL_ERROR - unexpected method in connection state running", &wire.ConnectionOpen{})},
		"method of none":  {wire.AppendFrame(nil, wire.FrameMethod, 1, []byte{0, 60, 0, 99}), &wire.ConnectionClose{ReplyCode: 540, ReplyText: "NOT_IMPLEMENTED - there is no method 99 of class 60", ClassID: 60, MethodID: 99}},
		"syntax":          {wire.AppendFrame(nil, wire.FrameMethod, 1, []byte{0, 60, 0, 80, 1}), connectionClose(502, "SYNTAX_ERROR - basic.ack: ", &wire.BasicAck{})},
		"header alone":    {header, connectionClose(505, "UNEXPECTED_FRAME - expected method frame, got non method frame instead", nil)},
		"body for header": {append(publish, wire.AppendBody(nil, 1, []byte("abc"), 0)...), connectionClose(505, "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead", &wire.BasicPublish{})},
		"other class":     {append(publish, wire.AppendContentHeader(nil, 1, 50, []byte{0, 0}, 3)...), connectionClose(505, "UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead", &wire.BasicPublish{})},
		"method for body": {append(append(publish, header...), publish...), connectionClose(505, "UNEXPECTED_FRAME - expected content body, got non content body frame instead", &wire.BasicPublish{})},
		"long body":       {append(append(publish, header...), wire.AppendBody(nil, 1, []byte("abcd"), 0)...), connectionClose(505, "UNEXPECTED_FRAME - content body is longer than its header says", &wire.BasicPublish{})},
		"frame end":       {[]byte{1, 0, 1, 0, 0, 0, 1, 0, 0xcc}, connectionClose(501, "FRAME_ERROR - type 1, channel 1: ends with octet 204", nil)},
		"frame type":      {[]byte{9, 0, 1, 0, 0, 0, 0, 0xce}, connectionClose(501, "FRAME_ERROR - type 9, channel 1: unknown frame", nil)},
		"frame size":      {[]byte{1, 0, 1, 0, 2, 0, 1, 0}, connectionClose(501, "FRAME_ERROR - type 1, channel 1: a payload of 131073 bytes is too large, the limit is 131064", nil)},
		"body on 0":       {wire.AppendBody(nil, 0, []byte("x"), 0), connectionClose(505, "UNEXPECTED_FRAME - type 3 on channel 0", nil)},
		"heartbeat on 1":  {wire.AppendFrame(nil, wire.FrameHeartbeat, 1, nil), connectionClose(505, "UNEXPECTED_FRAME - heartbeat on channel 1", nil)},
		"immediate":       {append(append(method(1, &wire.BasicPublish{RoutingKey: "q", Immediate: true}), header...), wire.AppendBody(nil, 1, []byte("abc"), 0)...), connectionClose(540, "NOT_IMPLEMENTED - immediate=true", &wire.BasicPublish{})},
	} {
		t.Run(name, func(t *testing.T) {
			r := rawChannel(t, b)
			r.write(c.bytes)
			_, m := r.recv()
			got, ok := m.(*wire.ConnectionClose)
			if !ok {
				t.Fatalf("got %+v", m)
			}
			if !strings.HasPrefix(got.ReplyText, c.want.ReplyText) || got.ReplyCode != c.want.ReplyCode || got.ClassID != c.want.ClassID || got.MethodID != c.want.MethodID {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			r.send(1, &wire.ChannelOpen{}) // is ignored
			r.send(0, &wire.ConnectionCloseOk{})
			r.wantEOF()
		})
	}
}

// TestChannelLimit: the negotiated one.
func TestChannelLimit(t *testing.T) {
	b := open(t, embedded.Options{Limits: embedded.Limits{Channels: 2}})
	r := rawDial(t, b)
	r.login()
	r.send(0, &wire.ConnectionTuneOk{ChannelMax: 2, FrameMax: 4096}, &wire.ConnectionOpen{VirtualHost: "/"})
	r.want(0, &wire.ConnectionOpenOk{})
	r.channel(1)
	r.channel(2)
	r.send(1, &wire.ChannelClose{})
	r.want(1, &wire.ChannelCloseOk{})
	r.channel(1)
	r.send(3, &wire.ChannelOpen{})
	r.want(0, connectionClose(530, "NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max (2)", nil))
}

// TestMessageSize: a message that is too large closes its channel as soon as its
// header says so; the rest of it is ignored.
func TestMessageSize(t *testing.T) {
	b := open(t, embedded.Options{Limits: embedded.Limits{MessageBytes: 10}})
	r := rawChannel(t, b)
	r.publish(1, &wire.BasicPublish{RoutingKey: "q"}, wire.Properties{}, "12345678901")
	r.want(1, channelClose(406, "PRECONDITION_FAILED - message size 11 is larger than configured max size 10", &wire.BasicPublish{}))
	r.send(1, &wire.ChannelCloseOk{})
	r.channel(1)
	r.publish(1, &wire.BasicPublish{RoutingKey: "q", Mandatory: true}, wire.Properties{}, "1234567890")
	r.want(1, &wire.BasicReturn{ReplyCode: 312, ReplyText: "NO_ROUTE", RoutingKey: "q"})
	if body := r.content(); body != "1234567890" {
		t.Errorf("returned %q", body)
	}
}

// TestIncompleteMessages: many messages that are never whole do not fill the
// memory.
func TestIncompleteMessages(t *testing.T) {
	b := open(t, embedded.Options{Limits: embedded.Limits{MessageBytes: 100}})
	r := rawDial(t, b)
	r.open(0)
	for id := uint16(1); id <= 3; id++ {
		r.channel(id)
		r.send(id, &wire.BasicPublish{RoutingKey: "q"})
		r.write(wire.AppendContentHeader(nil, id, wire.ClassBasic, []byte{0, 0}, 100))
		r.write(wire.AppendBody(nil, id, make([]byte, 99), 0))
	}
	r.want(0, connectionClose(506, "RESOURCE_ERROR - incomplete messages on this connection are larger than 200 bytes together", &wire.BasicPublish{}))
}

// TestConsumerLimit bounds the consumers of a channel.
func TestConsumerLimit(t *testing.T) {
	b := open(t, embedded.Options{Limits: embedded.Limits{Consumers: 2}})
	r := rawChannel(t, b)
	r.send(1, &wire.QueueDeclare{Queue: "q", Exclusive: true, NoWait: true},
		&wire.BasicConsume{ConsumerTag: "a"}, &wire.BasicConsume{ConsumerTag: "b", NoWait: true},
		&wire.BasicCancel{ConsumerTag: "a"}, &wire.BasicConsume{ConsumerTag: "c"}, &wire.BasicConsume{ConsumerTag: "d"})
	r.want(1, &wire.BasicConsumeOk{ConsumerTag: "a"}, &wire.BasicCancelOk{ConsumerTag: "a"}, &wire.BasicConsumeOk{ConsumerTag: "c"})
	r.want(0, connectionClose(530, "NOT_ALLOWED - reached maximum (2) of consumers per channel", &wire.BasicConsume{}))
}

// TestUserID: nobody publishes as somebody else.
func TestUserID(t *testing.T) {
	r := rawChannel(t, open(t, embedded.Options{}))
	r.publish(1, &wire.BasicPublish{RoutingKey: "q"}, wire.Properties{UserID: "guest"}, "")
	r.publish(1, &wire.BasicPublish{RoutingKey: "q"}, wire.Properties{UserID: "root"}, "")
	r.want(1, channelClose(406, "PRECONDITION_FAILED - user_id property set to 'root' but authenticated user was 'guest'", &wire.BasicPublish{}))
}
