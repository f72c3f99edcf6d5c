package routing_test

import (
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/routing"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

func TestHeaders(t *testing.T) {
	for _, tt := range []struct {
		name    string
		args    wire.Table
		headers wire.Table
		want    bool
	}{
		{"nothing, all", nil, wire.Table{"a": "1"}, true},
		{"nothing, any", wire.Table{"x-match": "any"}, wire.Table{"a": "1"}, false},
		{"all", wire.Table{"x-match": "all", "a": "1", "b": "2"}, wire.Table{"a": "1", "b": "2", "c": "3"}, true},
		{"not all", wire.Table{"x-match": "all", "a": "1", "b": "2"}, wire.Table{"a": "1"}, false},
		{"all by default", wire.Table{"a": "1", "b": "2"}, wire.Table{"a": "1", "b": "3"}, false},
		{"any", wire.Table{"x-match": "any", "a": "1", "b": "2"}, wire.Table{"b": "2"}, true},
		{"not any", wire.Table{"x-match": "any", "a": "1", "b": "2"}, wire.Table{"a": "2", "b": "1"}, false},
		{"no headers", wire.Table{"a": "1"}, nil, false},
		{"x- does not count", wire.Table{"a": "1", "x-b": "2"}, wire.Table{"a": "1"}, true},
		{"only x-, any", wire.Table{"x-match": "any", "x-b": "2"}, wire.Table{"x-b": "2"}, false},
		{"all-with-x", wire.Table{"x-match": "all-with-x", "a": "1", "x-b": "2"}, wire.Table{"a": "1"}, false},
		{"all-with-x", wire.Table{"x-match": "all-with-x", "a": "1", "x-b": "2"}, wire.Table{"a": "1", "x-b": "2"}, true},
		{"any-with-x", wire.Table{"x-match": "any-with-x", "a": "1", "x-b": "2"}, wire.Table{"x-b": "2"}, true},
		{"void", wire.Table{"a": nil}, wire.Table{"a": int32(5)}, true},
		{"void needs the header", wire.Table{"a": nil}, wire.Table{"b": int32(5)}, false},
		{"header void", wire.Table{"a": "1"}, wire.Table{"a": nil}, false},
		{"integers", wire.Table{"a": int32(5)}, wire.Table{"a": int64(5)}, true},
		{"integer and float", wire.Table{"a": int32(5)}, wire.Table{"a": 5.0}, true},
		{"integer and other float", wire.Table{"a": int64(1<<53 + 1)}, wire.Table{"a": float64(1 << 53)}, false},
		{"large float", wire.Table{"a": int64(1<<63 - 1)}, wire.Table{"a": float64(1 << 63)}, false},
		{"floats", wire.Table{"a": float32(0.5)}, wire.Table{"a": 0.5}, true},
		{"time and integer", wire.Table{"a": time.Unix(5, 0).UTC()}, wire.Table{"a": int32(5)}, true},
		{"string and integer", wire.Table{"a": "5"}, wire.Table{"a": int32(5)}, false},
		{"string and binary", wire.Table{"a": "5"}, wire.Table{"a": []byte("5")}, true},
		{"tables", wire.Table{"a": wire.Table{"b": "c"}}, wire.Table{"a": wire.Table{"b": "c"}}, true},
	} {
		tb := bind(t, queues("q"), routing.Binding{Source: "amq.headers", Destination: "q", Args: tt.args})
		headers, err := wire.AppendTable(nil, tt.headers)
		if err != nil {
			t.Fatal(err)
		}
		if got := route(tb, routing.Message{Exchange: "amq.headers", Headers: headers}) == "q"; got != tt.want {
			t.Errorf("%s: %v with %v: got %v, want %v", tt.name, tt.args, tt.headers, got, tt.want)
		}
		// Two bindings: each is its own.
		tb = bind(t, tb.AddQueue("r", "r", false), routing.Binding{Source: "amq.headers", Destination: "r", Args: wire.Table{"other": "z"}})
		tb, _, _ = tb.Unbind(routing.Binding{Source: "amq.headers", Destination: "q", Args: tt.args}, nil)
		if got := route(tb, routing.Message{Exchange: "amq.headers", Headers: headers}); got != "" {
			t.Errorf("%s: after Unbind: got %q", tt.name, got)
		}
	}
}

func TestKeys(t *testing.T) {
	fields := func(h wire.Table) []byte {
		b, err := wire.AppendTable(nil, h)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	cc, bcc, err := routing.Keys(fields(wire.Table{"CC": []any{"a", int32(5), "b"}, "BCC": []any{"c"}}))
	if err != nil || len(cc) != 2 || cc[1] != "b" || len(bcc) != 1 || bcc[0] != "c" {
		t.Errorf("got %v %v %v", cc, bcc, err)
	}
	if cc, bcc, err = routing.Keys(nil); cc != nil || bcc != nil || err != nil {
		t.Errorf("no headers: got %v %v %v", cc, bcc, err)
	}
	_, _, err = routing.Keys(fields(wire.Table{"BCC": "a"}))
	want := `PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"BCC",longstr}`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
