package amqp

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp091 "github.com/rabbitmq/amqp091-go"
	"pgregory.net/rapid"
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
	} {
		if got, err := toTable(m); err == nil {
			t.Errorf("%s: got %v and no error", name, got)
		}
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
