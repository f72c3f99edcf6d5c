package brokertest

import (
	"context"
	"slices"

	"github.com/magne-actors/magne-actors/broker"
)

var lifeCases = []testCase{
	{name: "BadCredit", run: testBadCredit},
	{name: "CancelThenSettle", run: testCancelThenSettle},
	{name: "CloseRequeues", run: testCloseRequeues},
	{name: "CloseSession", run: testCloseSession},
	{name: "CloseFlushes", run: testCloseFlushes},
	{name: "EndedContext", run: testEndedContext},
}

func testBadCredit(e *env) {
	s, q := e.dial(), e.queue()
	for _, credit := range []int{0, -1} {
		if c, err := s.Consume(e.ctx, broker.Source{Queue: q, Credit: credit}); err == nil {
			e.Errorf("a credit of %d was accepted", credit)
			e.close(c)
		}
	}
}

// testCancelThenSettle stops a consumer and finishes what it had.
func testCancelThenSettle(e *env) {
	for _, credit := range []int{5, e.f.Credit} {
		s, q := e.dial(), e.queue()
		c := e.consume(s, broker.Source{Queue: q, Credit: credit})
		e.publish(s, q, numbered(2*credit)...)
		got := e.receive(c, credit)
		for range 2 { // the second changes nothing
			if err := c.Cancel(e.ctx); err != nil {
				e.Fatal(err)
			}
		}
		e.settle(c, broker.Ack, got...)
		if rest := e.ended(c); len(rest) > 0 {
			e.Errorf("%d deliveries beyond the window", len(rest))
		}
		select {
		case <-c.Done():
			e.Errorf("the consumer died of Cancel: %v", c.Err())
		default:
		}
		e.close(c)
		e.wantOnly(s, q, without(numbered(2*credit), got)...)
	}
}

func testCloseRequeues(e *env) {
	s, q := e.dial(), e.queue()
	c := e.consume(s, broker.Source{Queue: q, Credit: 10})
	e.publish(s, q, numbered(5)...)
	got := e.receive(c, 5)
	e.settle(c, broker.Ack, got[1], got[3])
	e.close(c)
	if err := e.dead(c, "the consumer"); err != nil {
		e.Errorf("Err after Close: got %v, want nil", err)
	}
	e.wantError(c.Settle(got[0].Tag, broker.Ack), broker.ErrStale)
	e.wantError(c.Cancel(e.ctx), broker.ErrStale)
	e.ended(c)
	e.close(c) // again
	for _, d := range e.wantOnly(s, q, texts([]*broker.Delivery{got[0], got[2], got[4]})...) {
		if !d.Redelivered {
			e.Errorf("%q came back and is not marked as redelivered", d.Body)
		}
	}
}

func testCloseSession(e *env) {
	s, q := e.dial(), e.queue()
	c := e.consume(s, broker.Source{Queue: q, Credit: 10})
	e.publish(s, q, "one", "two")
	got := e.receive(c, 2)
	e.settle(c, broker.Ack, got[1])
	e.close(s)
	if err := e.dead(s, "the session"); err != nil {
		e.Errorf("Err after Close: got %v, want nil", err)
	}
	if err := e.dead(c, "the consumer"); err != nil {
		e.Errorf("Err of the consumer after Close: got %v, want nil", err)
	}
	e.ended(c)
	e.wantError(c.Settle(got[0].Tag, broker.Ack), broker.ErrStale)
	_, err := s.Consume(e.ctx, broker.Source{Queue: q, Credit: 1})
	e.wantError(err, broker.ErrClosed)
	err = s.Publish(e.ctx, &broker.Publication{RoutingKey: q.Name}, func(error) { e.Error("done was called after Close") })
	e.wantError(err, broker.ErrClosed)
	e.close(s) // again
	e.wantOnly(e.dial(), q, "one")
}

// testCloseFlushes closes the session at once after work: what was settled stays
// settled, what was published has its answer.
func testCloseFlushes(e *env) {
	const n = 2000
	s, q := e.dial(), e.queue()
	c := e.consume(s, broker.Source{Queue: q, Credit: n})
	e.publish(s, q, numbered(n)...)
	got := e.receive(c, n)
	answers := make(chan error, n)
	e.settle(c, broker.Requeue, got[0])
	e.settle(c, broker.Ack, got[1:]...)
	for range n {
		if err := s.Publish(e.ctx, &broker.Publication{RoutingKey: q.Name, Body: []byte("new")}, func(err error) { answers <- err }); err != nil {
			e.Fatal(err)
		}
	}
	e.close(s)
	for range n {
		select {
		case err := <-answers:
			if err != nil {
				e.Fatal(err)
			}
		default:
			e.Fatal("Close did not wait for all confirms")
		}
	}
	want := slices.Repeat([]string{"new"}, n)
	e.wantOnly(e.dial(), q, append(want, string(got[0].Body))...)
}

// testEndedContext calls what blocks with a context that has ended: nothing may
// be left over from it.
func testEndedContext(e *env) {
	s, q := e.dial(), e.queue()
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	if late, err := e.dialer.Dial(ctx); err == nil {
		e.Error("dialled with a context that has ended")
		e.close(late)
	} else {
		e.wantError(err, context.Canceled)
	}
	e.declare(s, q)
	c, err := s.Consume(ctx, broker.Source{Queue: q, Credit: 5})
	if err == nil {
		e.close(c)
	} else {
		e.wantError(err, context.Canceled)
	}
	e.wantOnly(s, q) // no forgotten consumer takes the message
}
