package amqp

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/testenv"
)

// TestLaneClosed lets the broker close one channel of a consumer that has three,
// by an ack that nobody but a bug would send. The consumer must end whole, say
// why, and give everything back; the session must live.
func TestLaneClosed(t *testing.T) {
	s, err := Dialer{URL: testenv.RabbitMQ(t), ChannelSpan: 10}.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	src := broker.Source{Queue: broker.Queue{Name: testenv.Name(t)}, Credit: 30}
	for range 3 {
		sub, err := s.Consume(t.Context(), src)
		if err != nil {
			t.Fatal(err)
		}
		c, ok := sub.(*consumer)
		if !ok || len(c.lanes) != 3 {
			t.Fatalf("got %T with %d lanes, want 3", sub, len(c.lanes))
		}
		if err := c.lanes[1].ch.Ack(4711, false); err != nil {
			t.Fatal(err)
		}
		select {
		case <-c.Done():
		case <-time.After(30 * time.Second):
			t.Fatal("the consumer lives on")
		}
		if err := c.Err(); err == nil || !strings.Contains(err.Error(), "unknown delivery tag 4711") {
			t.Errorf("Err: got %v, want the broker's words", err)
		}
		for range c.Deliveries() {
			t.Error("a delivery from nowhere")
		}
	}
	select {
	case <-s.Done():
		t.Errorf("the session died: %v", s.Err())
	default:
	}
}
