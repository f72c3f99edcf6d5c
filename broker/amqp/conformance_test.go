package amqp_test

import (
	"context"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/broker/brokertest"
	"github.com/magne-actors/magne-actors/internal/testenv"
)

// TestConformance runs the suite on classic queues, and on the quorum queues
// that are our default. It has a node of its own, which it blocks and restarts.
func TestConformance(t *testing.T) {
	n := testenv.Private(t, testenv.Options{})
	ctl := func(t *testing.T, args ...string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := n.Ctl(ctx, args...); err != nil {
			t.Error(err)
		}
	}
	dial := func(*testing.T) broker.Dialer { return amqp.Dialer{URL: n.URL} }
	f := brokertest.Features{
		Durable:         true,
		DeleteQueue:     func(t *testing.T, name string) { ctl(t, "delete_queue", name) },
		DropConnections: func(t *testing.T) { ctl(t, "close_all_connections", "dropped by the test") },
		Restart: func(t *testing.T) {
			if err := n.Restart(t.Context()); err != nil {
				t.Error(err)
			}
		},
		Block: func(t *testing.T) func() {
			ctl(t, "set_vm_memory_high_watermark", "0.00000001")
			return func() { ctl(t, "set_vm_memory_high_watermark", "0.4") }
		},
	}
	t.Run("classic", func(t *testing.T) { brokertest.Run(t, f, dial) })
	t.Run("quorum", func(t *testing.T) {
		f.Queue = func(name string) broker.Queue {
			return broker.Queue{Name: name, Durable: true, Args: map[string]any{"x-queue-type": "quorum", "x-expires": int32(600_000)}}
		}
		brokertest.Run(t, f, dial)
	})
}
