package embedded_test

import (
	"context"
	"net"
	"sync"
	"testing"

	amqplib "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/broker/brokertest"
	"github.com/magne-actors/magne-actors/broker/embedded"
)

// TestConformance runs the suite of package broker on the embedded broker: over
// Dial with classic queues, and over TCP with quorum queues.
func TestConformance(t *testing.T) {
	for name, tcp := range map[string]bool{"dial/classic": false, "tcp/quorum": true} {
		t.Run(name, func(t *testing.T) {
			n := startNode(t, tcp)
			f := brokertest.Features{
				Durable:         true,
				DeleteQueue:     n.deleteQueue,
				DropConnections: func(*testing.T) { n.faults.DropConnections() },
				Restart:         n.restart,
				Block: func(*testing.T) func() {
					return n.faults.BlockPublishers("low on memory")
				},
			}
			if tcp {
				f.Queue = func(name string) broker.Queue {
					return broker.Queue{Name: name, Durable: true, Args: map[string]any{"x-queue-type": "quorum", "x-expires": int32(600_000)}}
				}
			}
			brokertest.Run(t, f, func(*testing.T) broker.Dialer { return n.dialer() })
		})
	}
}

// node is a broker that can be restarted.
type node struct {
	t      *testing.T
	dir    string
	faults embedded.Faults
	addr   string // "": by Dial

	mu     sync.Mutex
	broker *embedded.Broker
	cancel context.CancelFunc
	served chan error
}

func startNode(t *testing.T, tcp bool) *node {
	t.Helper()
	n := &node{t: t, dir: t.TempDir()}
	if tcp {
		n.addr = "127.0.0.1:0"
	}
	n.start()
	t.Cleanup(n.stop)
	return n
}

func (n *node) start() {
	b, err := embedded.Open(embedded.Options{Dir: n.dir, Faults: &n.faults})
	if err != nil {
		n.t.Fatal(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.broker = b
	if n.addr == "" {
		return
	}
	l, err := net.Listen("tcp", n.addr)
	if err != nil {
		n.t.Fatal(err)
	}
	n.addr = l.Addr().String()
	var ctx context.Context
	ctx, n.cancel = context.WithCancel(context.Background())
	n.served = make(chan error, 1)
	go func() { n.served <- b.Serve(ctx, l) }()
}

func (n *node) stop() {
	if n.cancel != nil {
		n.cancel()
		if err := <-n.served; err != nil {
			n.t.Errorf("serve: %v", err)
		}
	}
	if err := n.broker.Close(); err != nil {
		n.t.Errorf("close: %v", err)
	}
}

func (n *node) restart(*testing.T) {
	n.stop()
	n.start()
}

func (n *node) dialer() broker.Dialer {
	if n.addr != "" {
		return amqp.Dialer{URL: "amqp://guest:guest@" + n.addr + "/"}
	}
	return amqp.Dialer{URL: "amqp://guest:guest@embedded/", NetDial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.broker.Dial(ctx)
	}}
}

func (n *node) deleteQueue(t *testing.T, name string) {
	t.Helper()
	n.mu.Lock()
	b := n.broker
	n.mu.Unlock()
	ch := channel(t, dial(t, b, amqplib.Config{}))
	if _, err := ch.QueueDelete(name, false, false, false); err != nil {
		t.Error(err)
	}
}
