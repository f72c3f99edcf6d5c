package publisher_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/broker/embedded"
	"github.com/magne-actors/magne-actors/broker/publisher"
)

// TestConnectionsCut: all connections to a real broker are cut ten times while messages
// are published. Each of them arrives.
func TestConnectionsCut(t *testing.T) {
	const messages, cuts = 2000, 10
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	faults := &embedded.Faults{}
	b, err := embedded.Open(embedded.Options{Faults: faults})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	d := amqp.Dialer{URL: "amqp://guest:guest@embedded/", OneConnection: true}
	d.NetDial = func(ctx context.Context, _, _ string) (net.Conn, error) { return b.Dial(ctx) }
	queue := amqp.QuorumQueue("work")
	read(ctx, t, d, queue, nil) // declares it

	p := open(t, publisher.Options{Dialer: d, Window: 100, MinBackoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond})
	receipts := make([]*publisher.Receipt, messages)
	missing := map[string]bool{}
	for i := range receipts {
		if i%(messages/cuts) == messages/cuts/2 {
			faults.DropConnections()
		}
		if receipts[i], err = p.Async(ctx, message("")); err != nil {
			t.Fatal(err)
		}
		missing[receipts[i].MessageID()] = true
	}
	want(t, receipts, publisher.Confirmed)
	shut(t, p)
	if st := p.Stats(); st.Reconnects == 0 || st.Confirmed != messages {
		t.Errorf("stats: %+v, want %d confirmed over several sessions", st, messages)
	}
	read(ctx, t, d, queue, missing)
}

// read takes messages from a queue until none is missing.
func read(ctx context.Context, t *testing.T, d broker.Dialer, q broker.Queue, missing map[string]bool) {
	t.Helper()
	s, err := d.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close(ctx) }()
	c, err := s.Consume(ctx, broker.Source{Queue: q, Credit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for len(missing) > 0 {
		select {
		case m := <-c.Deliveries():
			delete(missing, m.MessageID)
			if err := c.Settle(m.Tag, broker.Ack); err != nil {
				t.Fatal(err)
			}
		case <-ctx.Done():
			t.Fatalf("%d messages are lost", len(missing))
		}
	}
}
