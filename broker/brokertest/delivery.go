package brokertest

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/magne-actors/magne-actors/broker"
)

var deliveryCases = []testCase{
	{name: "Properties", run: testProperties},
	{name: "NoProperties", run: testNoProperties},
	{name: "Exchange", run: testExchange},
	{name: "Bodies", run: testBodies},
	{name: "Order", run: testOrder},
	{name: "Credit", run: testCredit},
	{name: "CreditReturns", run: testCreditReturns},
}

// testProperties sends everything that a message can carry.
func testProperties(e *env) {
	s, q := e.dial(), e.queue()
	c := e.consume(s, broker.Source{Queue: q, Credit: 10})
	want := broker.Properties{
		ContentType: "application/json", ContentEncoding: "identity",
		MessageID: "id-1", CorrelationID: "corr-1", Type: "resize",
		ReplyTo: "replies", Expiration: "600000", AppID: "brokertest",
		Timestamp: time.Unix(1_700_000_000, 0), Priority: 3, Persistent: true,
		Headers: map[string]any{
			"text": "ä", "yes": true, "none": nil,
			"small": int32(-7), "large": int64(1) << 40, "float": 1.5,
			"bytes": []byte{0, 255}, "time": time.Unix(1_600_000_000, 0),
			"list":  []any{"a", int32(1), map[string]any{"deep": []any{}}},
			"table": map[string]any{"k": "v", "t": map[string]any{"n": int32(2)}},
		},
	}
	p := &broker.Publication{Properties: want, RoutingKey: q.Name, Body: []byte("body")}
	if err := broker.PublishAndWait(e.ctx, s, p); err != nil {
		e.Fatal(err)
	}
	got := e.receive(c, 1)[0]
	e.settle(c, broker.Ack, got)
	bothEmpty := func(x, y []any) bool { return len(x) == 0 && len(y) == 0 } // nil or not
	options := cmp.Options{
		cmp.FilterValues(bothEmpty, cmp.Ignore()),
		cmp.Comparer(func(x, y time.Time) bool { return x.Equal(y) }),
	}
	if diff := cmp.Diff(want, got.Properties, options); diff != "" {
		e.Errorf("properties (-want +got):\n%s", diff)
	}
	wantDelivery := broker.Delivery{Queue: q.Name, RoutingKey: q.Name, Body: []byte("body")}
	gotDelivery := broker.Delivery{
		Queue: got.Queue, Exchange: got.Exchange, RoutingKey: got.RoutingKey,
		Redelivered: got.Redelivered, Body: got.Body,
	}
	if diff := cmp.Diff(wantDelivery, gotDelivery); diff != "" {
		e.Errorf("delivery (-want +got):\n%s", diff)
	}
}

func testNoProperties(e *env) {
	s, q := e.dial(), e.queue()
	c := e.consume(s, broker.Source{Queue: q, Credit: 1})
	if err := broker.PublishAndWait(e.ctx, s, &broker.Publication{RoutingKey: q.Name}); err != nil {
		e.Fatal(err)
	}
	got := e.receive(c, 1)[0]
	e.settle(c, broker.Ack, got)
	if diff := cmp.Diff(broker.Properties{}, got.Properties); diff != "" || len(got.Body) != 0 {
		e.Errorf("got body %q and properties (-want +got):\n%s", got.Body, diff)
	}
}

// testExchange routes by a declared exchange and a binding key of its own.
func testExchange(e *env) {
	s, q := e.dial(), e.queue()
	q.Exchange, q.Key = q.Name+".x", "the key"
	c := e.consume(s, broker.Source{Queue: q, Credit: 1})
	p := &broker.Publication{Exchange: q.Exchange, RoutingKey: "the key", Body: []byte("hello")}
	if err := broker.PublishAndWait(e.ctx, s, p); err != nil {
		e.Fatal(err)
	}
	got := e.receive(c, 1)[0]
	e.settle(c, broker.Ack, got)
	if got.Exchange != q.Exchange || got.RoutingKey != "the key" {
		e.Errorf("got exchange %q, key %q, want %q, %q", got.Exchange, got.RoutingKey, q.Exchange, "the key")
	}
}

func testBodies(e *env) {
	s, q := e.dial(), e.queue()
	c := e.consume(s, broker.Source{Queue: q, Credit: 1})
	pattern := []byte("0123456789abcdef\x00\xff\xce")
	for _, size := range []int{0, 1, 4096, 131_064, 131_065, 1<<20 + 1, 5 << 20} {
		body := bytes.Repeat(pattern, size/len(pattern)+1)[:size]
		if err := broker.PublishAndWait(e.ctx, s, &broker.Publication{RoutingKey: q.Name, Body: body}); err != nil {
			e.Fatalf("%d bytes: %v", size, err)
		}
		got := e.receive(c, 1)[0]
		e.settle(c, broker.Ack, got)
		if !bytes.Equal(got.Body, body) {
			e.Errorf("a body of %d bytes came back different, with %d bytes", size, len(got.Body))
		}
	}
}

// testOrder checks that a small window is first in, first out.
func testOrder(e *env) {
	s, q := e.dial(), e.queue()
	e.declare(s, q)
	want := numbered(300)
	e.publish(s, q, want...)
	c := e.consume(s, broker.Source{Queue: q, Credit: 300})
	var got []string
	for _, d := range e.receive(c, 300) {
		got = append(got, string(d.Body))
		e.settle(c, broker.Ack, d)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		e.Errorf("order (-want +got):\n%s", diff)
	}
}

// testCredit shows that a consumer gets its window and not one delivery more: a
// second consumer gets all the others.
func testCredit(e *env) {
	for _, credit := range []int{1, 7, e.f.Credit} {
		s, q := e.dial(), e.queue()
		first := e.consume(s, broker.Source{Queue: q, Credit: credit})
		all := numbered(2*credit + 5)
		e.publish(s, q, all...)
		got := e.receive(first, credit)
		second := e.consume(s, broker.Source{Queue: q, Credit: len(all)})
		rest := e.receive(second, len(all)-credit)
		if seen := texts(append(got, rest...)); !slices.Equal(seen, all) {
			e.Errorf("credit %d: the two consumers got %d different messages, want %d", credit, len(slices.Compact(seen)), len(all))
		}
		e.settle(first, broker.Ack, got...)
		e.settle(second, broker.Ack, rest...)
		e.close(first)
		e.close(second)
		e.wantOnly(s, q)
	}
}

// testCreditReturns shows that each settlement makes room, for every verdict.
func testCreditReturns(e *env) {
	for _, credit := range []int{1, 10} {
		s, q := e.dial(), e.queue()
		c := e.consume(s, broker.Source{Queue: q, Credit: credit})
		e.publish(s, q, numbered(100)...)
		for i := range 100 {
			v := broker.Ack
			if i%10 == 3 {
				v = broker.Reject
			}
			e.settle(c, v, e.receive(c, 1)...)
		}
		e.publish(s, q, fmt.Sprintf("credit %d", credit))
		e.settle(c, broker.Ack, e.receive(c, 1)...)
	}
}
