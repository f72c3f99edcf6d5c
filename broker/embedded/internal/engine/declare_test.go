package engine_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/engine"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

func TestExclusiveQueue(t *testing.T) {
	e := open(t, engine.Options{})
	c, d := connect(t, e), connect(t, e)
	spec := engine.QueueSpec{Name: "q", Exclusive: true}
	c.declareSpec(spec)
	const locked = "405 cannot obtain exclusive access to locked queue 'q' in vhost '/'. It could be originally declared " +
		"on another connection or the exclusive property value does not match that of the original declaration."
	_, err := e.DeclareQueue(d.owner, spec, true)
	refused(t, err, locked)
	_, err = e.DeclareQueue(d.owner, spec, false)
	refused(t, err, locked)
	_, err = e.DeleteQueue(d.owner, "q", false, false)
	refused(t, err, locked)
	_, err = e.Purge(d.owner, "q")
	refused(t, err, locked)
	refused(t, e.BindQueue(d.owner, "q", "amq.fanout", "", nil), locked)
	refused(t, d.ch.Consume(engine.ConsumeSpec{Queue: "q"}, nil), locked)
	_, err = d.ch.Get("q", true, nil)
	refused(t, err, locked)
	c.close()
	_, err = e.DeclareQueue(d.owner, spec, true)
	refused(t, err, "404 no queue 'q' in vhost '/'")
	d.declareSpec(spec)
}

func TestDeclareQueue(t *testing.T) {
	c := connect(t, open(t, engine.Options{Limits: engine.Limits{Queues: 2}}))
	ok, err := c.e.DeclareQueue(c.owner, engine.QueueSpec{}, false)
	if err != nil || !strings.HasPrefix(ok.Name, "amq.gen-") || len(ok.Name) != len("amq.gen-")+22 {
		t.Errorf("got %+v, %v, want a generated name", ok, err)
	}
	c.declare("q", nil)
	c.publish("q", "a")
	c.consume("q", "x", func(s *engine.ConsumeSpec) {})
	c.publish("q", "b")
	ok, err = c.e.DeclareQueue(c.owner, engine.QueueSpec{Name: "q", Durable: true}, false)
	if want := (engine.QueueOK{Name: "q", Consumers: 1}); err != nil || ok != want {
		t.Errorf("got %+v, %v, want %+v", ok, err, want)
	}
	_, err = c.e.DeclareQueue(c.owner, engine.QueueSpec{Name: "q"}, false)
	refused(t, err, "406 inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'")
	_, err = c.e.DeclareQueue(c.owner, engine.QueueSpec{Name: "third"}, false)
	refused(t, err, "406 cannot declare queue 'third': queue limit in vhost '/' (2) is reached")
}

func TestDeleteQueue(t *testing.T) {
	c := connect(t, open(t, engine.Options{}))
	c.declare("q", nil)
	c.publish("q", "a", "b", "c")
	c.ch.Qos(1, false)
	c.consume("q", "x")
	c.expect("a")
	_, err := c.e.DeleteQueue(c.owner, "q", true, false)
	refused(t, err, "406 queue 'q' in vhost '/' in use")
	_, err = c.e.DeleteQueue(c.owner, "q", false, true)
	refused(t, err, "406 queue 'q' in vhost '/' not empty")
	n, err := c.e.DeleteQueue(c.owner, "q", false, false)
	if n != 2 || err != nil {
		t.Errorf("got %d, %v, want 2 messages deleted", n, err)
	}
	if diff := cmp.Diff([]string{"x"}, c.cancelled); diff != "" {
		t.Error(diff)
	}
	c.must(c.ch.Ack(1, false)) // the queue is gone, the channel goes on
	n, err = c.e.DeleteQueue(c.owner, "q", false, false)
	if n != 0 || err != nil {
		t.Errorf("got %d, %v, want no error about a queue that is gone", n, err)
	}
	if s := c.e.Stats(); s.MemoryBytes != 0 || s.Consumers != 0 {
		t.Errorf("got %d bytes, %d consumers, want none", s.MemoryBytes, s.Consumers)
	}
}

func TestAutoDelete(t *testing.T) {
	c := connect(t, open(t, engine.Options{}))
	for _, end := range []func(*client){
		func(d *client) { d.ch.Cancel("x") },
		func(d *client) { d.ch.Close() },
	} {
		d := connect(t, c.e)
		c.declareSpec(engine.QueueSpec{Name: "q", AutoDelete: true})
		d.consume("q", "x")
		c.publish("q", "a")
		end(d)
		_, err := c.e.DeclareQueue(c.owner, engine.QueueSpec{Name: "q"}, true)
		refused(t, err, "404 no queue 'q' in vhost '/'")
	}
}

func TestPurge(t *testing.T) {
	c := connect(t, open(t, engine.Options{}))
	c.declare("q", nil)
	c.publish("q", "a", "b", "c", "d")
	c.ch.Qos(2, false)
	c.consume("q", "x")
	c.must(c.ch.Nack(1, false, true)) // comes again
	c.expect("a", "b", "a")
	c.ch.Cancel("x")
	c.must(c.ch.Nack(3, false, true))
	n, err := c.e.Purge(c.owner, "q")
	if n != 3 || err != nil {
		t.Errorf("got %d, %v, want a, c and d purged", n, err)
	}
	c.must(c.ch.Nack(2, false, true))
	c.publish("q", "e")
	c.expectQueue("q", "b", "e")
	_, err = c.e.Purge(c.owner, "none")
	refused(t, err, "404 no queue 'none' in vhost '/'")
}

func TestExchanges(t *testing.T) {
	c := connect(t, open(t, engine.Options{}))
	c.declare("q", nil)
	c.declare("r", nil)
	c.must(c.e.DeclareExchange(engine.ExchangeSpec{Name: "x", Type: "topic", Durable: true}, false))
	c.must(c.e.DeclareExchange(engine.ExchangeSpec{Name: "y", Type: "fanout"}, false))
	c.must(c.e.BindExchange("y", "x", "a.*", nil))
	c.must(c.e.BindQueue(c.owner, "q", "y", "", nil))
	c.must(c.e.BindQueue(c.owner, "r", "x", "#", nil))
	c.send("x", "a.b", wire.Properties{}, "both")
	c.send("x", "c", wire.Properties{}, "r only")
	c.expectQueue("q", "both")
	c.expectQueue("r", "both", "r only")
	c.must(c.e.UnbindExchange("y", "x", "a.*", nil))
	c.must(c.e.UnbindQueue(c.owner, "r", "x", "#", nil))
	routed, err := c.e.Publish(message(t, "x", "a.b", wire.Properties{}, ""), c, 99, "")
	if routed || err != nil {
		t.Errorf("got routed %v, %v, want not routed", routed, err)
	}
	c.must(c.e.DeleteExchange("x", true))
	refused(t, c.e.DeclareExchange(engine.ExchangeSpec{Name: "x"}, true), "404 no exchange 'x' in vhost '/'")
	_, err = c.e.Publish(message(t, "x", "a.b", wire.Properties{}, ""), c, 99, "")
	refused(t, err, "404 no exchange 'x' in vhost '/'")
}

func TestPublishRefused(t *testing.T) {
	c := connect(t, open(t, engine.Options{}))
	c.declare("q", nil)
	for _, p := range []struct {
		props wire.Properties
		want  string
	}{
		{wire.Properties{UserID: "root"}, "406 user_id property set to 'root' but authenticated user was 'guest'"},
		{wire.Properties{Expiration: "x"}, "406 invalid expiration 'x': no_integer"},
		{wire.Properties{DeliveryMode: 3}, "406 invalid message: {delivery_mode_unknown,3}"},
		{wire.Properties{DeliveryMode: 3, Headers: wire.Table{"CC": "q"}}, `406 invalid message: {unacceptable_type_in_header,"CC",longstr}`},
	} {
		_, err := c.e.Publish(message(t, "", "q", p.props, ""), nil, 0, "guest")
		refused(t, err, p.want)
	}
}

func TestBlindCopiesAreNotReturned(t *testing.T) {
	c := connect(t, open(t, engine.Options{}))
	p := message(t, "", "none", wire.Properties{Headers: wire.Table{"BCC": []any{"nor this"}, "a": "b"}}, "m")
	if routed, err := c.e.Publish(p, nil, 0, ""); routed || err != nil {
		t.Errorf("got %v, %v, want not routed", routed, err)
	}
	props, err := wire.ParseProperties(p.Props)
	c.must(err)
	if diff := cmp.Diff(wire.Table{"a": "b"}, props.Headers); diff != "" {
		t.Error(diff)
	}
}

func TestCopies(t *testing.T) {
	c := connect(t, open(t, engine.Options{}))
	for _, q := range []string{"a", "b", "c"} {
		c.declare(q, nil)
		c.consume(q, q)
	}
	c.send("", "a", wire.Properties{Headers: wire.Table{"CC": []any{"b"}, "BCC": []any{"c", "a"}}}, "m")
	got := c.takeAll()
	if len(got) != 3 {
		t.Fatalf("got %d deliveries, want 3", len(got))
	}
	for _, d := range got {
		p, err := wire.ParseProperties(d.props)
		c.must(err)
		if diff := cmp.Diff(wire.Table{"CC": []any{"b"}}, p.Headers); diff != "" || d.Key != "a" {
			t.Errorf("got key %q, headers (-want +got):\n%s", d.Key, diff)
		}
	}
}

func TestCancelConsumers(t *testing.T) {
	c := connect(t, open(t, engine.Options{}))
	c.declare("q", nil)
	for _, tag := range []string{"x", "y", "z"} {
		c.consume("q", tag)
	}
	if n := c.e.CancelConsumers("q"); n != 3 {
		t.Errorf("got %d, want 3", n)
	}
	if diff := cmp.Diff([]string{"x", "y", "z"}, c.cancelled); diff != "" {
		t.Error(diff)
	}
	if n := c.e.CancelConsumers("none"); n != 0 {
		t.Errorf("got %d, want 0", n)
	}
	c.publish("q", "a")
	c.expect()
	c.consume("q", "x")
	c.expect("a")
}

func TestReservedNames(t *testing.T) {
	c := connect(t, open(t, engine.Options{}))
	_, err := c.e.DeclareQueue(c.owner, engine.QueueSpec{Name: "amq.q"}, false)
	refused(t, err, "403 queue name 'amq.q' contains reserved prefix 'amq.*'")
	ok, err := c.e.DeclareQueue(c.owner, engine.QueueSpec{}, false)
	c.must(err)
	_, err = c.e.DeclareQueue(c.owner, engine.QueueSpec{Name: ok.Name}, true)
	c.must(err)
}
