package amqp_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/internal/testenv"
)

func admin(t *testing.T, d amqp.Dialer) *amqp.Admin {
	t.Helper()
	a, err := d.Admin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(context.Background()) })
	return a
}

// fill publishes 0 to n-1 to a queue.
func fill(t *testing.T, url, queue string, n int) {
	t.Helper()
	s := dial(t, amqp.Dialer{URL: url})
	for i := range n {
		p := &broker.Publication{RoutingKey: queue, Body: strconv.AppendInt(nil, int64(i), 10)}
		p.Persistent = true
		if err := broker.PublishAndWait(t.Context(), s, p); err != nil {
			t.Fatal(err)
		}
	}
}

func bodies(list []*broker.Delivery) []string {
	var all []string
	for _, d := range list {
		all = append(all, string(d.Body))
	}
	return all
}

// TestAdmin goes through the life of a queue of each type.
func TestAdmin(t *testing.T) {
	url := testenv.RabbitMQ(t)
	for _, kind := range []string{"classic", "quorum"} {
		t.Run(kind, func(t *testing.T) {
			a, ctx, name := admin(t, amqp.Dialer{URL: url}), t.Context(), testenv.Name(t)
			spec := amqp.QueueSpec{Name: name, Durable: true, Args: map[string]any{"x-queue-type": kind}}
			if kind == "quorum" {
				spec.Args["x-delivery-limit"] = int32(100) // or what is put back goes to the end
			}
			if got, err := a.Declare(ctx, spec); err != nil || got != (amqp.Counts{Name: name}) {
				t.Fatalf("declare: got %+v, %v", got, err)
			}
			spec.Args["x-max-length"] = int32(5)
			if _, err := a.Declare(ctx, spec); !errors.Is(err, amqp.ErrConflict) || !strings.Contains(err.Error(), "x-max-length") {
				t.Errorf("declare it otherwise: got %v, want ErrConflict with the broker's words", err)
			}

			const n = 200 // more than a quorum queue takes back at once
			fill(t, url, name, n)
			var want []string
			for i := range n {
				want = append(want, strconv.Itoa(i))
			}
			counts := []int{100, n + 1, 1, n} // and nothing moves
			if kind == "quorum" {
				counts = []int{100, 100, n + 1, n} // what has come back once goes behind what did so before
			}
			for _, count := range counts {
				got, err := a.Peek(ctx, name, count)
				if err != nil || !slices.Equal(bodies(got), want[:min(count, n)]) {
					t.Errorf("peek %d: got %v, %v", count, bodies(got), err)
				}
			}
			if got, err := a.Queue(ctx, name); err != nil || got != (amqp.Counts{Name: name, Ready: n}) {
				t.Errorf("queue: got %+v, %v, want %d ready", got, err, n)
			}
			if kind == "classic" { // quorum queues of RabbitMQ 3.10 know neither condition
				if _, err := a.Delete(ctx, name, false, true); !errors.Is(err, amqp.ErrConflict) {
					t.Errorf("delete if empty: got %v, want ErrConflict", err)
				}
			}
			if got, err := a.Purge(ctx, name); err != nil || got != n {
				t.Errorf("purge: got %d, %v, want %d", got, err, n)
			}
			if got, err := a.Delete(ctx, name, false, false); err != nil || got != 0 {
				t.Errorf("delete: got %d, %v", got, err)
			}
			for what, op := range map[string]func() error{
				"queue":  func() error { _, err := a.Queue(ctx, name); return err },
				"purge":  func() error { _, err := a.Purge(ctx, name); return err },
				"peek":   func() error { _, err := a.Peek(ctx, name, 1); return err },
				"delete": func() error { _, err := a.Delete(ctx, name, false, false); return err },
			} {
				if err := op(); !errors.Is(err, amqp.ErrNoQueue) || !strings.Contains(err.Error(), name) {
					t.Errorf("%s of none: got %v, want ErrNoQueue", what, err)
				}
			}
		})
	}
}

// TestAdminLocked: a queue of another connection.
func TestAdminLocked(t *testing.T) {
	url, name := testenv.RabbitMQ(t), testenv.Name(t)
	conn, err := amqp091.Dial(url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueueDeclare(name, false, false, true, false, nil); err != nil {
		t.Fatal(err)
	}
	a := admin(t, amqp.Dialer{URL: url})
	if _, err := a.Queue(t.Context(), name); !errors.Is(err, amqp.ErrLocked) {
		t.Errorf("got %v, want ErrLocked", err)
	}
	if _, err := a.Queue(t.Context(), name); !errors.Is(err, amqp.ErrLocked) {
		t.Errorf("the second time: got %v, want ErrLocked", err)
	}
}

func TestAdminInUse(t *testing.T) {
	url, name := testenv.RabbitMQ(t), testenv.Name(t)
	s := dial(t, amqp.Dialer{URL: url})
	consume(t, s, broker.Queue{Name: name}, 1)
	a := admin(t, amqp.Dialer{URL: url})
	if _, err := a.Delete(t.Context(), name, true, false); !errors.Is(err, amqp.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
	if got, err := a.Queue(t.Context(), name); err != nil || got.Consumers != 1 {
		t.Errorf("got %+v, %v, want one consumer", got, err)
	}
}

// TestAdminGivesUp: the end of the context ends the wait for a broker that does
// not answer any more.
func TestAdminGivesUp(t *testing.T) {
	url := testenv.RabbitMQ(t)
	var stuck stuckConn
	a := admin(t, amqp.Dialer{URL: url, NetDial: stuck.dial})
	ctx, cancel := context.WithCancelCause(t.Context())
	stuck.before = func() { cancel(errors.New("waited enough")) }
	if _, err := a.Queue(ctx, "q"); err == nil || !strings.Contains(err.Error(), "waited enough") {
		t.Errorf("got %v, want the cause of the end", err)
	}
}

// stuckConn calls before instead of writing, once it is set.
type stuckConn struct {
	net.Conn
	before func()
}

func (c *stuckConn) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var err error
	c.Conn, err = new(net.Dialer).DialContext(ctx, network, address)
	return c, err
}

func (c *stuckConn) Write(b []byte) (int, error) {
	if c.before != nil {
		c.before()
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// TestProduct: the broker must be the one that is expected, where one is.
func TestProduct(t *testing.T) {
	url := testenv.SharedNode(t).URL // which is RabbitMQ, whatever others test against
	if name, version := admin(t, amqp.Dialer{URL: url, Product: "RabbitMQ"}).Product(); name != "RabbitMQ" || version == "" {
		t.Errorf("product: got %q %q", name, version)
	}
	_, err := amqp.Dialer{URL: url, Product: "magne-actors"}.Dial(t.Context())
	if !errors.Is(err, amqp.ErrProduct) || !strings.Contains(err.Error(), `"RabbitMQ", want "magne-actors"`) {
		t.Errorf("got %v, want ErrProduct", err)
	}
}
