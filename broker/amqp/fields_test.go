package amqp_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp091 "github.com/rabbitmq/amqp091-go"
	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/broker/amqp"
)

// fields are header tables with every type that amqp091-go reads.
func fields() *rapid.Generator[map[string]any] {
	leaf := rapid.OneOf(
		rapid.String().AsAny(), rapid.SampledFrom([]string{"\xff", "base64:", "base64:YQ=="}).AsAny(), rapid.Bool().AsAny(), rapid.Just(any(nil)),
		rapid.Int8().AsAny(), rapid.Uint8().AsAny(), rapid.Int16().AsAny(), rapid.Uint16().AsAny(), rapid.Int32().AsAny(), rapid.Uint32().AsAny(), rapid.Int64().AsAny(),
		rapid.Float32().AsAny(), rapid.Float64().AsAny(), rapid.SliceOf(rapid.Byte()).AsAny(),
		rapid.SampledFrom([]any{math.Inf(1), math.Inf(-1), float32(math.Inf(-1)), math.MaxFloat64, float32(math.SmallestNonzeroFloat32), int64(math.MaxInt64), int64(math.MinInt64)}),
		rapid.Custom(func(t *rapid.T) any { return time.Unix(rapid.Int64Range(0, 1<<37).Draw(t, "s"), 0).UTC() }),
		rapid.Custom(func(t *rapid.T) any {
			return amqp091.Decimal{Scale: rapid.Uint8().Draw(t, "scale"), Value: rapid.Int32().Draw(t, "value")}
		}),
	)
	names := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"int32", "table", "\xfe", "base64:x"}))
	value := leaf
	for range 4 {
		inner := value
		value = rapid.OneOf(leaf, rapid.MapOfN(names, inner, 0, 3).AsAny(), rapid.SliceOfN(inner, 0, 3).AsAny())
	}
	return rapid.MapOfN(names, value, 0, 6)
}

// TestHeadersJSON: what is written is read back with its types, also after another
// program has formatted the file.
func TestHeadersJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := fields().Draw(t, "headers")
		text, err := amqp.HeadersToJSON(want)
		if err != nil {
			t.Fatal(err)
		}
		pretty, err := json.MarshalIndent(text, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []json.RawMessage{text, pretty} {
			got, err := amqp.HeadersFromJSON(text)
			if err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s\n-want +got:\n%s", text, diff)
			}
		}
	})
}

func TestHeadersJSONForm(t *testing.T) {
	text, err := amqp.HeadersToJSON(map[string]any{"a": int32(5), "b": "<x>", "c": []any{nil, true, math.NaN()}, "d": map[string]any{"k": []byte{255}}})
	if want := `{"a":{"int32":5},"b":"<x>","c":[null,true,{"double":"NaN"}],"d":{"table":{"k":{"bytes":"/w=="}}}}`; err != nil || string(text) != want {
		t.Errorf("got %s, %v\nwant %s", text, err, want)
	}
	got, err := amqp.HeadersFromJSON(json.RawMessage(`{"n": 5, "large": 5000000000, "half": 0.5}`))
	if diff := cmp.Diff(map[string]any{"n": int32(5), "large": int64(5_000_000_000), "half": 0.5}, got); diff != "" || err != nil {
		t.Errorf("by hand: %v\n%s", err, diff)
	}
	if _, err := amqp.HeadersToJSON(map[string]any{"a": []any{struct{}{}}}); err == nil || !strings.Contains(err.Error(), `"a": [0]`) {
		t.Errorf("no type: got %v", err)
	}
	for _, bad := range []string{
		`[]`, `{`, `{"a": {}}`, `{"a": {"int32": 1, "int64": 2}}`, `{"a": {"int8": 128}}`, `{"a": {"uint8": -1}}`, `{"a": {"int": 1}}`, `{"a": {"table": []}}`,
		`{"a": {"time": "noon"}}`, `{"a": {"bytes": "!"}}`, `{"a": "base64:!"}`, `{"base64:!": 1}`, `{"a": {"decimal": "1"}}`, `{"a": [{"float": "x"}]}`, `{"a": {"int32": null}}`,
	} {
		if got, err := amqp.HeadersFromJSON(json.RawMessage(bad)); err == nil {
			t.Errorf("%s: got %v", bad, got)
		}
	}
}
