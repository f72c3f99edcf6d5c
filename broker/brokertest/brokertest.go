package brokertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/broker"
)

// Features says what the broker under test can do, and how the suite may hurt
// it. The zero value is a broker that cannot be disturbed from outside; the cases
// that need more are skipped.
type Features struct {
	// Queue describes a queue of that name to use. Default: a transient queue
	// that RabbitMQ deletes when it was not used for ten minutes.
	Queue func(name string) broker.Queue
	// Credit is a window that is large for the implementation, in that it needs
	// whatever it does for large windows. Default: 2500.
	Credit int
	// Durable: a durable queue keeps its persistent messages over a Restart.
	Durable bool
	// DeleteQueue deletes a queue behind the consumers' back.
	DeleteQueue func(t *testing.T, name string)
	// DropConnections ends all connections to the broker, from its side.
	DropConnections func(t *testing.T)
	// Restart restarts the broker and returns when it accepts connections again.
	Restart func(t *testing.T)
	// Block makes the broker refuse to read from publishers until unblock.
	Block func(t *testing.T) (unblock func())
}

// timeout is how long a case may wait for one thing to happen.
const timeout = 60 * time.Second

// Run runs the suite against the broker that dial's dialer reaches.
func Run(t *testing.T, f Features, dial func(*testing.T) broker.Dialer) {
	if f.Queue == nil {
		f.Queue = func(name string) broker.Queue {
			return broker.Queue{Name: name, Args: map[string]any{"x-expires": int32(600_000)}}
		}
	}
	if f.Credit == 0 {
		f.Credit = 2500
	}
	for _, group := range [][]testCase{deliveryCases, settleCases, publishCases, topologyCases, applyCases, lifeCases, faultCases} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) {
				if c.skip != nil && c.skip(f) {
					t.Skip("the broker lacks the feature")
				}
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				t.Cleanup(cancel)
				c.run(&env{T: t, f: f, dialer: dial(t), ctx: ctx})
			})
		}
	}
}

type testCase struct {
	name string
	run  func(*env)
	skip func(Features) bool // nil: never
}

// env is what a case works with. Its methods fail the test instead of returning
// errors.
type env struct {
	*testing.T
	f      Features
	dialer broker.Dialer
	ctx    context.Context // of this case
}

var names atomic.Int64

// queue returns a queue that no other case uses.
func (e *env) queue() broker.Queue {
	return e.f.Queue(fmt.Sprintf("test.brokertest.%d.%d", time.Now().UnixNano(), names.Add(1)))
}

// dial returns a session that is closed at the end of the case.
func (e *env) dial() broker.Session {
	e.Helper()
	s, err := e.dialer.Dial(e.ctx)
	if err != nil {
		e.Fatal(err)
	}
	e.Cleanup(func() {
		// Not e.ctx: that may have ended with the case.
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			e.Errorf("close the session: %v", err)
		}
	})
	return s
}

// consume starts a consumer.
func (e *env) consume(s broker.Session, src broker.Source) broker.Consumer {
	e.Helper()
	c, err := s.Consume(e.ctx, src)
	if err != nil {
		e.Fatal(err)
	}
	return c
}

// publish sends messages to a queue through the default exchange and waits for
// the confirms.
func (e *env) publish(s broker.Session, q broker.Queue, bodies ...string) {
	e.Helper()
	answers := make(chan error, len(bodies))
	for _, body := range bodies {
		p := &broker.Publication{RoutingKey: q.Name, Body: []byte(body)}
		p.Persistent = q.Durable
		if err := s.Publish(e.ctx, p, func(err error) { answers <- err }); err != nil {
			e.Fatal(err)
		}
	}
	for range bodies {
		if err := wait(e, answers, "a confirm"); err != nil {
			e.Fatal(err)
		}
	}
}

// declare creates q.
func (e *env) declare(s broker.Session, q broker.Queue) {
	e.Helper()
	e.close(e.consume(s, broker.Source{Queue: q, Credit: 1}))
}

func (e *env) close(c interface{ Close(context.Context) error }) {
	e.Helper()
	if err := c.Close(e.ctx); err != nil {
		e.Fatal(err)
	}
}

func (e *env) settle(c broker.Consumer, v broker.Verdict, ds ...*broker.Delivery) {
	e.Helper()
	for _, d := range ds {
		if err := c.Settle(d.Tag, v); err != nil {
			e.Fatalf("settle %q: %v", d.Body, err)
		}
	}
}

// receive reads n deliveries.
func (e *env) receive(c broker.Consumer, n int) []*broker.Delivery {
	e.Helper()
	got := make([]*broker.Delivery, 0, n)
	for len(got) < n {
		d, ok := next(e, c.Deliveries(), fmt.Sprintf("delivery %d of %d", len(got)+1, n))
		if !ok {
			e.Fatalf("deliveries ended after %d of %d: %v", len(got), n, c.Err())
		}
		got = append(got, d)
	}
	return got
}

// wantOnly checks that q holds exactly these messages, in any order, and empties
// it. A message that is published now and comes last shows that there are no
// others; a quarter of a queue's messages may be on the way back to it.
func (e *env) wantOnly(s broker.Session, q broker.Queue, bodies ...string) []*broker.Delivery {
	e.Helper()
	const sentinel = "the sentinel of wantOnly"
	e.publish(s, q, sentinel)
	c := e.consume(s, broker.Source{Queue: q, Credit: 1})
	var got []*broker.Delivery
	for range len(bodies) + 1 {
		d := e.receive(c, 1)[0]
		e.settle(c, broker.Ack, d)
		if string(d.Body) != sentinel {
			got = append(got, d)
		}
	}
	e.close(c)
	if texts := texts(got); !slices.Equal(texts, sorted(bodies)) {
		e.Errorf("left in the queue: got %q, want %q", texts, sorted(bodies))
	}
	return got
}

// dead waits for the end of a consumer or session and returns its cause.
func (e *env) dead(x interface {
	Done() <-chan struct{}
	Err() error
}, what string,
) error {
	e.Helper()
	next(e, x.Done(), "the end of "+what)
	return x.Err()
}

// ended reads what is left of the deliveries until their channel is closed.
func (e *env) ended(c broker.Consumer) []*broker.Delivery {
	e.Helper()
	var rest []*broker.Delivery
	for {
		d, ok := next(e, c.Deliveries(), "the end of the deliveries")
		if !ok {
			return rest
		}
		rest = append(rest, d)
	}
}

// next receives from ch; ok is false when it is closed.
func next[T any](e *env, ch <-chan T, what string) (v T, ok bool) {
	e.Helper()
	select {
	case v, ok = <-ch:
	case <-e.ctx.Done():
		e.Fatalf("no %s within %v", what, timeout)
	}
	return v, ok
}

func wait[T any](e *env, ch <-chan T, what string) T {
	e.Helper()
	v, ok := next(e, ch, what)
	if !ok {
		e.Fatalf("closed while waiting for %s", what)
	}
	return v
}

func (e *env) wantError(err, target error) {
	e.Helper()
	if !errors.Is(err, target) {
		e.Errorf("got error %v, want %v", err, target)
	}
}

func texts(ds []*broker.Delivery) []string {
	out := make([]string, 0, len(ds))
	for _, d := range ds {
		out = append(out, string(d.Body))
	}
	slices.Sort(out)
	return out
}

func sorted(in []string) []string {
	out := slices.Clone(in)
	slices.Sort(out)
	if out == nil {
		out = []string{}
	}
	return out
}

// without returns the bodies that are not among ds.
func without(bodies []string, ds []*broker.Delivery) []string {
	gone := texts(ds)
	return slices.DeleteFunc(slices.Clone(bodies), func(body string) bool {
		_, found := slices.BinarySearch(gone, body)
		return found
	})
}

// numbered returns n different bodies.
func numbered(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("m%05d", i)
	}
	return out
}
