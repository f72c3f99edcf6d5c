package brokertest

import (
	"github.com/magne-actors/magne-actors/broker"
)

var topologyCases = []testCase{
	{name: "DeclareMissing", run: testDeclareMissing},
	{name: "DeclareDifferent", run: testDeclareDifferent},
	{name: "DeclareAgain", run: testDeclareAgain},
	{name: "DeclareDead", run: testDeclareDead},
	{name: "DeclareAlone", run: testDeclareAlone},
	{name: "QueueDeleted", run: testQueueDeleted, skip: func(f Features) bool { return f.DeleteQueue == nil }},
}

// refuses consumes and wants ErrTopology, and a session that can go on.
func (e *env) refuses(s broker.Session, q broker.Queue) {
	e.Helper()
	c, err := s.Consume(e.ctx, broker.Source{Queue: q, Credit: 1})
	if err == nil {
		e.close(c)
	}
	e.wantError(err, broker.ErrTopology)
	select {
	case <-s.Done():
		e.Fatalf("the session died: %v", s.Err())
	default:
	}
}

func testDeclareMissing(e *env) {
	s := e.dial()
	neighbour, other := e.queue(), e.queue()
	c := e.consume(s, broker.Source{Queue: neighbour, Credit: 1})
	for _, mode := range []broker.Declare{broker.DeclarePassive, broker.DeclareMatch} {
		q := other
		q.Declare = mode
		e.refuses(s, q)
	}
	// Nobody has created it on the way, and the neighbour is alive.
	p := &broker.Publication{RoutingKey: other.Name}
	e.wantError(broker.PublishAndWait(e.ctx, s, p), broker.ErrUnroutable)
	e.publish(s, neighbour, "alive")
	e.settle(c, broker.Ack, e.receive(c, 1)...)
}

func testDeclareDifferent(e *env) {
	s, q := e.dial(), e.queue()
	e.declare(s, q)
	different := q
	different.Args = map[string]any{"x-message-ttl": int32(600_000)}
	e.refuses(s, different)
	different.Declare = broker.DeclareMatch
	e.refuses(s, different)
	different.Declare = broker.DeclarePassive // takes it as it is
	e.declare(s, different)
}

func testDeclareAgain(e *env) {
	s, q := e.dial(), e.queue()
	q.Exchange = q.Name + ".x"
	for _, mode := range []broker.Declare{broker.DeclareCreate, broker.DeclareCreate, broker.DeclareMatch, broker.DeclarePassive} {
		q.Declare = mode
		e.declare(s, q)
	}
}

// testDeclareDead checks that the queue of the dead letters comes with the queue,
// under the same rules.
func testDeclareDead(e *env) {
	s, q, dead := e.dial(), e.queue(), e.queue()
	dead.Exchange, dead.Key = dead.Name+".x", "dead key"
	withDead := q
	withDead.Dead = &dead
	e.declare(s, q)
	withDead.Declare = broker.DeclarePassive
	e.refuses(s, withDead) // the queue is there, that of its dead letters is not
	withDead.Declare = broker.DeclareMatch
	e.refuses(s, withDead)
	withDead.Declare = broker.DeclareCreate
	e.declare(s, withDead)
	p := &broker.Publication{Exchange: dead.Exchange, RoutingKey: "dead key", Body: []byte("a dead letter")}
	if err := broker.PublishAndWait(e.ctx, s, p); err != nil {
		e.Fatal(err)
	}
	e.wantOnly(s, dead, "a dead letter")
	withDead.Declare = broker.DeclarePassive
	e.declare(s, withDead)
}

// testDeclareAlone: a queue for those who publish, before anybody consumes.
func testDeclareAlone(e *env) {
	s, q, dead := e.dial(), e.queue(), e.queue()
	q.Dead = &dead
	q.Declare = broker.DeclareMatch
	e.wantError(s.Declare(e.ctx, q), broker.ErrTopology)
	q.Declare = broker.DeclareCreate
	for range 2 {
		if err := s.Declare(e.ctx, q); err != nil {
			e.Fatal(err)
		}
	}
	e.publish(s, q, "early")
	e.publish(s, dead, "a dead letter")
	e.wantOnly(s, q, "early")
	different := q
	different.Args = map[string]any{"x-message-ttl": int32(600_000)}
	e.wantError(s.Declare(e.ctx, different), broker.ErrTopology)
	e.declare(s, q) // the session lives
}

func testQueueDeleted(e *env) {
	for _, credit := range []int{5, e.f.Credit} {
		s, q, neighbour := e.dial(), e.queue(), e.queue()
		c := e.consume(s, broker.Source{Queue: q, Credit: credit})
		other := e.consume(s, broker.Source{Queue: neighbour, Credit: 1})
		e.publish(s, q, "one")
		got := e.receive(c, 1)[0]
		e.f.DeleteQueue(e.T, q.Name)
		e.wantError(e.dead(c, "the consumer of a deleted queue"), broker.ErrCancelled)
		e.ended(c)
		e.wantError(c.Settle(got.Tag, broker.Ack), broker.ErrStale)
		e.publish(s, neighbour, "alive")
		e.settle(other, broker.Ack, e.receive(other, 1)...)
		e.declare(s, q) // the same session can consume from it again
	}
}
