package embedded_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// TestBlockPublishers: a connection that publishes is told and not read; one
// that does not goes on; then all is as before.
func TestBlockPublishers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &embedded.Faults{}
		b := open(t, embedded.Options{Faults: f})
		publisher, other := rawDial(t, b), rawChannel(t, b)
		publisher.open(2 * time.Second)
		publisher.channel(1)
		unblock := f.BlockPublishers("low on disk")
		other.send(1, &wire.QueueDeclare{Queue: "q"})
		other.want(1, &wire.QueueDeclareOk{Queue: "q"})
		publisher.send(1, &wire.QueueDeclare{Queue: "q", Passive: true}) // has not published yet
		publisher.want(1, &wire.QueueDeclareOk{Queue: "q"})

		publisher.publish(1, &wire.BasicPublish{RoutingKey: "q"}, wire.Properties{}, "m")
		publisher.want(0, &wire.ConnectionBlocked{Reason: "low on disk"})
		publisher.send(1, &wire.QueueDeclare{Queue: "q", Passive: true})
		time.Sleep(time.Minute) // many heartbeats
		synctest.Wait()
		if s := b.Status(); s.Blocked != "low on disk" || s.Published != 0 || s.Connections[0].State != "blocked" {
			t.Errorf("status %+v", s)
		}
		unblock()
		publisher.want(0, &wire.ConnectionUnblocked{})
		publisher.want(1, &wire.QueueDeclareOk{Queue: "q", MessageCount: 1})
		if s := b.Status(); s.Blocked != "" || s.Connections[0].State != "running" {
			t.Errorf("status %+v", s)
		}
		unblock() // means nothing any more
	})
}

// TestBlockedClose: a blocked connection is closed like others.
func TestBlockedClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &embedded.Faults{}
		f.BlockPublishers("before Open")
		b := open(t, embedded.Options{Faults: f})
		r := rawChannel(t, b)
		r.publish(1, &wire.BasicPublish{RoutingKey: "q"}, wire.Properties{}, "m")
		r.want(0, &wire.ConnectionBlocked{Reason: "before Open"})
		closed := make(chan error)
		go func() { closed <- b.Close() }()
		r.want(0, connectionClose(320, shutdown, nil))
		r.send(0, &wire.ConnectionCloseOk{})
		r.wantEOF()
		r.nc.Close()
		if err := <-closed; err != nil {
			t.Error(err)
		}
	})
}

func TestDelayConfirms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &embedded.Faults{}
		r := rawChannel(t, open(t, embedded.Options{Faults: f}))
		r.send(1, &wire.ConfirmSelect{}, &wire.ConfirmSelect{NoWait: true})
		r.want(1, &wire.ConfirmSelectOk{})
		start := time.Now()
		f.DelayConfirms(time.Hour)
		r.publish(1, &wire.BasicPublish{RoutingKey: "nowhere", Mandatory: true}, wire.Properties{}, "")
		r.want(1, &wire.BasicReturn{ReplyCode: 312, ReplyText: "NO_ROUTE", RoutingKey: "nowhere"}) // at once
		r.content()
		f.DelayConfirms(0)
		r.publish(1, &wire.BasicPublish{RoutingKey: "nowhere"}, wire.Properties{}, "")
		r.want(1, &wire.BasicAck{DeliveryTag: 2})
		if d := time.Since(start); d != 0 {
			t.Errorf("the second after %v", d)
		}
		r.want(1, &wire.BasicAck{DeliveryTag: 1})
		if d := time.Since(start); d != time.Hour {
			t.Errorf("the first after %v", d)
		}
	})
}

// TestCancelConsumers: the client is told if it can be; its channel lives.
func TestCancelConsumers(t *testing.T) {
	f := &embedded.Faults{}
	b := open(t, embedded.Options{Faults: f})
	r := rawChannel(t, b)
	r.send(1, &wire.QueueDeclare{Queue: "q"}, &wire.BasicConsume{Queue: "q", ConsumerTag: "c"})
	r.want(1, &wire.QueueDeclareOk{Queue: "q"}, &wire.BasicConsumeOk{ConsumerTag: "c"})
	if n := f.CancelConsumers("q"); n != 1 {
		t.Errorf("cancelled %d", n)
	}
	r.want(1, &wire.BasicCancel{ConsumerTag: "c", NoWait: true})
	r.send(1, &wire.BasicCancelOk{ConsumerTag: "c"}, &wire.BasicConsume{Queue: "q", ConsumerTag: "c"})
	r.want(1, &wire.BasicConsumeOk{ConsumerTag: "c"})
	r.send(1, &wire.QueueDelete{Queue: "q"})
	r.want(1, &wire.BasicCancel{ConsumerTag: "c", NoWait: true}, &wire.QueueDeleteOk{})
}

// TestNoCancelNotify: a client that did not ask for it is not told.
func TestNoCancelNotify(t *testing.T) {
	r := rawDial(t, open(t, embedded.Options{}))
	r.write([]byte(wire.ProtocolHeader))
	r.recv()
	r.send(0, &wire.ConnectionStartOk{Mechanism: "PLAIN", Response: "\x00guest\x00guest"})
	r.recv()
	r.send(0, &wire.ConnectionTuneOk{ChannelMax: 1, FrameMax: 4096}, &wire.ConnectionOpen{VirtualHost: "/"})
	r.want(0, &wire.ConnectionOpenOk{})
	r.channel(1)
	r.send(1, &wire.QueueDeclare{Queue: "q"}, &wire.BasicConsume{Queue: "q", ConsumerTag: "c", NoWait: true}, &wire.QueueDelete{Queue: "q"})
	r.want(1, &wire.QueueDeclareOk{Queue: "q"}, &wire.QueueDeleteOk{})
}

func TestCloseChannels(t *testing.T) {
	f := &embedded.Faults{}
	r := rawChannel(t, open(t, embedded.Options{Faults: f}))
	if n := f.CloseChannels(406, "by a test"); n != 1 {
		t.Errorf("closed %d", n)
	}
	r.want(1, channelClose(406, "PRECONDITION_FAILED - by a test", nil))
	r.send(1, &wire.ChannelClose{}) // crosses it
	r.want(1, &wire.ChannelCloseOk{})
	r.send(1, &wire.ChannelCloseOk{})
	r.channel(1)
	if n := f.CloseChannels(541, "by a test"); n != 1 {
		t.Errorf("closed %d", n)
	}
	r.want(0, connectionClose(541, "INTERNAL_ERROR - by a test", nil))
}

func TestDropConnections(t *testing.T) {
	f := &embedded.Faults{}
	b := open(t, embedded.Options{Faults: f})
	r := rawChannel(t, b)
	if n := f.DropConnections(); n != 1 {
		t.Errorf("dropped %d", n)
	}
	r.wantEOF()
	r = rawChannel(t, b)
	if n := f.CloseConnections("by a test", func(c embedded.ConnectionStatus) bool { return c.User == "guest" }); n != 1 {
		t.Errorf("closed %d", n)
	}
	r.want(0, connectionClose(320, "CONNECTION_FORCED - by a test", nil))
}

// TestIdleFaults: without a broker they do nothing.
func TestIdleFaults(t *testing.T) {
	f := &embedded.Faults{}
	all := func(embedded.ConnectionStatus) bool { return true }
	if n := f.DropConnections() + f.CancelConsumers("q") + f.CloseChannels(406, "") + f.CloseConnections("", all); n != 0 {
		t.Errorf("did %d things", n)
	}
	f.BlockPublishers("")()
}
