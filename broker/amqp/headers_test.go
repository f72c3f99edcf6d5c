package amqp

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp091 "github.com/rabbitmq/amqp091-go"
	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/broker"
)

func TestToTable(t *testing.T) {
	when := time.Unix(5, 0)
	got, err := toTable(map[string]any{
		"int": 7, "large int": math.MaxInt32 + 1, "uint": uint(7), "large uint": uint64(math.MaxInt64),
		"strings": []string{"a", "b"}, "table": map[string]any{"t": amqp091.Table{"x": nil}},
		"list": []any{1, map[string]any{"y": true}}, "time": when, "bytes": []byte("b"),
	})
	want := amqp091.Table{
		"int": int32(7), "large int": int64(math.MaxInt32 + 1), "uint": int32(7), "large uint": int64(math.MaxInt64),
		"strings": []any{"a", "b"}, "table": amqp091.Table{"t": amqp091.Table{"x": nil}},
		"list": []any{int32(1), amqp091.Table{"y": true}}, "time": when, "bytes": []byte("b"),
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v, table (-want +got):\n%s", err, diff)
	}
	if err := got.Validate(); err != nil {
		t.Errorf("the library refuses it: %v", err)
	}
}

func TestToTableRefuses(t *testing.T) {
	cycle := map[string]any{}
	cycle["self"] = cycle
	list := []any{nil}
	list[0] = list
	for name, m := range map[string]map[string]any{
		"a function":        {"f": func() {}},
		"a pointer":         {"p": new(int)},
		"deep inside":       {"a": []any{map[string]any{"c": make(chan int)}}},
		"too large":         {"u": uint64(math.MaxUint64)},
		"a long key":        {strings.Repeat("k", 256): 1},
		"too many bytes":    {"s": strings.Repeat("s", maxTableBytes)},
		"a table in itself": cycle,
		"a list in itself":  {"l": list},
		"a long list":       {"l": make([]any, maxElements+1)},
	} {
		if got, err := toTable(m); err == nil {
			t.Errorf("%s: got %v and no error", name, got)
		}
	}
}

// TestInvalid: what makes a publication impossible to send is ErrInvalid, before
// anything is dialled or sent; nothing else is.
func TestInvalid(t *testing.T) {
	long, nested := strings.Repeat("x", maxShort+1), map[string]any{}
	for range maxDepth + 1 {
		nested = map[string]any{"n": nested}
	}
	headers := func(v any) broker.Publication {
		return broker.Publication{Properties: broker.Properties{Headers: map[string]any{"h": v}}}
	}
	for name, c := range map[string]struct {
		p    broker.Publication
		want string // "" is: not invalid
	}{
		"good":              {headers("x"), ""},
		"large headers":     {headers(strings.Repeat("x", 100<<10)), "bytes are too many, at most 98304"},
		"nested headers":    {headers(nested), "nested deeper than 32"},
		"a long list":       {headers(make([]any, maxElements+1)), "more than 8192 elements"},
		"no such type":      {headers(struct{}{}), "AMQP has no type for a struct {}"},
		"number too large":  {headers(uint64(math.MaxUint64)), "does not fit 64 bits with a sign"},
		"long header name":  {broker.Publication{Properties: broker.Properties{Headers: map[string]any{long: 1}}}, "key of 256 bytes"},
		"long key":          {broker.Publication{RoutingKey: long}, "RoutingKey of 256 bytes"},
		"long exchange":     {broker.Publication{Exchange: long}, "Exchange of 256 bytes"},
		"long type":         {broker.Publication{Properties: broker.Properties{Type: long}}, "Type of 256 bytes"},
		"long message id":   {broker.Publication{Properties: broker.Properties{MessageID: long}}, "MessageID of 256 bytes"},
		"long content type": {broker.Publication{Properties: broker.Properties{ContentType: long}}, "ContentType of 256 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			s := &session{d: Dialer{URL: "amqp://127.0.0.1:1"}.withDefaults()}
			s.pub = newPublisher(s)
			err := s.Publish(ended, &c.p, func(error) { t.Error("done was called") })
			switch {
			case err == nil:
				t.Error("got no error from a session that cannot dial")
			case errors.Is(err, broker.ErrInvalid) != (c.want != ""), !strings.Contains(err.Error(), c.want):
				t.Errorf("got %v, want ErrInvalid with %q", err, c.want)
			}
		})
	}
}

// TestTableRoundTrip: what toTable accepts and the wire keeps comes back from
// fromTable as map[string]any at every level.
func TestTableRoundTrip(t *testing.T) {
	leaf := rapid.OneOf(
		rapid.Int32().AsAny(), rapid.Int64().AsAny(), rapid.Bool().AsAny(), rapid.String().AsAny(),
		rapid.Float64Range(-1e9, 1e9).AsAny(), rapid.SliceOf(rapid.Byte()).AsAny(),
	)
	var field func(depth int) *rapid.Generator[any]
	field = func(depth int) *rapid.Generator[any] {
		if depth == 0 {
			return leaf
		}
		inner := rapid.Deferred(func() *rapid.Generator[any] { return field(depth - 1) })
		return rapid.OneOf(leaf,
			rapid.SliceOfN(inner, 0, 3).AsAny(),
			rapid.MapOfN(rapid.StringN(0, 20, 60), inner, 0, 3).AsAny())
	}
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.MapOfN(rapid.StringN(0, 20, 60), field(3), 1, 5).Draw(t, "headers")
		table, err := toTable(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := table.Validate(); err != nil {
			t.Fatalf("the library refuses %v: %v", table, err)
		}
		if diff := cmp.Diff(m, fromTable(table)); diff != "" {
			t.Fatalf("headers (-want +got):\n%s", diff)
		}
	})
}
