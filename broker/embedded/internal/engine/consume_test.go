package engine_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/engine"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

func noAck(s *engine.ConsumeSpec) { s.NoAck = true }

func TestPublishThenConsume(t *testing.T) {
	c := connect(t, open(t, engine.Options{}))
	c.declare("q", nil)
	c.publish("q", "a", "b", "c")
	c.consume("q", "x", noAck)
	c.expect("a", "b", "c")
	c.publish("q", "d")
	c.expect("d")
	if q := info(t, c.e, "q"); q.Ready != 0 || q.Unacked != 0 || q.InMemory != 0 {
		t.Errorf("got %+v, want nothing in the queue", q)
	}
	if s := c.e.Stats(); s.MemoryBytes != 0 || s.TransientBytes != 0 {
		t.Errorf("got %d bytes in memory, %d transient, want none", s.MemoryBytes, s.TransientBytes)
	}
}

func TestPrefetchAndAcks(t *testing.T) {
	c := connect(t, open(t, engine.Options{}))
	c.declare("q", nil)
	c.publish("q", "a", "b", "c", "d", "e")
	c.ch.Qos(2, false)
	c.consume("q", "x")
	c.expect("a", "b")
	c.must(c.ch.Ack(2, false)) // out of order
	c.expect("c")
	c.must(c.ch.Ack(3, true)) // over the hole
	c.expect("d", "e")
	refused(t, c.ch.Ack(2, false), "406 unknown delivery tag 2")
	refused(t, c.ch.Ack(9, true), "406 unknown delivery tag 9")
	c.must(c.ch.Ack(0, true))
	c.must(c.ch.Ack(0, true)) // nothing is no error
	refused(t, c.ch.Ack(0, false), "406 unknown delivery tag 0")
}

func TestGlobalPrefetch(t *testing.T) {
	c := connect(t, open(t, engine.Options{}))
	c.declare("q", nil)
	c.declare("r", nil)
	c.ch.Qos(3, true)
	c.consume("q", "x")
	c.consume("r", "y")
	c.publish("q", "a", "b")
	c.publish("r", "1", "2")
	c.expect("a", "b", "1")
	c.must(c.ch.Ack(1, false))
	c.expect("2")
	c.publish("q", "c")
	c.expect()
	c.ch.Qos(0, true)
	c.expect("c")
}

// A place that the channel's limit has left goes to who waits, not to the queue that
// had it.
func TestGlobalPrefetchIsShared(t *testing.T) {
	c := connect(t, open(t, engine.Options{}))
	c.ch.Qos(1, true)
	for _, q := range []string{"q", "r", "s"} {
		c.declare(q, nil)
		c.publish(q, q+"1", q+"2", q+"3")
	}
	for _, q := range []string{"q", "r", "s"} {
		c.consume(q, "consumer of "+q)
	}
	var got []string
	for tag := range uint64(9) {
		got = append(got, c.take()...)
		c.must(c.ch.Ack(tag+1, false))
	}
	if diff := cmp.Diff([]string{"q1", "r1", "s1", "q2", "r2", "s2", "q3", "r3", "s3"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestRequeueReturnsToItsPlace(t *testing.T) {
	c := connect(t, open(t, engine.Options{}))
	c.declare("q", nil)
	c.publish("q", "a", "b", "c", "d", "e")
	c.ch.Qos(3, false)
	c.consume("q", "x")
	c.expect("a", "b", "c")
	c.ch.Cancel("x")
	c.must(c.ch.Nack(2, false, true))
	c.must(c.ch.Reject(1, true))
	d := connect(t, c.e)
	d.consume("q", "y")
	got := d.takeAll()
	var bodies []string
	for _, g := range got {
		bodies = append(bodies, g.Body)
		if want := g.Body == "a" || g.Body == "b"; g.Redelivered != want {
			t.Errorf("%s: got redelivered %v, want %v", g.Body, g.Redelivered, want)
		}
	}
	if diff := cmp.Diff([]string{"a", "b", "d", "e"}, bodies); diff != "" {
		t.Error(diff)
	}
	c.close()
	d.expect("c")
	d.close()
	connect(t, c.e).expectQueue("q", "a", "b", "c", "d", "e")
}

func TestConsumersTakeTurns(t *testing.T) {
	c := connect(t, open(t, engine.Options{}))
	c.declare("q", nil)
	c.ch.Qos(2, false)
	c.consume("q", "x")
	c.consume("q", "y")
	c.consume("q", "first", func(s *engine.ConsumeSpec) { s.Args = wire.Table{"x-priority": int32(1)} })
	c.publish("q", "a", "b", "c", "d", "e", "f", "g")
	var tags []string
	for _, d := range c.takeAll() {
		tags = append(tags, d.Consumer)
	}
	if diff := cmp.Diff([]string{"first", "first", "x", "y", "x", "y"}, tags); diff != "" {
		t.Error(diff)
	}
	c.must(c.ch.Ack(1, false))
	if got := c.takeAll(); len(got) != 1 || got[0].Consumer != "first" || got[0].Body != "g" {
		t.Errorf("got %v, want g for first", got)
	}
}

func TestSingleActiveConsumer(t *testing.T) {
	c := connect(t, open(t, engine.Options{}))
	c.declare("q", wire.Table{"x-single-active-consumer": true})
	d := connect(t, c.e)
	c.consume("q", "x")
	d.consume("q", "y")
	c.publish("q", "a", "b")
	c.expect("a", "b")
	d.expect()
	c.close()
	d.expect("a", "b")
	refused(t, d.ch.Consume(engine.ConsumeSpec{Queue: "q", Exclusive: true}, nil), "403 queue 'q' in vhost '/' in exclusive use")
}

func TestExclusiveConsumer(t *testing.T) {
	c := connect(t, open(t, engine.Options{}))
	c.declare("q", nil)
	c.consume("q", "x", func(s *engine.ConsumeSpec) { s.Exclusive = true })
	d := connect(t, c.e)
	refused(t, d.ch.Consume(engine.ConsumeSpec{Queue: "q"}, nil), "403 queue 'q' in vhost '/' in exclusive use")
	refused(t, c.ch.Consume(engine.ConsumeSpec{Queue: "q", Tag: "x"}, nil), "530 attempt to reuse consumer tag 'x'")
	refused(t, c.ch.Consume(engine.ConsumeSpec{Queue: "none"}, nil), "404 no queue 'none' in vhost '/'")
	c.ch.Cancel("x")
	d.consume("q", "y")
}

func TestWritable(t *testing.T) {
	c := connect(t, open(t, engine.Options{}))
	c.declare("q", nil)
	c.full = true
	c.consume("q", "x")
	c.publish("q", "a", "b")
	c.expect()
	c.ch.Resume()
	c.expect()
	c.mu.Lock()
	c.full = false
	c.mu.Unlock()
	c.publish("q", "c")
	c.expect() // only Resume helps
	c.ch.Resume()
	c.expect("a", "b", "c")
}

func TestGet(t *testing.T) {
	c := connect(t, open(t, engine.Options{}))
	c.declare("q", nil)
	c.publish("q", "a", "b")
	var d engine.Delivery
	ok, err := c.ch.Get("q", false, func(g *engine.Delivery) { d = *g })
	if err != nil || !ok || string(d.Body) != "a" || d.Tag != 1 || d.Remaining != 1 || d.Redelivered {
		t.Errorf("got %v, %v, %+v, want a with tag 1, one remaining", ok, err, d)
	}
	c.must(c.ch.Nack(1, false, true))
	ok, err = c.ch.Get("q", false, func(g *engine.Delivery) { d = *g })
	if err != nil || !ok || string(d.Body) != "a" || d.Tag != 2 || !d.Redelivered {
		t.Errorf("got %v, %v, %+v, want a again", ok, err, d)
	}
	c.must(c.ch.Ack(2, false))
	c.expectQueue("q", "b")
	_, err = c.ch.Get("none", true, nil)
	refused(t, err, "404 no queue 'none' in vhost '/'")
}

func TestRecover(t *testing.T) {
	c := connect(t, open(t, engine.Options{}))
	c.declare("q", nil)
	c.publish("q", "a", "b")
	c.consume("q", "x")
	c.expect("a", "b")
	c.must(c.ch.Recover(true))
	c.expect("a", "b")
	refused(t, c.ch.Recover(false), "540 requeue=false")
}

func TestPriorities(t *testing.T) {
	c := connect(t, open(t, engine.Options{}))
	c.declare("q", wire.Table{"x-max-priority": int32(5)})
	for _, m := range []struct {
		body     string
		priority uint8
	}{{"low", 0}, {"mid", 3}, {"high", 5}, {"higher", 9}, {"mid2", 3}} {
		c.send("", "q", wire.Properties{Priority: m.priority}, m.body)
	}
	c.expectQueue("q", "high", "higher", "mid", "mid2", "low")
}
