package amqp_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/internal/testenv"
)

// TestPrefetchIsCredit asks the broker for the windows that it was told.
func TestPrefetchIsCredit(t *testing.T) {
	n := testenv.SharedNode(t)
	s := dial(t, amqp.Dialer{URL: n.URL})
	want := map[string][2]int{} // queue: channels, sum of their windows
	for credit, channels := range map[int]int{1: 1, 1000: 1, 1001: 2, 2500: 3, 100_000: 100, 300_001: 128} {
		name := testenv.Name(t) + "." + strconv.Itoa(credit)
		consume(t, s, broker.Queue{Name: name}, credit)
		want[name] = [2]int{channels, credit}
	}
	out, err := n.Ctl(t.Context(), "list_consumers", "queue_name", "prefetch_count")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][2]int{}
	for line := range strings.Lines(out) {
		name, count, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if prefetch, err := strconv.Atoi(count); err == nil {
			got[name] = [2]int{got[name][0] + 1, got[name][1] + prefetch}
		}
	}
	for name, w := range want {
		if got[name] != w {
			t.Errorf("%s: got %v channels and prefetch, want %v", name, got[name], w)
		}
	}
}

// TestPublishConnectionLost closes the connection for publishing alone.
func TestPublishConnectionLost(t *testing.T) {
	n := testenv.SharedNode(t)
	name := testenv.Name(t)
	s := dial(t, amqp.Dialer{URL: n.URL, ConnectionName: name})
	c := consume(t, s, broker.Queue{Name: name}, 10)
	p := &broker.Publication{RoutingKey: name}
	for round := range 2 {
		if err := broker.PublishAndWait(t.Context(), s, p); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if err := c.Settle(receive(t, c).Tag, broker.Ack); err != nil {
			t.Fatal(err)
		}
		closeConnection(t, n, name+" publish")
	}
	select {
	case <-s.Done():
		t.Errorf("the session died with its connection for publishing: %v", s.Err())
	case <-c.Done():
		t.Errorf("the consumer died with the connection for publishing: %v", c.Err())
	default:
	}
}

// closeConnection closes one connection from the broker's side.
func closeConnection(t *testing.T, n *testenv.Node, name string) {
	t.Helper()
	out, err := n.Ctl(t.Context(), "list_connections", "pid", "client_properties")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		if pid, properties, _ := strings.Cut(line, "\t"); strings.Contains(properties, name) {
			if _, err := n.Ctl(t.Context(), "close_connection", pid, "closed by the test"); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no connection %q:\n%s", name, out)
}

// TestConsumeContextEnds gives up a Consume in its middle. What it had started
// must go away.
func TestConsumeContextEnds(t *testing.T) {
	s := dial(t, amqp.Dialer{URL: testenv.RabbitMQ(t)})
	q := broker.Queue{Name: testenv.Name(t)}
	consume(t, s, q, 1) // holds nothing yet, keeps the queue
	for i := range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*2*time.Millisecond)
		if c, err := s.Consume(ctx, broker.Source{Queue: q, Credit: 20_000}); err == nil {
			if err := c.Close(t.Context()); err != nil {
				t.Error(err)
			}
		} else if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the end of the context", err)
		}
		cancel()
	}
}

// freezer is a TCP proxy that can stop to forward, as a network that loses all
// packets does: neither side is told.
type freezer struct {
	net.Listener
	target string
	frozen chan struct{} // closed by the test
	over   chan struct{} // closed at its end
	wg     sync.WaitGroup
}

func newFreezer(t *testing.T, target string) *freezer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &freezer{Listener: l, target: target, frozen: make(chan struct{}), over: make(chan struct{})}
	f.wg.Go(f.serve)
	t.Cleanup(func() {
		l.Close()
		close(f.over)
		f.wg.Wait()
	})
	return f
}

func (f *freezer) serve() {
	for {
		in, err := f.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", f.target)
		if err != nil {
			in.Close()
			return
		}
		f.wg.Go(func() { f.forward(in, out) })
		f.wg.Go(func() { f.forward(out, in) })
	}
}

// forward copies until the end. When frozen it neither reads nor closes.
func (f *freezer) forward(from, to net.Conn) {
	defer to.Close()
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		select {
		case <-f.frozen:
			<-f.over
			return
		default:
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// TestPeerVanishes freezes the network under a busy session. It must die by the
// missing heartbeats, and nothing may hang until then.
func TestPeerVanishes(t *testing.T) {
	node := strings.TrimSuffix(strings.TrimPrefix(testenv.SharedNode(t).URL, "amqp://guest:guest@"), "/")
	f := newFreezer(t, node)
	s := dial(t, amqp.Dialer{URL: fmt.Sprintf("amqp://guest:guest@%s/", f.Addr()), Heartbeat: time.Second})
	q := broker.Queue{Name: testenv.Name(t)}
	c := consume(t, s, q, 10)
	p := &broker.Publication{RoutingKey: q.Name, Body: make([]byte, 100_000)}
	if err := broker.PublishAndWait(t.Context(), s, p); err != nil {
		t.Fatal(err)
	}
	got := receive(t, c)
	close(f.frozen)
	if err := c.Settle(got.Tag, broker.Ack); err != nil && !errors.Is(err, broker.ErrStale) {
		t.Error(err)
	}
	// More than the buffers on the way take.
	answers, accepted := make(chan error, 1000), 0
	for range 1000 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		err := s.Publish(ctx, p, func(err error) { answers <- err })
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			t.Fatal("Publish hangs")
		}
		if err != nil {
			break
		}
		accepted++
	}
	for range accepted {
		select {
		case err := <-answers:
			if !errors.Is(err, broker.ErrUnknown) {
				t.Errorf("got %v, want ErrUnknown", err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("no answer")
		}
	}
	select {
	case <-s.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the session does not notice")
	}
	if err := s.Err(); !errors.Is(err, broker.ErrSilent) || broker.FaultOf(err) != broker.FaultSilent {
		t.Errorf("the session ended with %v, want ErrSilent", err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestOddHeaders publishes with another client what RabbitMQ takes and amqp091-go
// does not. It must neither end the session nor hold up what comes behind it.
func TestOddHeaders(t *testing.T) {
	s := dial(t, amqp.Dialer{URL: testenv.RabbitMQ(t)})
	q := broker.Queue{Name: testenv.Name(t)}
	c := consume(t, s, q, 10)
	var deep any = "x"
	for range 40 {
		deep = amqp091.Table{"a": deep}
	}
	for _, h := range []struct {
		headers amqp091.Table
		want    any // of the marker
	}{
		{amqp091.Table{"h": deep}, "dropped: nested deeper than 32"},
		{amqp091.Table{"h": make([]any, 8193)}, "dropped: more than 8192 elements"},
		{amqp091.Table{"h": "x"}, nil},
	} {
		publishRaw(t, testenv.RabbitMQ(t), q.Name, amqp091.Publishing{
			Headers: h.headers, ContentType: "text/plain", MessageId: "id", Priority: 3, Body: []byte("body"),
		})
		got := receive(t, c)
		if got.Headers[broker.HeaderDropped] != h.want || len(got.Headers) != 1 {
			t.Errorf("got the headers %v, want %v", got.Headers, h.want)
		}
		if got.ContentType != "text/plain" || got.MessageID != "id" || got.Priority != 3 || string(got.Body) != "body" {
			t.Errorf("the rest of the message is different: %+v", got)
		}
		if err := c.Settle(got.Tag, broker.Ack); err != nil {
			t.Error(err)
		}
	}
	if err := s.Err(); err != nil {
		t.Errorf("the session has died: %v", err)
	}
}

// publishRaw publishes with the library itself, which checks nothing.
func publishRaw(t *testing.T, url, queue string, p amqp091.Publishing) {
	t.Helper()
	conn, err := amqp091.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	confirm, err := ch.PublishWithDeferredConfirm("", queue, true, false, p)
	if err != nil || !confirm.Wait() {
		t.Fatalf("the broker does not take it: %v", err)
	}
}
