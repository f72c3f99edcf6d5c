package embedded_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker/embedded"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

const shutdown = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"

// TestHeartbeats: the broker writes one in each half interval, and a client that
// says nothing for two intervals is cut off without a word.
func TestHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, embedded.Options{})
		r := rawDial(t, b)
		r.open(4 * time.Second)
		start := time.Now()
		beats := 0
		for {
			f, err := r.in.ReadFrame()
			if err != nil {
				break
			}
			if f.Type != wire.FrameHeartbeat {
				t.Fatalf("frame %+v", f)
			}
			if beats++; beats == 2 {
				r.write(wire.AppendHeartbeat(nil)) // after 6 s
			}
		}
		if d := time.Since(start); d < 14*time.Second || d > 16*time.Second {
			t.Errorf("cut off after %v", d)
		}
		if beats < 6 {
			t.Errorf("%d heartbeats", beats)
		}
	})
}

// TestNoHeartbeats: a client may want none.
func TestNoHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := rawChannel(t, open(t, embedded.Options{Heartbeat: -1}))
		time.Sleep(10 * time.Minute)
		r.send(1, &wire.ChannelClose{})
		r.want(1, &wire.ChannelCloseOk{})
	})
}

// TestClose: clients are told, and what is not acknowledged is there again.
func TestClose(t *testing.T) {
	dir := t.TempDir()
	b := open(t, embedded.Options{Dir: dir})
	conn := dialTCP(t, listen(t, b))
	closed := conn.NotifyClose(make(chan *amqp.Error, 1))
	ch := channel(t, conn)
	if _, err := ch.QueueDeclare("q", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	c, err := ch.PublishWithDeferredConfirm("", "q", false, false, amqp.Publishing{Body: []byte("m"), DeliveryMode: amqp.Persistent})
	if err != nil || !c.Wait() {
		t.Fatal("not confirmed", err)
	}
	if _, ok, err := ch.Get("q", false); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-closed; err == nil || err.Code != 320 || err.Reason != shutdown {
		t.Errorf("closed with %v", err)
	}
	if _, err := b.Dial(t.Context()); !errors.Is(err, embedded.ErrClosed) {
		t.Errorf("Dial: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	ch = channel(t, dial(t, open(t, embedded.Options{Dir: dir}), amqp.Config{}))
	if m, ok, err := ch.Get("q", true); !ok || err != nil || string(m.Body) != "m" {
		t.Errorf("after the restart: %v, %v, %v", m, ok, err)
	}
}

// TestCloseDeafClient: one that neither reads nor answers does not hold Close up.
func TestCloseDeafClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, embedded.Options{})
		r := rawChannel(t, b)
		r.send(1, &wire.QueueDeclare{Queue: "q"}, &wire.BasicConsume{Queue: "q", NoAck: true, NoWait: true})
		for range 100 { // more than the pipe holds
			r.publish(1, &wire.BasicPublish{RoutingKey: "q"}, wire.Properties{}, strings.Repeat("x", 10_000))
		}
		start := time.Now()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("took %v", d)
		}
	})
}

// TestServe: it ends with its context, its connections are told, others live on.
func TestServe(t *testing.T) {
	b := open(t, embedded.Options{})
	other := rawChannel(t, b)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Serve(ctx, l) }()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	r := newRaw(t, nc)
	r.open(0)
	cancel()
	r.want(0, connectionClose(320, shutdown, nil))
	r.send(0, &wire.ConnectionCloseOk{})
	r.wantEOF()
	nc.Close()
	if err := <-ended; err != nil {
		t.Errorf("Serve: %v", err)
	}
	other.send(1, &wire.ChannelClose{})
	other.want(1, &wire.ChannelCloseOk{})
	other.nc.Close()
	l, err = net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := b.Serve(t.Context(), l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve of a closed listener: %v", err)
	}
	b.Close()
	if err := b.Serve(t.Context(), l); !errors.Is(err, embedded.ErrClosed) {
		t.Errorf("Serve of a closed broker: %v", err)
	}
}

// TestSlowConsumer: a consumer without prefetch that does not read is sent no
// more than the buffers hold, gets the rest when it reads, and meanwhile its
// connection does other things.
func TestSlowConsumer(t *testing.T) {
	b := open(t, embedded.Options{Limits: embedded.Limits{BufferBytes: 64 << 10}})
	r := rawChannel(t, b)
	const n, size = 1000, 10_000
	r.send(1, &wire.QueueDeclare{Queue: "q"}, &wire.BasicConsume{Queue: "q", ConsumerTag: "c", NoAck: true})
	r.want(1, &wire.QueueDeclareOk{Queue: "q"}, &wire.BasicConsumeOk{ConsumerTag: "c"})
	body := strings.Repeat("x", size)
	for range n {
		r.publish(1, &wire.BasicPublish{RoutingKey: "q"}, wire.Properties{}, body)
	}
	other := rawChannel(t, b)
	settled(t, func() bool {
		other.send(1, &wire.QueueDeclare{Queue: "q", Passive: true})
		_, m := other.recv()
		ok, is := m.(*wire.QueueDeclareOk)
		// 256 KiB in the pipe, 64 KiB and a message twice in the buffers
		return is && ok.MessageCount > n-60 && b.Status().Published == n
	})
	for _, c := range b.Status().Connections {
		if c.Buffered > 100<<10 {
			t.Errorf("%d bytes buffered", c.Buffered)
		}
	}
	r.send(1, &wire.QueueDeclare{Queue: "other", NoWait: true}) // is read
	for range n {
		if _, m := r.recv(); m.Name() != "basic.deliver" {
			t.Fatalf("got %s", m.Name())
		}
		if got := r.content(); got != body {
			t.Fatal("another body")
		}
	}
}

// TestDeafRequester: who asks for answers and does not take them is not read any
// more, and cut off in the end.
func TestDeafRequester(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, embedded.Options{Limits: embedded.Limits{BufferBytes: 64 << 10, Write: time.Minute}})
		r := rawChannel(t, b)
		r.send(1, &wire.QueueDeclare{Queue: "q"})
		r.want(1, &wire.QueueDeclareOk{Queue: "q"})
		ask := wire.AppendMethodFrame(nil, 1, &wire.QueueDeclare{Queue: "q", Passive: true})
		start := time.Now()
		for { // until the broker does not read and the pipe is full
			if _, err := r.nc.Write(ask); err != nil {
				break
			}
		}
		if d := time.Since(start); d != time.Minute {
			t.Errorf("cut off after %v", d)
		}
		if all := b.Status().Connections; len(all) > 0 && all[0].Buffered > 200<<10 {
			t.Errorf("%d bytes buffered", all[0].Buffered)
		}
	})
}

// TestConsumerTimeout closes the channel in RabbitMQ's words.
func TestConsumerTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, embedded.Options{ConsumerTimeout: time.Minute})
		r := rawChannel(t, b)
		r.send(1, &wire.QueueDeclare{Queue: "q"})
		r.want(1, &wire.QueueDeclareOk{Queue: "q"})
		r.publish(1, &wire.BasicPublish{RoutingKey: "q"}, wire.Properties{}, "m")
		r.send(1, &wire.BasicGet{Queue: "q"})
		r.want(1, &wire.BasicGetOk{DeliveryTag: 1, RoutingKey: "q"})
		r.content()
		start := time.Now()
		r.want(1, channelClose(406, "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 60000 ms. "+
			"This timeout value can be configured, see consumers doc guide to learn more", nil))
		if d := time.Since(start); d < time.Minute || d > 70*time.Second {
			t.Errorf("closed after %v", d)
		}
	})
}

// TestAbruptEnd: a client that is gone leaves nothing behind.
func TestAbruptEnd(t *testing.T) {
	b := open(t, embedded.Options{})
	r := rawChannel(t, b)
	r.send(1, &wire.QueueDeclare{Queue: "mine", Exclusive: true}, &wire.QueueDeclare{Queue: "q"})
	r.want(1, &wire.QueueDeclareOk{Queue: "mine"}, &wire.QueueDeclareOk{Queue: "q"})
	r.publish(1, &wire.BasicPublish{RoutingKey: "q"}, wire.Properties{}, "m")
	r.send(1, &wire.BasicGet{Queue: "q"})
	r.want(1, &wire.BasicGetOk{DeliveryTag: 1, RoutingKey: "q"})
	r.content()
	r.nc.Close()
	settled(t, func() bool {
		s := b.Status()
		return len(s.Connections) == 0 && len(s.Queues) == 1 && s.Ready == 1 && s.Unacked == 0
	})
	if s := b.Status(); s.Accepted != 1 || s.Published != 1 || s.Delivered != 1 {
		t.Errorf("status %+v", s)
	}
}

// TestDialContext: one that has ended dials nothing.
func TestDialContext(t *testing.T) {
	b := open(t, embedded.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Dial(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	nc, err := b.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	if _, err := nc.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read: %v", err)
	}
	if _, err := nc.Write([]byte("x")); errors.Is(err, io.EOF) || err == nil {
		t.Errorf("write: %v", err)
	}
}

// TestHeartbeatsBehindAnswers: a client that does not take its answers is not read,
// so its heartbeats are not heard: that it is slow does not make it dead.
func TestHeartbeatsBehindAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t, embedded.Options{})
		r := rawDial(t, b)
		r.open(2 * time.Second)
		r.channel(1)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			big := strings.Repeat("x", 100<<10)
			for range 40 { // returns that nobody reads
				f := wire.AppendMethodFrame(nil, 1, &wire.BasicPublish{RoutingKey: "nobody", Mandatory: true})
				f = wire.AppendContent(f, 1, wire.ClassBasic, []byte{0, 0}, []byte(big), 131072)
				if _, err := r.nc.Write(f); err != nil {
					return // with the test
				}
			}
		}()
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(b.Status().Connections) != 1 {
			t.Error("cut off")
		}
		r.nc.Close()
		<-ended
	})
}
