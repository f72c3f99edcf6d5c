package brokertest

import (
	"github.com/magne-actors/magne-actors/broker"
)

var faultCases = []testCase{
	{name: "ConnectionsDropped", run: testConnectionsDropped, skip: func(f Features) bool { return f.DropConnections == nil }},
	{name: "DroppedWhilePublishing", run: testDroppedWhilePublishing, skip: func(f Features) bool { return f.DropConnections == nil }},
	{name: "Restart", run: testRestart, skip: func(f Features) bool { return f.Restart == nil }},
}

// testConnectionsDropped loses the connection under deliveries in progress. The
// session and all of it must die, late settlements must be refused, and a new
// session must get every unsettled delivery and no settled one.
func testConnectionsDropped(e *env) {
	for _, credit := range []int{50, e.f.Credit} {
		s, q := e.dial(), e.queue()
		settled := make(chan int, 100)
		c := e.consume(s, broker.Source{Queue: q, Credit: credit, Settled: func(n int) { settled <- n }})
		e.publish(s, q, numbered(60)...)
		got := e.receive(c, 50)
		e.settle(c, broker.Ack, got[:20]...)
		for n := 20; n > 0; {
			n -= wait(e, settled, "a call of Settled")
		}
		// They are written. The broker has read them when it answers what follows.
		if err := c.Cancel(e.ctx); err != nil {
			e.Fatal(err)
		}
		e.f.DropConnections(e.T)
		if err := e.dead(s, "the session"); err == nil {
			e.Error("the session does not say why it ended")
		}
		if err := e.dead(c, "the consumer"); err == nil {
			e.Error("the consumer does not say why it ended")
		}
		e.ended(c)
		for _, d := range got[20:] {
			e.wantError(c.Settle(d.Tag, broker.Ack), broker.ErrStale)
		}
		e.wantOnly(e.dial(), q, without(numbered(60), got[:20])...)
	}
}

// testDroppedWhilePublishing drops the connections three times under a publisher
// that publishes again what was refused or has an unknown outcome. Everything
// that it published must be in the queue, some of it more than once.
func testDroppedWhilePublishing(e *env) {
	s, q := e.dial(), e.queue()
	e.declare(s, q)
	dropped := make(chan struct{})
	go func() {
		defer close(dropped)
		for range 3 {
			e.f.DropConnections(e.T)
		}
	}()
	published, failures := 0, 0
	for again := true; again; {
		var failed int
		s, failed = e.publishStubbornly(s, q, published, 200)
		published, failures = published+200, failures+failed
		select {
		case <-dropped:
			again = false
		default:
		}
	}
	e.Logf("%d messages, %d failed at first", published, failures)
	seen := map[string]bool{}
	// Not on s: its connection for consuming may be one of those that were dropped.
	c := e.consume(e.dial(), broker.Source{Queue: q, Credit: e.f.Credit})
	for len(seen) < published {
		d := e.receive(c, 1)[0]
		seen[string(d.Body)] = true
		e.settle(c, broker.Ack, d)
	}
}

// publishStubbornly publishes n messages, numbered from first, until each is
// confirmed. It returns the last session that it needed and how often one failed.
func (e *env) publishStubbornly(s broker.Session, q broker.Queue, first, n int) (broker.Session, int) {
	todo, failures := numbered(first + n)[first:], 0
	for len(todo) > 0 {
		select {
		case <-s.Done():
			s = e.dial()
		default:
		}
		type answer struct {
			body string
			err  error
		}
		answers := make(chan answer, len(todo))
		for _, body := range todo {
			p := &broker.Publication{RoutingKey: q.Name, Body: []byte(body)}
			if err := s.Publish(e.ctx, p, func(err error) { answers <- answer{body, err} }); err != nil {
				answers <- answer{body, err}
			}
		}
		var failed []string
		for range todo {
			if a := wait(e, answers, "an answer"); a.err != nil {
				failed = append(failed, a.body)
			}
		}
		todo, failures = failed, failures+len(failed)
	}
	return s, failures
}

// testRestart restarts the broker under a consumer.
func testRestart(e *env) {
	s, q := e.dial(), e.queue()
	q.Durable = true
	c := e.consume(s, broker.Source{Queue: q, Credit: 50})
	e.publish(s, q, numbered(60)...)
	got := e.receive(c, 50)
	e.settle(c, broker.Ack, got[:20]...)
	e.close(c)
	c = e.consume(s, broker.Source{Queue: q, Credit: 50})
	e.receive(c, 40)
	e.f.Restart(e.T)
	if err := e.dead(s, "the session"); err == nil {
		e.Error("the session does not say why it ended")
	}
	next(e, c.Done(), "the end of the consumer")
	fresh := e.dial()
	if e.f.Durable {
		e.wantOnly(fresh, q, without(numbered(60), got[:20])...)
	} else {
		e.wantOnly(fresh, q)
	}
}
