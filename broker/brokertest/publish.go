package brokertest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/magne-actors/magne-actors/broker"
)

var publishCases = []testCase{
	{name: "Unroutable", run: testUnroutable},
	{name: "MissingExchange", run: testMissingExchange},
	{name: "MissingExchangeBeside", run: testMissingExchangeBeside},
	{name: "ManyConfirms", run: testManyConfirms},
	{name: "PublishAfterCtx", run: testPublishAfterCtx},
	{name: "BadPublication", run: testBadPublication},
	{name: "Blocked", run: testBlocked, skip: func(f Features) bool { return f.Block == nil }},
}

// testUnroutable mixes messages that reach a queue with others that do not. Each
// must get its own answer, whatever the order of returns and confirms.
func testUnroutable(e *env) {
	const n = 3000
	s, q := e.dial(), e.queue()
	c := e.consume(s, broker.Source{Queue: q, Credit: n})
	answers := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		p := &broker.Publication{RoutingKey: q.Name, Body: fmt.Append(nil, i)}
		if i%3 == 1 {
			p.RoutingKey = q.Name + ".missing"
		}
		wg.Add(1)
		err := s.Publish(e.ctx, p, func(err error) { answers[i] = err; wg.Done() })
		if err != nil {
			e.Fatal(err)
		}
	}
	wg.Wait()
	wrong := 0
	for i, err := range answers {
		if unroutable := errors.Is(err, broker.ErrUnroutable); unroutable != (i%3 == 1) || !unroutable && err != nil {
			wrong++
		}
	}
	if wrong > 0 {
		e.Errorf("%d of %d answers are wrong", wrong, n)
	}
	if text := answers[1].Error(); !strings.Contains(text, q.Name+".missing") {
		e.Errorf("the error does not name the routing key: %s", text)
	}
	e.settle(c, broker.Ack, e.receive(c, n-n/3)...)
	e.close(c)
	e.wantOnly(s, q)
}

// testMissingExchange publishes to nowhere. RabbitMQ closes the channel for it;
// that must not spoil the session.
func testMissingExchange(e *env) {
	s, q := e.dial(), e.queue()
	c := e.consume(s, broker.Source{Queue: q, Credit: 1})
	for range 3 {
		p := &broker.Publication{Exchange: q.Name + ".missing", RoutingKey: "k", Body: []byte("lost")}
		err := broker.PublishAndWait(e.ctx, s, p)
		e.wantError(err, broker.ErrUnroutable)
		e.wantError(err, broker.ErrTopology)
		e.publish(s, q, "good")
		e.settle(c, broker.Ack, e.receive(c, 1)...)
	}
	select {
	case <-s.Done():
		e.Errorf("the session died: %v", s.Err())
	default:
	}
}

// testMissingExchangeBeside publishes to nowhere among many others: all of those
// arrive, and once.
func testMissingExchangeBeside(e *env) {
	const n = 1000
	s, q := e.dial(), e.queue()
	c := e.consume(s, broker.Source{Queue: q, Credit: n})
	x := e.exchange("direct")
	e.apply(s, broker.Topology{Exchanges: []broker.Exchange{x}, Bindings: []broker.Binding{{Exchange: x.Name, Key: "k", Queue: q.Name}}})
	answers := make([]error, n)
	var wg sync.WaitGroup
	for i, body := range numbered(n) {
		p := &broker.Publication{RoutingKey: q.Name, Body: []byte(body)}
		switch i % 50 {
		case 7:
			p.Exchange = q.Name + ".missing"
		case 8:
			p.Exchange = q.Name + ".missing, too"
		case 9:
			p.Exchange, p.RoutingKey = x.Name, "k"
		}
		wg.Add(1)
		err := s.Publish(e.ctx, p, func(err error) { answers[i] = err; wg.Done() })
		if err != nil {
			e.Fatal(err)
		}
	}
	wg.Wait()
	bad := 0
	for i, err := range answers {
		if missing := i%50 == 7 || i%50 == 8; missing {
			bad++
			e.wantError(err, broker.ErrTopology)
		} else if err != nil {
			e.Errorf("message %d: %v", i, err)
		}
	}
	e.settle(c, broker.Ack, e.receive(c, n-bad)...)
	e.close(c)
	e.wantOnly(s, q)
}

// testManyConfirms publishes from many goroutines, more than fit any window.
func testManyConfirms(e *env) {
	const n, publishers = 1000, 8
	s, q := e.dial(), e.queue()
	e.declare(s, q)
	var calls atomic.Int64
	var wg sync.WaitGroup
	for range publishers {
		wg.Go(func() {
			for _, body := range numbered(n) {
				wg.Add(1)
				p := &broker.Publication{RoutingKey: q.Name, Body: []byte(body)}
				err := s.Publish(e.ctx, p, func(err error) {
					defer wg.Done()
					if calls.Add(1); err != nil {
						e.Error(err)
					}
				})
				if err != nil {
					e.Error(err)
					wg.Done()
				}
			}
		})
	}
	wg.Wait()
	if got := calls.Load(); got != n*publishers {
		e.Errorf("done was called %d times, want %d", got, n*publishers)
	}
	c := e.consume(s, broker.Source{Queue: q, Credit: n * publishers})
	e.settle(c, broker.Ack, e.receive(c, n*publishers)...)
	e.close(c)
	e.wantOnly(s, q)
}

// testPublishAfterCtx publishes with a context that has ended.
func testPublishAfterCtx(e *env) {
	s, q := e.dial(), e.queue()
	e.declare(s, q)
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	p := &broker.Publication{RoutingKey: q.Name, Body: []byte("late")}
	err := s.Publish(ctx, p, func(error) { e.Error("done was called for a publication that was not accepted") })
	e.wantError(err, context.Canceled)
	e.wantOnly(s, q)
}

// testBadPublication publishes what cannot be encoded. It is refused at once, and
// the connection is not touched.
func testBadPublication(e *env) {
	s, q := e.dial(), e.queue()
	c := e.consume(s, broker.Source{Queue: q, Credit: 1})
	deep := map[string]any{}
	for range 100 {
		deep = map[string]any{"next": deep}
	}
	long := strings.Repeat("x", 256)
	for _, p := range []broker.Publication{
		{Properties: broker.Properties{Headers: map[string]any{"f": func() {}}}},
		{Properties: broker.Properties{Headers: map[string]any{"s": struct{ A int }{1}}}},
		{Properties: broker.Properties{Headers: map[string]any{"u": uint64(1) << 63}}},
		{Properties: broker.Properties{Headers: map[string]any{long: 1}}},
		{Properties: broker.Properties{Headers: map[string]any{"big": strings.Repeat("x", 1<<20)}}},
		{Properties: broker.Properties{Headers: deep}},
		{Properties: broker.Properties{MessageID: long}},
		{Exchange: long},
	} {
		p.RoutingKey = q.Name
		err := s.Publish(e.ctx, &p, func(error) { e.Error("done was called for a publication that was not accepted") })
		e.wantError(err, broker.ErrInvalid)
	}
	e.publish(s, q, "good")
	e.settle(c, broker.Ack, e.receive(c, 1)...)
}

// testBlocked blocks publishers. Publish must wait and give up with its context;
// consumers must not notice.
func testBlocked(e *env) {
	s, q := e.dial(), e.queue()
	c := e.consume(s, broker.Source{Queue: q, Credit: 5})
	e.publish(s, q, numbered(10)...)
	unblock := e.f.Block(e.T)
	defer unblock()

	// RabbitMQ blocks a connection when it publishes; so some may still be
	// accepted, and get their confirms when it is over.
	accepted, answers := 0, make(chan error, 10_000)
	var refused error
	for refused == nil {
		ctx, cancel := context.WithTimeout(e.ctx, timeout/60)
		refused = s.Publish(ctx, &broker.Publication{RoutingKey: q.Name, Body: []byte("blocked")}, func(err error) { answers <- err })
		cancel()
		if refused == nil {
			accepted++
		}
	}
	e.wantError(refused, context.DeadlineExceeded)
	if reason, since := s.Blocked(); since.IsZero() || reason == "" {
		e.Errorf("blocked: got %q since %v, want a reason and a time", reason, since)
	}
	e.settle(c, broker.Ack, e.receive(c, 5)...)
	e.settle(c, broker.Ack, e.receive(c, 5)...)

	unblock()
	for range accepted {
		if err := wait(e, answers, "the confirm of what was blocked"); err != nil {
			e.Error(err)
		}
	}
	e.publish(s, q, "free")
	if reason, since := s.Blocked(); !since.IsZero() {
		e.Errorf("not blocked any more: got %q since %v", reason, since)
	}
	for range accepted + 1 {
		e.settle(c, broker.Ack, e.receive(c, 1)...)
	}
}
