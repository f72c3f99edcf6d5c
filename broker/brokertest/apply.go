package brokertest

import (
	"context"
	"time"

	"github.com/magne-actors/magne-actors/broker"
)

var applyCases = []testCase{
	{name: "Apply", run: testApply},
	{name: "ApplyRefused", run: testApplyRefused},
	{name: "ApplyDelay", run: testApplyDelay},
	{name: "ApplyEnded", run: testApplyEnded},
}

// exchange returns an exchange that no other case uses. It stays in the broker.
func (e *env) exchange(kind string) broker.Exchange {
	return broker.Exchange{Name: e.queue().Name + "." + kind, Kind: kind}
}

func (e *env) apply(s broker.Session, t broker.Topology) {
	e.Helper()
	if err := s.Apply(e.ctx, t); err != nil {
		e.Fatal(err)
	}
}

// send publishes through an exchange and waits for the confirm.
func (e *env) send(s broker.Session, exchange, key, body string) {
	e.Helper()
	p := &broker.Publication{Exchange: exchange, RoutingKey: key, Body: []byte(body)}
	if err := broker.PublishAndWait(e.ctx, s, p); err != nil {
		e.Fatal(err)
	}
}

// testApply routes by topic, from exchange to exchange, and by the alternate exchange.
func testApply(e *env) {
	s, known, unknown := e.dial(), e.queue(), e.queue()
	entry, topic, rest := e.exchange("direct"), e.exchange("topic"), e.exchange("fanout")
	topic.Args = map[string]any{"alternate-exchange": rest.Name}
	t := broker.Topology{
		Exchanges: []broker.Exchange{entry, rest, topic},
		Queues:    []broker.Queue{known, unknown},
		Bindings: []broker.Binding{
			{Exchange: entry.Name, Key: "0.go", ToExchange: topic.Name},
			{Exchange: entry.Name, Key: "0.stray", ToExchange: topic.Name},
			{Exchange: topic.Name, Key: "*.go", Queue: known.Name},
			{Exchange: topic.Name, Key: "*.go.#", Queue: known.Name},
			{Exchange: rest.Name, Queue: unknown.Name},
		},
	}
	e.apply(s, t)
	e.apply(s, t) // all is there, nothing changes
	e.send(s, entry.Name, "0.go", "by two")
	e.send(s, topic.Name, "1.go", "once, although two bindings match")
	e.send(s, topic.Name, "1.go.on", "by the rest")
	e.send(s, entry.Name, "0.stray", "stray by two")
	e.send(s, topic.Name, "go", "stray")
	p := &broker.Publication{Exchange: entry.Name, RoutingKey: "1.go"}
	e.wantError(broker.PublishAndWait(e.ctx, s, p), broker.ErrUnroutable)
	e.wantOnly(s, known, "by two", "once, although two bindings match", "by the rest")
	e.wantOnly(s, unknown, "stray by two", "stray")
}

// testApplyRefused: the error says what differs, and the session goes on.
func testApplyRefused(e *env) {
	s, q, neighbour := e.dial(), e.queue(), e.queue()
	c := e.consume(s, broker.Source{Queue: neighbour, Credit: 1})
	x := e.exchange("topic")
	good := broker.Topology{Exchanges: []broker.Exchange{x}, Queues: []broker.Queue{q}}
	e.apply(s, good)

	otherKind, otherArgs := x, q
	otherKind.Kind = "direct"
	otherArgs.Args = map[string]any{"x-message-ttl": int32(600_000)}
	missing := q.Name + ".missing"
	passive := q
	passive.Name, passive.Declare = missing, broker.DeclareMatch
	for name, t := range map[string]broker.Topology{
		x.Name:  {Exchanges: []broker.Exchange{otherKind}},
		q.Name:  {Queues: []broker.Queue{otherArgs}},
		missing: {Bindings: []broker.Binding{{Exchange: x.Name, Key: "k", Queue: missing}}},
		x.Name + " ": {Bindings: []broker.Binding{
			{Exchange: x.Name, Key: "k", Queue: q.Name}, {Exchange: missing, Key: "k", ToExchange: x.Name},
		}},
		missing + " ": {Queues: []broker.Queue{passive}},
	} {
		e.wantError(s.Apply(e.ctx, t), broker.ErrTopology)
		e.apply(s, good)
		if e.Failed() {
			e.Fatalf("the refusal that concerns %s", name)
		}
	}
	e.publish(s, neighbour, "alive")
	e.settle(c, broker.Ack, e.receive(c, 1)...)
}

// testApplyDelay lets messages expire into another queue, with the key they came with.
func testApplyDelay(e *env) {
	const ttl = 300 * time.Millisecond
	s, work := e.dial(), e.queue()
	in, out := e.exchange("topic"), e.exchange("topic")
	wait := broker.Queue{Name: e.queue().Name, Durable: true, Args: map[string]any{
		"x-queue-type": "quorum", "x-message-ttl": ttl.Milliseconds(), "x-dead-letter-exchange": out.Name,
		"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish", "x-delivery-limit": 1000,
		"x-expires": int32(600_000),
	}}
	in.Durable, out.Durable = true, true
	t := broker.Topology{
		Exchanges: []broker.Exchange{in, out},
		Queues:    []broker.Queue{wait, work},
		Bindings: []broker.Binding{
			{Exchange: in.Name, Key: "1.#", Queue: wait.Name},
			{Exchange: out.Name, Key: "*." + work.Name, Queue: work.Name},
		},
	}
	e.apply(s, t)
	e.apply(s, t)
	c := e.consume(s, broker.Source{Queue: work, Credit: 10})
	begin := time.Now()
	for _, body := range []string{"one", "two"} {
		e.send(s, in.Name, "1."+work.Name, body)
	}
	for i, d := range e.receive(c, 2) {
		if want := []string{"one", "two"}[i]; string(d.Body) != want || d.RoutingKey != "1."+work.Name {
			e.Errorf("got %q with key %q, want %q with the old key", d.Body, d.RoutingKey, want)
		}
		e.settle(c, broker.Ack, d)
	}
	if took := time.Since(begin); took < ttl {
		e.Errorf("arrived after %v, want %v at the least", took, ttl)
	}
}

func testApplyEnded(e *env) {
	s, q := e.dial(), e.queue()
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	e.wantError(s.Apply(ctx, broker.Topology{Queues: []broker.Queue{q}}), context.Canceled)
	e.close(s)
	e.wantError(s.Apply(e.ctx, broker.Topology{}), broker.ErrClosed)
}
