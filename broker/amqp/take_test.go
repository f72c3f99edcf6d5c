package amqp_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"testing"

	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/internal/testenv"
)

// TestTake: what is acked is gone when Close has returned, all at once or one by one,
// and all else is in its order.
func TestTake(t *testing.T) {
	url := testenv.RabbitMQ(t)
	for _, kind := range []string{"classic", "quorum"} {
		t.Run(kind, func(t *testing.T) {
			a, ctx, name := admin(t, amqp.Dialer{URL: url}), t.Context(), testenv.Name(t)
			if _, err := a.Declare(ctx, amqp.QueueSpec{Name: name, Durable: true, Args: map[string]any{"x-queue-type": kind}}); err != nil {
				t.Fatal(err)
			}
			const n = 600 // many more than a channel hands on to a quorum queue at once
			fill(t, url, name, n)
			var want []string
			for i := range n {
				want = append(want, strconv.Itoa(i))
			}
			for round, remove := range []func(i int) bool{
				func(int) bool { return false },
				func(i int) bool { return i%3 == 1 },
				func(i int) bool { return i > 200 },
				func(int) bool { return true },
			} {
				k, err := a.Take(ctx, name)
				if err != nil {
					t.Fatal(err)
				}
				if k.Ready != len(want) {
					t.Fatalf("round %d: %d ready, want %d", round, k.Ready, len(want))
				}
				var got, left []string
				var acks []uint64
				for i := range k.Ready {
					d, err := k.Next()
					if err != nil || d == nil {
						t.Fatalf("round %d, message %d: %v, %v", round, i, d, err)
					}
					got = append(got, string(d.Body))
					if remove(i) {
						acks = append(acks, d.Tag)
					} else {
						left = append(left, string(d.Body))
					}
				}
				if !slices.Equal(got, want) {
					t.Fatalf("round %d: got %v, want %v", round, got, want)
				}
				for _, tag := range acks {
					if err := k.Ack(tag); err != nil {
						t.Fatal(err)
					}
				}
				if err := k.Close(); err != nil {
					t.Fatal(err)
				}
				want = left
			}
			if c, err := a.Queue(ctx, name); err != nil || c.Ready != 0 {
				t.Errorf("in the end: %+v, %v", c, err)
			}
		})
	}
}

// TestTakeCut: when the context ends everything is back, and nothing hangs.
func TestTakeCut(t *testing.T) {
	url := testenv.RabbitMQ(t)
	a, name := admin(t, amqp.Dialer{URL: url}), testenv.Name(t)
	if _, err := a.Declare(t.Context(), amqp.QueueSpec{Name: name, Durable: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Take(t.Context(), name+".none"); !errors.Is(err, amqp.ErrNoQueue) {
		t.Errorf("no such queue: got %v", err)
	}
	fill(t, url, name, 3)
	ctx, cancel := context.WithCancel(t.Context())
	k, err := a.Take(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := k.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if d, err := k.Next(); d != nil || err != nil {
		t.Errorf("empty: got %v, %v", d, err)
	}
	cancel()
	if _, err := k.Next(); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: got %v", err)
	}
	if err := k.Close(); err == nil {
		t.Error("Close has put something back by a connection that was cut")
	}
	if got, err := admin(t, amqp.Dialer{URL: url}).Peek(t.Context(), name, 5); err != nil || len(got) != 3 {
		t.Errorf("got %d messages, %v, want 3", len(got), err)
	}
}

// TestTakeLost: a connection that is gone is told from what the broker refuses.
func TestTakeLost(t *testing.T) {
	url := testenv.RabbitMQ(t)
	var peer net.Conn
	a, name := admin(t, amqp.Dialer{URL: url, NetDial: func(ctx context.Context, network, address string) (c net.Conn, err error) {
		peer, err = new(net.Dialer).DialContext(ctx, network, address)
		return peer, err
	}}), testenv.Name(t)
	if _, err := a.Declare(t.Context(), amqp.QueueSpec{Name: name, Durable: true}); err != nil {
		t.Fatal(err)
	}
	fill(t, url, name, 1)
	k, err := a.Take(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	d, err := k.Next()
	if err != nil || d == nil {
		t.Fatalf("got %v, %v, want a message", d, err)
	}
	if err := peer.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Next(); !errors.Is(err, amqp.ErrLost) {
		t.Errorf("got %v, want ErrLost", err)
	}
	if err := k.Ack(d.Tag); !errors.Is(err, amqp.ErrLost) {
		t.Errorf("ack: got %v, want ErrLost", err)
	}
	if err := k.Close(); !errors.Is(err, amqp.ErrLost) {
		t.Errorf("close: got %v, want ErrLost", err)
	}
}
