package amqp_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/internal/testenv"
)

// TestLimitIsRemoved: RabbitMQ goes on refusing the publications of a channel that
// it has refused, when the limit of the queue is removed; another channel is used
// then, and what was refused is all that was not taken.
func TestLimitIsRemoved(t *testing.T) {
	n := testenv.SharedNode(t)
	s := dial(t, amqp.Dialer{URL: n.URL})
	q := amqp.QuorumQueue(testenv.Name(t))
	q.Args["x-overflow"] = "reject-publish"
	if err := s.Declare(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	policy := "limit-" + strings.ReplaceAll(q.Name, "/", "-")
	if out, err := n.Ctl(t.Context(), "set_policy", "--apply-to", "queues", policy, "^"+q.Name+"$", `{"max-length": 1}`); err != nil {
		t.Fatal(err, out)
	}
	publish := func() error {
		return broker.PublishAndWait(t.Context(), s, &broker.Publication{RoutingKey: q.Name})
	}
	taken := 0
	until(t, "the queue is full", func() bool {
		err := publish()
		if err == nil {
			taken++
		} else if !errors.Is(err, broker.ErrRefused) {
			t.Fatal(err)
		}
		return err != nil
	})
	if out, err := n.Ctl(t.Context(), "clear_policy", policy); err != nil {
		t.Fatal(err, out)
	}
	until(t, "it takes messages again", func() bool {
		err := publish()
		if err == nil {
			taken++
		} else if !errors.Is(err, broker.ErrRefused) {
			t.Fatal(err)
		}
		return err == nil
	})
	c, err := s.Consume(t.Context(), broker.Source{Queue: q, Credit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for range taken {
		receive(t, c)
	}
}

// until repeats a look every 50 ms.
func until(t *testing.T, what string, look func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !look(); <-time.After(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still not after a minute: %s", what)
		}
	}
}
