package amqp_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/internal/testenv"
)

// TestQuorumQueueDeadLetters rejects a task and finds it among the dead letters.
func TestQuorumQueueDeadLetters(t *testing.T) {
	s := dial(t, amqp.Dialer{URL: testenv.RabbitMQ(t)})
	q := amqp.QuorumQueue(testenv.Name(t))
	c := consume(t, s, q, 10)
	p := &broker.Publication{RoutingKey: q.Name, Body: []byte("poison")}
	p.Persistent = true
	if err := broker.PublishAndWait(t.Context(), s, p); err != nil {
		t.Fatal(err)
	}
	if err := c.Settle(receive(t, c).Tag, broker.Reject); err != nil {
		t.Fatal(err)
	}
	dead := consume(t, s, broker.Queue{Name: amqp.DeadQueue(q.Name), Declare: broker.DeclarePassive}, 10)
	got := receive(t, dead)
	if string(got.Body) != "poison" || got.Exchange != amqp.DeadExchange || got.RoutingKey != q.Name {
		t.Errorf("got %q from exchange %q, key %q", got.Body, got.Exchange, got.RoutingKey)
	}
	if reason := got.Headers["x-first-death-reason"]; reason != "rejected" {
		t.Errorf("x-first-death-reason: got %v, want rejected", reason)
	}
	deaths, ok := got.Headers["x-death"].([]any)
	if !ok || len(deaths) != 1 {
		t.Fatalf("x-death: got %#v", got.Headers["x-death"])
	}
	if death, ok := deaths[0].(map[string]any); !ok || death["queue"] != q.Name {
		t.Errorf("x-death: got %#v, want a map[string]any that names the queue", deaths[0])
	}
	// A worker that quarantines goes the same way.
	p.Exchange = amqp.DeadExchange
	if err := broker.PublishAndWait(t.Context(), s, p); err != nil {
		t.Errorf("publish to the dead-letter exchange: %v", err)
	}
}

// TestMagneQueue checks the declaration against what magne's clients declare: a
// difference would be a 406 for whoever comes second.
func TestMagneQueue(t *testing.T) {
	n := testenv.SharedNode(t)
	s := dial(t, amqp.Dialer{URL: n.URL})
	name := testenv.Name(t)
	consume(t, s, amqp.MagneQueue(name), 1)
	out, err := n.Ctl(t.Context(), "list_queues", "name", "durable", "auto_delete", "arguments", "type")
	if err != nil {
		t.Fatal(err)
	}
	wantLine(t, out, name+"\tfalse\tfalse\t[]\tclassic")
	wantLine(t, out, amqp.DeadQueue(name)+"\ttrue\tfalse\t[{\"x-queue-type\",\"quorum\"}]\tquorum")
	if out, err = n.Ctl(t.Context(), "list_exchanges", "name", "type", "durable", "auto_delete", "arguments"); err != nil {
		t.Fatal(err)
	}
	wantLine(t, out, name+"\tdirect\tfalse\tfalse\t[]")
	wantLine(t, out, amqp.DeadExchange+"\tdirect\ttrue\tfalse\t[]")
	if out, err = n.Ctl(t.Context(), "list_bindings", "source_name", "destination_name", "routing_key"); err != nil {
		t.Fatal(err)
	}
	wantLine(t, out, name+"\t"+name+"\t"+name)
	wantLine(t, out, amqp.DeadExchange+"\t"+amqp.DeadQueue(name)+"\t"+name)
}

func wantLine(t *testing.T, out, want string) {
	t.Helper()
	for line := range strings.Lines(out) {
		if strings.TrimSpace(line) == want {
			return
		}
	}
	t.Errorf("no line %q in\n%s", want, out)
}

// TestTopologyErrorsAdvise checks that the error says what to do.
func TestTopologyErrorsAdvise(t *testing.T) {
	s := dial(t, amqp.Dialer{URL: testenv.RabbitMQ(t)})
	q := amqp.MagneQueue(testenv.Name(t))
	missing := q
	missing.Name += ".missing"
	missing.Declare, missing.Dead = broker.DeclarePassive, nil
	consume(t, s, q, 1)
	other := amqp.QuorumQueue(q.Name)
	for _, c := range []struct {
		name string
		q    broker.Queue
		want []string
	}{
		{"other arguments", other, []string{q.Name, "PRECONDITION_FAILED", "declare: passive", "delete it"}},
		{"missing", missing, []string{missing.Name, "NOT_FOUND", "declare: create"}},
	} {
		_, err := s.Consume(t.Context(), broker.Source{Queue: c.q, Credit: 1})
		if !errors.Is(err, broker.ErrTopology) {
			t.Fatalf("%s: got %v, want ErrTopology", c.name, err)
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: the error lacks %q: %v", c.name, want, err)
			}
		}
	}
}
