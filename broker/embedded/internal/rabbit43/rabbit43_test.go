package rabbit43

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker"
)

// work is a queue that may exist already.
func work() broker.Queue { return broker.Queue{Name: "work", Declare: broker.DeclarePassive} }

func (p *peer) dial(t *testing.T) broker.Session {
	t.Helper()
	s, err := p.dialer().Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

func consume(t *testing.T, s broker.Session, credit int) broker.Consumer {
	t.Helper()
	c, err := s.Consume(t.Context(), broker.Source{Queue: work(), Credit: credit})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// receive returns the next deliveries, by their bodies.
func receive(t *testing.T, c broker.Consumer, n int) map[string]*broker.Delivery {
	t.Helper()
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	got := map[string]*broker.Delivery{}
	for range n {
		select {
		case d, ok := <-c.Deliveries():
			if !ok {
				t.Fatalf("the deliveries end after %d of %d: %v", len(got), n, c.Err())
			}
			got[string(d.Body)] = d
		case <-late.C:
			t.Fatalf("%d deliveries in a minute, want %d", len(got), n)
		}
	}
	return got
}

func settle(t *testing.T, c broker.Consumer, d *broker.Delivery, v broker.Verdict) {
	t.Helper()
	if err := c.Settle(d.Tag, v); err != nil {
		t.Fatal(err)
	}
}

func ended(t *testing.T, c broker.Consumer) error {
	t.Helper()
	select {
	case <-c.Done():
		return c.Err()
	case <-time.After(time.Minute):
		t.Fatal("the consumer lives")
		return nil
	}
}

// TestTimeoutCancels: one late delivery ends its consumer, on whichever of its channels
// it is, and nothing else. What was finished is acked, the other deliveries go back
// without being counted, and the next consumer gets them.
func TestTimeoutCancels(t *testing.T) {
	for _, cancelOK := range []bool{false, true} {
		for _, span := range []int{1000, 2} { // one channel, and three
			t.Run(fmt.Sprintf("cancel-ok=%t/span=%d", cancelOK, span), func(t *testing.T) {
				p := start(t, cancelOK)
				d := p.dialer()
				d.ChannelSpan = span
				s, err := d.Dial(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close(context.Background())
				c := consume(t, s, 6)
				p.put("work", "late", "done", "runs", "waits")
				got := receive(t, c, 4)
				settle(t, c, got["done"], broker.Ack)
				p.late("late")
				if err := ended(t, c); !errors.Is(err, broker.ErrCancelled) || broker.FaultOf(err) != broker.FaultCancelled {
					t.Errorf("the consumer ended with %v", err)
				}
				for _, d := range got {
					if err := c.Settle(d.Tag, broker.Ack); !errors.Is(err, broker.ErrStale) {
						t.Errorf("settle %q afterwards: %v", d.Body, err)
					}
				}
				again := receive(t, consume(t, s, 6), 3)
				for _, name := range []string{"late", "runs", "waits"} {
					h := again[name].Headers
					// More than once when it had come on another channel of the consumer meanwhile.
					if n, _ := h["x-acquired-count"].(int64); n < 1 || h["x-delivery-count"] != int64(0) || !again[name].Redelivered {
						t.Errorf("%s came again with %v; want acquired 1 or more, and no failure", name, h)
					}
				}
				p.until("done is acked", func() bool { return slices.Equal(p.acked, []string{"done"}) })
				p.until("basic.cancel-ok, if it may be sent", func() bool { return cancelOK == (len(p.answered) == 1) })
			})
		}
	}
}

// TestTimeoutOfACancelledConsumer: RabbitMQ closes the channel of a consumer that the
// client has cancelled, as the guard of ack timeouts does.
func TestTimeoutOfACancelledConsumer(t *testing.T) {
	p := start(t, true)
	s := p.dial(t)
	c := consume(t, s, 2)
	p.put("work", "late")
	receive(t, c, 1)
	if err := c.Cancel(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.late("late")
	if err := ended(t, c); broker.FaultOf(err) != broker.FaultAckTimeout || broker.ErrorCode(err) != 406 {
		t.Errorf("the consumer ended with %v", err)
	}
	receive(t, consume(t, s, 2), 1)
}

// TestOnlyFailuresCount: the broker drops a message that has failed too often, however
// often it was returned otherwise.
func TestOnlyFailuresCount(t *testing.T) {
	p := start(t, true)
	p.queues["work"].limit = 2
	s := p.dial(t)
	c := consume(t, s, 1)
	p.put("work", "poison")
	for i, v := range []broker.Verdict{broker.Requeue, broker.Failed, broker.Requeue, broker.Requeue, broker.Failed, broker.Requeue, broker.Failed} {
		d := receive(t, c, 1)["poison"]
		if n, _ := d.Headers["x-acquired-count"].(int64); n != int64(i) {
			t.Errorf("delivery %d: %v", i, d.Headers)
		}
		settle(t, c, d, v)
	}
	p.until("the message is dead", func() bool { return len(p.queues["work"].dead) == 1 })
	if m := p.message("poison"); m.failed != 3 || m.acquired != 7 {
		t.Errorf("%d failures of %d deliveries, want 3 of 7", m.failed, m.acquired)
	}
}

// TestCloseCountsNothing: what a consumer holds that is closed has not failed, whether
// it or its session is closed. When the connection is lost it has, as far as RabbitMQ can tell.
func TestCloseCountsNothing(t *testing.T) {
	p := start(t, true)
	for i, c := range []struct {
		what   string
		end    func(broker.Session, broker.Consumer) error
		failed int
	}{
		{"consumer closed", func(_ broker.Session, c broker.Consumer) error { return c.Close(t.Context()) }, 0},
		{"session closed", func(s broker.Session, _ broker.Consumer) error { return s.Close(t.Context()) }, 0},
		{"connection lost", func(broker.Session, broker.Consumer) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			for c := range p.conns {
				c.nc.Close()
			}
			return nil
		}, 1},
	} {
		s := p.dial(t)
		consumer := consume(t, s, 10)
		a, b := fmt.Sprint("a", i), fmt.Sprint("b", i)
		p.put("work", a, b)
		held := receive(t, consumer, 2+2*i)
		if err := c.end(s, consumer); err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		p.until(c.what, func() bool { return len(p.queues["work"].ready) == len(held) })
		if m := p.message(a); m.failed != c.failed || m.acquired != 1 {
			t.Errorf("%s: %d failures of %d deliveries, want %d of 1", c.what, m.failed, m.acquired, c.failed)
		}
	}
}

// TestPassiveWithoutRights: who may not configure consumes from queues that exist.
func TestPassiveWithoutRights(t *testing.T) {
	p := start(t, true)
	p.foreign = "work"
	s := p.dial(t)
	q := work()
	q.Dead = &broker.Queue{Name: "work.dead"}
	c, err := s.Consume(t.Context(), broker.Source{Queue: q, Credit: 1})
	if err != nil {
		t.Fatal(err)
	}
	p.put("work", "one")
	receive(t, c, 1)
	q.Declare = broker.DeclareMatch
	if err := s.Declare(t.Context(), q); !errors.Is(err, broker.ErrForbidden) || broker.ErrorCode(err) != 403 {
		t.Errorf("a declaration ended with %v", err)
	}
}

// TestRefusals: the peer does refuse what RabbitMQ 4.3 refuses, so that the other tests
// show that we do not ask for it.
func TestRefusals(t *testing.T) {
	p := start(t, true)
	for want, ask := range map[string]func(*amqp091.Channel) error{
		"Feature `global_qos` is deprecated": func(ch *amqp091.Channel) error { return ch.Qos(1, 0, true) },
		"Feature `transient_nonexcl_queues` is deprecated": func(ch *amqp091.Channel) error {
			_, err := ch.QueueDeclare("transient", false, false, false, false, nil)
			return err
		},
	} {
		conn, err := amqp091.Dial("amqp://guest:guest@" + p.address + "/")
		if err != nil {
			t.Fatal(err)
		}
		ch, err := conn.Channel()
		if err != nil {
			t.Fatal(err)
		}
		if err := ask(ch); err == nil {
			t.Error("not refused: " + want)
		}
		p.mu.Lock()
		if !slices.Equal(p.wrong, []string{want}) {
			t.Errorf("got %q, want %q", p.wrong, want)
		}
		p.wrong = nil
		p.mu.Unlock()
		conn.Close()
	}
}

// TestTransientQueue: a queue of codec magne is refused with the whole connection, and
// the reason is told.
func TestTransientQueue(t *testing.T) {
	p := start(t, true)
	s := p.dial(t)
	err := s.Declare(t.Context(), broker.Queue{Name: "transient"})
	const words = "Feature `transient_nonexcl_queues` is deprecated"
	if broker.ErrorCode(err) != 541 || !strings.Contains(err.Error(), words) {
		t.Errorf("a declaration ended with %v", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Equal(p.wrong, []string{words}) {
		t.Errorf("got %q", p.wrong)
	}
	p.wrong = nil
}
