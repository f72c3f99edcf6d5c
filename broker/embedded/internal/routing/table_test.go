package routing_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/routing"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

type table = routing.Table[string]

func declare(t testing.TB, tb *table, x routing.Exchange) *table {
	t.Helper()
	tb, created, err := tb.Declare(x)
	if err != nil || !created {
		t.Fatalf("Declare(%v): created %v, error %v", x, created, err)
	}
	return tb
}

func bind(t testing.TB, tb *table, b routing.Binding) *table {
	t.Helper()
	tb, added, err := tb.Bind(b, nil)
	if err != nil || !added {
		t.Fatalf("Bind(%v): added %v, error %v", b, added, err)
	}
	return tb
}

func route(tb *table, m routing.Message) string {
	got, ok := tb.Route(nil, m)
	if !ok {
		return "no exchange"
	}
	slices.Sort(got)
	return strings.Join(got, " ")
}

func queues(names ...string) *table {
	tb := routing.New[string]()
	for _, n := range names {
		tb = tb.AddQueue(n, n, true)
	}
	return tb
}

func TestErrors(t *testing.T) {
	base := declare(t, queues("q"), routing.Exchange{Name: "x", Type: routing.Direct, Args: wire.Table{"alternate-exchange": "ae"}})
	base = declare(t, base, routing.Exchange{Name: "h", Type: routing.Headers})
	base = bind(t, base, routing.Binding{Source: "x", Destination: "q"})
	refused := errors.New("refused")
	declared := func(x routing.Exchange) func() error {
		return func() error { _, _, err := base.Declare(x); return err }
	}
	bound := func(b routing.Binding) func() error {
		return func() error { _, _, err := base.Bind(b, nil); return err }
	}
	unbound := func(b routing.Binding) func() error {
		return func() error { _, _, err := base.Unbind(b, nil); return err }
	}
	deleted := func(name string, ifUnused bool) func() error {
		return func() error { _, _, err := base.DeleteExchange(name, ifUnused); return err }
	}
	const vhost = "' in vhost '/'"
	for _, tt := range []struct {
		name string
		do   func() error
		want string
	}{
		{"same", declared(routing.Exchange{Name: "x", Type: "direct", Args: wire.Table{"alternate-exchange": "ae", "other": 1}}), ""},
		{"line ends", declared(routing.Exchange{Name: "x\r\n", Type: "direct", Args: wire.Table{"alternate-exchange": "ae"}}), ""},
		{"unknown type", declared(routing.Exchange{Name: "", Type: "foo"}), "COMMAND_INVALID - unknown exchange type 'foo'"},
		{"default", declared(routing.Exchange{Name: "", Type: "direct"}), "ACCESS_REFUSED - operation not permitted on the default exchange"},
		{"reserved", declared(routing.Exchange{Name: "amq.x", Type: "direct"}), "ACCESS_REFUSED - exchange name 'amq.x' contains reserved prefix 'amq.*'"},
		{"alternate", declared(routing.Exchange{Name: "y", Type: "direct", Args: wire.Table{"alternate-exchange": int32(5)}}), "PRECONDITION_FAILED - invalid type 'signedint' for arg 'alternate-exchange' in exchange 'y" + vhost},
		{"type", declared(routing.Exchange{Name: "x", Type: "fanout", Durable: true}), "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x" + vhost + ": received 'fanout' but current is 'direct'"},
		{"durable", declared(routing.Exchange{Name: "x", Type: "direct", Durable: true, Internal: true}), "PRECONDITION_FAILED - inequivalent arg 'durable' for exchange 'x" + vhost + ": received 'true' but current is 'false'"},
		{"auto-delete", declared(routing.Exchange{Name: "x", Type: "direct", AutoDelete: true, Internal: true}), "PRECONDITION_FAILED - inequivalent arg 'auto_delete' for exchange 'x" + vhost + ": received 'true' but current is 'false'"},
		{"internal", declared(routing.Exchange{Name: "x", Type: "direct", Internal: true}), "PRECONDITION_FAILED - inequivalent arg 'internal' for exchange 'x" + vhost + ": received 'true' but current is 'false'"},
		{"arguments", declared(routing.Exchange{Name: "x", Type: "direct"}), "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'x" + vhost + ": received none but current is the value 'ae' of type 'longstr'"},
		{"passive", func() error { return base.Passive("nix") }, "NOT_FOUND - no exchange 'nix" + vhost},
		{"passive default", func() error { return base.Passive("") }, "ACCESS_REFUSED - operation not permitted on the default exchange"},
		{"passive there", func() error { return base.Passive("x\n") }, ""},
		{"bind default", bound(routing.Binding{Source: "", Destination: "nix"}), "ACCESS_REFUSED - operation not permitted on the default exchange"},
		{"bind to default", bound(routing.Binding{Source: "nix", Destination: "", ToExchange: true}), "ACCESS_REFUSED - operation not permitted on the default exchange"},
		{"bind from nothing to nothing", bound(routing.Binding{Source: "nix", Destination: "nix"}), "NOT_FOUND - no exchange 'nix" + vhost},
		{"bind to no queue", bound(routing.Binding{Source: "x", Destination: "nix"}), "NOT_FOUND - no queue 'nix" + vhost},
		{"bind to no exchange", bound(routing.Binding{Source: "x", Destination: "q", ToExchange: true}), "NOT_FOUND - no exchange 'q" + vhost},
		{"x-match", bound(routing.Binding{Source: "h", Destination: "q", Args: wire.Table{"x-match": "some"}}), `PRECONDITION_FAILED - Invalid x-match field value <<"some">>; expected all, any, all-with-x, or any-with-x`},
		{"x-match type", bound(routing.Binding{Source: "h", Destination: "q", Args: wire.Table{"x-match": int32(5)}}), "PRECONDITION_FAILED - Invalid x-match field type signedint (value 5); expected longstr"},
		{"x-match elsewhere", bound(routing.Binding{Source: "x", Destination: "q", Args: wire.Table{"x-match": int32(5)}}), ""},
		{"locked", func() error {
			_, _, err := base.Bind(routing.Binding{Source: "x", Destination: "q"}, func(string) error { return refused })
			return err
		}, "refused"},
		{"unbind locked", func() error {
			_, _, err := base.Unbind(routing.Binding{Source: "x", Destination: "q"}, func(string) error { return refused })
			return err
		}, "refused"},
		{"unbind nothing that is locked", func() error {
			_, _, err := base.Unbind(routing.Binding{Source: "x", Destination: "q", Key: "k"}, func(string) error { return refused })
			return err
		}, ""},
		{"unbind default", unbound(routing.Binding{Source: "", Destination: "q"}), "ACCESS_REFUSED - operation not permitted on the default exchange"},
		{"unbind nothing", unbound(routing.Binding{Source: "nix", Destination: "nix"}), ""},
		{"delete default", deleted("", false), "ACCESS_REFUSED - operation not permitted on the default exchange"},
		{"delete predeclared", deleted("amq.topic", false), "ACCESS_REFUSED - deletion of system exchange 'amq.topic" + vhost + " not allowed"},
		{"delete nothing", deleted("nix", true), ""},
		{"delete what is in use", deleted("x", true), "PRECONDITION_FAILED - exchange 'x" + vhost + " in use"},
		{"publish to nothing", func() error { return base.Publishable("nix") }, "NOT_FOUND - no exchange 'nix" + vhost},
		{"publish to internal", func() error { return base.Publishable("amq.rabbitmq.trace") }, "ACCESS_REFUSED - cannot publish to internal exchange 'amq.rabbitmq.trace" + vhost},
		{"publish", func() error { return base.Publishable("") }, ""},
	} {
		got := ""
		if err := tt.do(); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s:\ngot  %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

func TestRoute(t *testing.T) {
	tb := queues("a", "b", "c")
	for _, x := range []routing.Exchange{
		{Name: "d", Type: routing.Direct},
		{Name: "f", Type: routing.Fanout},
		{Name: "loop", Type: routing.Fanout, Internal: true},
		{Name: "alt", Type: routing.Direct, Args: wire.Table{"alternate-exchange": "f"}},
		{Name: "toDefault", Type: routing.Direct, Args: wire.Table{"alternate-exchange": ""}},
		{Name: "toNothing", Type: routing.Topic, Args: wire.Table{"alternate-exchange": "nix"}},
	} {
		tb = declare(t, tb, x)
	}
	for _, b := range []routing.Binding{
		{Source: "d", Destination: "a", Key: "k"},
		{Source: "d", Destination: "a", Key: "k", Args: wire.Table{"x": "y"}},
		{Source: "d", Destination: "b", Key: "k2"},
		{Source: "f", Destination: "a"},
		{Source: "f", Destination: "b", Key: "ignored"},
		{Source: "f", Destination: "loop", ToExchange: true},
		{Source: "loop", Destination: "f", ToExchange: true},
		{Source: "loop", Destination: "loop", ToExchange: true},
		{Source: "loop", Destination: "b"},
		{Source: "loop", Destination: "c"},
		{Source: "alt", Destination: "c", Key: "k"},
	} {
		tb = bind(t, tb, b)
	}
	for _, tt := range []struct {
		m    routing.Message
		want string
	}{
		{routing.Message{Key: "a"}, "a"},
		{routing.Message{Key: "a", More: []string{"b", "a", "nix"}}, "a b"},
		{routing.Message{Key: "nix"}, ""},
		{routing.Message{Exchange: "nix"}, "no exchange"},
		{routing.Message{Exchange: "d", Key: "k"}, "a"},
		{routing.Message{Exchange: "d", Key: "K"}, ""},
		{routing.Message{Exchange: "d", Key: "k", More: []string{"k", "k2"}}, "a b"},
		{routing.Message{Exchange: "f", Key: "any"}, "a b c"},
		{routing.Message{Exchange: "loop"}, "a b c"},
		{routing.Message{Exchange: "alt", Key: "k"}, "c"},
		{routing.Message{Exchange: "alt", Key: "other"}, "a b c"},
		{routing.Message{Exchange: "alt", Key: "other", More: []string{"k"}}, "c"},
		{routing.Message{Exchange: "toDefault", Key: "a"}, ""},
		{routing.Message{Exchange: "toNothing", Key: "a"}, ""},
	} {
		if got := route(tb, tt.m); got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.m, got, tt.want)
		}
	}
	// One of two bindings of the same key goes: the other one still counts.
	tb, _, _ = tb.Unbind(routing.Binding{Source: "d", Destination: "a", Key: "k"}, nil)
	if got := route(tb, routing.Message{Exchange: "d", Key: "k"}); got != "a" {
		t.Errorf("after Unbind: got %q, want a", got)
	}
	if got, _ := tb.Route([]string{"a"}, routing.Message{Exchange: "f"}); len(got) != 4 {
		t.Errorf("got %v, want three queues after what was there", got)
	}
}

func TestRouteToManyQueues(t *testing.T) {
	tb := declare(t, routing.New[string](), routing.Exchange{Name: "second", Type: routing.Fanout})
	for i := range 500 {
		name := fmt.Sprint("q", i)
		tb = tb.AddQueue(name, name, false)
		tb = bind(t, tb, routing.Binding{Source: "amq.fanout", Destination: name})
		if i%2 == 0 {
			tb = bind(t, tb, routing.Binding{Source: "second", Destination: name})
		}
	}
	tb = tb.AddQueue("last", "last", false)
	tb = bind(t, tb, routing.Binding{Source: "second", Destination: "last"})
	tb = bind(t, tb, routing.Binding{Source: "amq.fanout", Destination: "second", ToExchange: true})
	got, _ := tb.Route(nil, routing.Message{Exchange: "amq.fanout"})
	slices.Sort(got)
	if len(got) != 501 || len(slices.Compact(got)) != 501 {
		t.Errorf("got %d queues, want 501 different ones", len(got))
	}
}

func TestDeleting(t *testing.T) {
	tb := queues("q")
	for _, name := range []string{"a1", "a2", "a3"} {
		tb = declare(t, tb, routing.Exchange{Name: name, Type: routing.Fanout, AutoDelete: true, Durable: true})
	}
	tb = declare(t, tb, routing.Exchange{Name: "x", Type: routing.Fanout, Durable: true})
	tb = declare(t, tb, routing.Exchange{Name: "transient", Type: routing.Fanout})
	chain := []routing.Binding{
		{Source: "a1", Destination: "a2", ToExchange: true, Durable: true},
		{Source: "a2", Destination: "a3", ToExchange: true, Durable: true},
		{Source: "a3", Destination: "q", Durable: true},
		{Source: "x", Destination: "q", Durable: true},
		{Source: "transient", Destination: "q"},
	}
	for _, b := range chain {
		tb = bind(t, tb, b)
	}
	check := func(name string, got *table, change routing.Change, unbound []routing.Binding, deleted ...string) {
		t.Helper()
		var names []string
		for _, x := range change.Deleted {
			names = append(names, x.Name)
		}
		if !slices.Equal(names, deleted) {
			t.Errorf("%s: deleted %v, want %v", name, names, deleted)
		}
		byText := func(a, b routing.Binding) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) }
		slices.SortFunc(change.Unbound, byText)
		want := slices.SortedFunc(slices.Values(unbound), byText)
		if diff := cmp.Diff(want, change.Unbound); diff != "" {
			t.Errorf("%s: unbound (-want +got):\n%s", name, diff)
		}
		for x := range got.Exchanges() {
			for b := range got.Bindings(x.Name) {
				if slices.ContainsFunc(unbound, func(u routing.Binding) bool { return cmp.Equal(u, b) }) {
					t.Errorf("%s: %v is still there", name, b)
				}
			}
		}
	}
	got, change := tb.DeleteQueue("q")
	check("queue", got, change, chain, "a3", "a2", "a1")
	if got.QueueCount() != 0 || route(got, routing.Message{Key: "q"}) != "" {
		t.Error("the queue is still there")
	}
	got, change, err := tb.DeleteExchange("a3", false)
	if err != nil {
		t.Error(err)
	}
	check("exchange", got, change, chain[:3], "a3", "a2", "a1")
	got, change, err = tb.Unbind(chain[1], nil)
	if err != nil {
		t.Error(err)
	}
	check("unbind", got, change, chain[:2], "a2", "a1")
	if got, change := tb.DeleteQueue("nix"); got != tb || change.Unbound != nil {
		t.Errorf("a queue that is not there: %v", change)
	}
	// What was made of a table has not changed it.
	if n := len(slices.Collect(tb.BindingsTo("q"))); n != 3 {
		t.Errorf("the first table has %d bindings to q, want 3", n)
	}
}

// Each binding is at both ends or at none, and what was added is there.
func TestBothEndsAgree(t *testing.T) {
	exchanges := []string{"d", "f", "t", "h"}
	types := []string{routing.Direct, routing.Fanout, routing.Topic, routing.Headers}
	rapid.Check(t, func(t *rapid.T) {
		tb := routing.New[string]()
		all := map[string]bool{}
		text := func(b routing.Binding) string {
			return fmt.Sprint(b.Source, b.Destination, b.ToExchange, b.Key, b.Args)
		}
		gone := func(c routing.Change) {
			for _, b := range c.Unbound {
				if !all[text(b)] {
					t.Fatalf("%v is unbound, and was not bound", b)
				}
				delete(all, text(b))
			}
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			x := rapid.IntRange(0, 3).Draw(t, "exchange")
			q := rapid.SampledFrom([]string{"p", "q"}).Draw(t, "queue")
			b := routing.Binding{Source: exchanges[x], Destination: q, Key: rapid.SampledFrom([]string{"", "k"}).Draw(t, "key")}
			if rapid.Bool().Draw(t, "to exchange") {
				b.Destination, b.ToExchange = rapid.SampledFrom(exchanges).Draw(t, "destination"), true
			}
			if rapid.Bool().Draw(t, "args") {
				b.Args = wire.Table{"a": int32(1)}
			}
			var change routing.Change
			switch rapid.IntRange(0, 6).Draw(t, "step") {
			case 0:
				tb, change, _ = tb.DeleteExchange(exchanges[x], rapid.Bool().Draw(t, "if unused"))
			case 1:
				tb, change = tb.DeleteQueue(q)
			case 2:
				tb, change, _ = tb.Unbind(b, nil)
			case 3:
				tb, _, _ = tb.Declare(routing.Exchange{Name: exchanges[x], Type: types[x], AutoDelete: x%2 == 0})
			case 4:
				if _, ok := tb.Queue(q); !ok {
					tb = tb.AddQueue(q, q, true)
				}
			default:
				var added bool
				if tb, added, _ = tb.Bind(b, nil); added {
					all[text(b)] = true
				}
			}
			gone(change)
		}
		got := map[string]bool{}
		for x := range tb.Exchanges() {
			for b := range tb.Bindings(x.Name) {
				got[text(b)] = true
			}
		}
		if !maps.Equal(got, all) {
			t.Fatalf("got %v, want %v", got, all)
		}
		for _, q := range []string{"p", "q"} {
			for b := range tb.BindingsTo(q) {
				if !all[text(b)] {
					t.Fatalf("queue %s has %v", q, b)
				}
			}
			tb, _ = tb.DeleteQueue(q)
		}
		for _, x := range exchanges {
			tb, _, _ = tb.DeleteExchange(x, false)
		}
		for x := range tb.Exchanges() {
			for b := range tb.Bindings(x.Name) {
				t.Fatalf("left: %v", b)
			}
		}
	})
}
