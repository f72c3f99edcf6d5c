package wire_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// TestTables goes through testdata/tables: the input of each case is text in
// quotes and bytes in hex, as in `01 "k" "I" 00000005`.
func TestTables(t *testing.T) {
	datadriven.RunTest(t, "testdata/tables", func(t *testing.T, d *datadriven.TestData) string {
		fields, err := bytesOf(d.Input)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		table, err := wire.ParseTable(fields)
		if err != nil {
			if !asSyntax(err) {
				t.Errorf("%s: %T", d.Pos, err)
			}
			return err.Error() + "\n"
		}
		out := show(table) + "\n"
		again, err := wire.AppendTable(nil, table)
		if err != nil {
			return out + err.Error() + "\n"
		}
		if !bytes.Equal(again, fields) {
			out += "written as " + hex.EncodeToString(again) + "\n"
		}
		return out
	})
}

// show writes a value with its type.
func show(v any) string {
	var parts []string
	switch v := v.(type) {
	case wire.Table:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, name+": "+show(v[name]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case []any:
		for _, e := range v {
			parts = append(parts, show(e))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case time.Time:
		return v.Format("timestamp 2006-01-02 15:04:05 MST")
	}
	return fmt.Sprintf("%s %v", wire.TypeName(v), v)
}

func bytesOf(input string) ([]byte, error) {
	var b []byte
	for word := range strings.FieldsSeq(input) {
		if text, ok := strings.CutPrefix(word, `"`); ok {
			b = append(b, strings.TrimSuffix(text, `"`)...)
			continue
		}
		raw, err := hex.DecodeString(word)
		if err != nil {
			return nil, err
		}
		b = append(b, raw...)
	}
	return b, nil
}

func TestTablesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := tables(4).Draw(t, "table")
		fields, err := wire.AppendTable(nil, want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := wire.ParseTable(fields)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, sameValues); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		for name, v := range want {
			found, ok := wire.FindField(fields, name)
			if !ok || !cmp.Equal(v, found, sameValues) {
				t.Fatalf("FindField(%q): %v, %v, want %v", name, found, ok, v)
			}
		}
		if v, ok := wire.FindField(fields, "not there"); ok != (want["not there"] != nil) {
			t.Fatalf("FindField of nothing: %v", v)
		}
	})
}

// nested returns the fields of a table with depth tables in one another.
func nested(depth int) []byte {
	var fields []byte
	for inner := depth - 2; inner >= 0; inner-- {
		fields = append(fields, 1, 'k', 'F')
		fields = binary.BigEndian.AppendUint32(fields, uint32(7*inner)) // what one level takes
	}
	return fields
}

func TestTableDepth(t *testing.T) {
	table, err := wire.ParseTable(nested(wire.MaxTableDepth))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wire.AppendTable(nil, table); err != nil {
		t.Error(err)
	}
	if _, err := wire.AppendTable(nil, wire.Table{"one more": []any{table}}); err == nil {
		t.Error("a table that could not be read was written")
	}
	for _, depth := range []int{wire.MaxTableDepth + 1, 1000, 10000} {
		if _, err := wire.ParseTable(nested(depth)); !asSyntax(err) {
			t.Errorf("depth %d: %v", depth, err)
		}
	}
	cycle := wire.Table{}
	cycle["me"] = []any{cycle}
	if _, err := wire.AppendTable(nil, cycle); err == nil {
		t.Error("a table that contains itself was written")
	}
}

// voids is an array of n voids in a table, the cheapest elements there are.
func voids(n int) []byte {
	fields := binary.BigEndian.AppendUint32([]byte{1, 'a', 'A'}, uint32(n))
	return append(fields, bytes.Repeat([]byte{'V'}, n)...)
}

func TestTableFields(t *testing.T) {
	if _, err := wire.ParseTable(voids(wire.MaxTableFields - 1)); err != nil { // the array is a field, too
		t.Error(err)
	}
	if _, err := wire.ParseTable(voids(wire.MaxTableFields)); !asSyntax(err) {
		t.Errorf("%d fields: %v", wire.MaxTableFields+1, err)
	}
}

// TestTableMemory: what a peer sends grows by a small factor only, and what is
// refused takes none.
func TestTableMemory(t *testing.T) {
	oneFieldTables := []byte{}
	for len(oneFieldTables) < 28000 {
		oneFieldTables = append(oneFieldTables, 'F', 0, 0, 0, 2, 0, 'V')
	}
	inputs := map[string][]byte{
		"voids":            voids(wire.MaxTableFields - 1),
		"too many voids":   voids(120000),
		"too deep":         nested(10000),
		"one-field tables": append(binary.BigEndian.AppendUint32([]byte{0, 'A'}, uint32(len(oneFieldTables))), oneFieldTables...),
	}
	for name, fields := range inputs {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			table, err := wire.ParseTable(fields)
			runtime.ReadMemStats(&after)
			limit := uint64(96 * len(fields))
			if err != nil {
				limit = 4096
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > limit {
				t.Errorf("%d bytes took %d bytes, limit %d", len(fields), took, limit)
			}
			runtime.KeepAlive(table)
		})
	}
}

func TestAppendTableErrors(t *testing.T) {
	for _, tt := range []struct {
		table wire.Table
		want  string
	}{
		{wire.Table{"n": 5}, `wire: field "n": a table cannot hold a int`},
		{wire.Table{"n": uint64(5)}, `wire: field "n": a table cannot hold a uint64`},
		{wire.Table{"m": wire.Table{"n": []any{map[string]any{}}}}, `wire: field "m": field "n": a table cannot hold a map[string]interface {}`},
		{wire.Table{strings.Repeat("x", 256): true}, "wire: the name of a field has 256 bytes"},
	} {
		b, err := wire.AppendTable([]byte("x"), tt.table)
		if err == nil || err.Error() != tt.want || b != nil {
			t.Errorf("%v: %q, %v, want %q", tt.table, b, err, tt.want)
		}
	}
}

func TestParsedTableSharesNothing(t *testing.T) {
	want := wire.Table{"s": "text", "x": []byte("bytes"), "t": wire.Table{"k": "v"}}
	fields, err := wire.AppendTable(nil, want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := wire.ParseTable(fields)
	if err != nil {
		t.Fatal(err)
	}
	clear(fields)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEqual(t *testing.T) {
	at := time.Unix(60, 0)
	equal := [][2]any{
		{int32(5), int64(5)},
		{uint8(5), int16(5)},
		{int8(-1), int64(-1)},
		{uint32(7), uint16(7)},
		{float32(0.5), 0.5},
		{"x", []byte("x")},
		{at, at.UTC()},
		{at, int32(60)},
		{nil, nil},
		{true, true},
		{wire.Decimal{Scale: 2, Value: 5}, wire.Decimal{Scale: 2, Value: 5}},
		{[]any{int32(1), []byte("b")}, []any{int32(1), []byte("b")}},
		{wire.Table{"k": wire.Table{"l": nil}}, wire.Table{"k": wire.Table{"l": nil}}},
	}
	different := [][2]any{
		{int32(5), int32(6)},
		{int32(1), 1.0},
		{int32(1), true},
		{int32(1), "1"},
		{nil, false},
		{"", nil},
		{wire.Decimal{Value: 5}, int32(5)},
		{[]any{int32(1)}, []any{int64(1)}},
		{[]any{int32(1)}, []any{int32(1), int32(1)}},
		{wire.Table{"k": "v"}, wire.Table{"k": []byte("v")}},
		{wire.Table{"k": []byte("v")}, wire.Table{"k": "v"}},
		{wire.Table{"k": nil}, wire.Table{"l": nil}},
		{wire.Table{"k": nil}, wire.Table{}},
		{wire.Table{}, "table"},
		{"array", []any{}},
		{[]any{[]byte("v")}, []any{wire.Table{}}},
	}
	check := func(pairs [][2]any, want bool) {
		for _, p := range pairs {
			if wire.Equal(p[0], p[1]) != want || wire.Equal(p[1], p[0]) != want {
				t.Errorf("Equal(%#v, %#v) is not %v", p[0], p[1], want)
			}
		}
	}
	check(equal, true)
	check(different, false)
}

func TestInequivalence(t *testing.T) {
	for _, tt := range []struct {
		name           string
		current, given wire.Table
		want           string
	}{
		{"k", wire.Table{"k": int32(5)}, wire.Table{"k": int64(5)}, ""},
		{"k", wire.Table{"other": true}, nil, ""},
		{"k", wire.Table{"k": int32(5)}, wire.Table{"k": int64(6)}, "received '6' but current is '5'"},
		{"k", wire.Table{"k": nil}, wire.Table{"k": "v"}, "received 'v' but current is none"},
		{"k", nil, wire.Table{"k": int16(5)}, "received the value '5' of type 'short' but current is none"},
		{"k", wire.Table{"k": []byte("b")}, nil, "received none but current is the value 'b' of type 'binary'"},
		{"k", nil, wire.Table{"k": nil}, "received the value 'undefined' of type 'void' but current is none"},
		{"k", nil, wire.Table{"k": wire.Decimal{Scale: 2, Value: -1}}, "received the value '{2,4294967295}' of type 'decimal' but current is none"},
		{"k", nil, wire.Table{"k": 1e22}, "received the value '1.0e22' of type 'double' but current is none"},
		{"k", wire.Table{"k": "classic"}, nil, "received none but current is the value 'classic' of type 'longstr'"},
		{"x-queue-type", wire.Table{"x-queue-type": "classic"}, nil, ""},
		{"x-queue-type", nil, wire.Table{"x-queue-type": "classic"}, ""},
		{"x-queue-type", nil, wire.Table{"x-queue-type": "quorum"}, "received the value 'quorum' of type 'longstr' but current is none"},
	} {
		if got := wire.Inequivalence(tt.name, tt.current, tt.given); got != tt.want {
			t.Errorf("%v, %v: got %q, want %q", tt.current, tt.given, got, tt.want)
		}
	}
}

func TestTypeName(t *testing.T) {
	for want, v := range map[string]any{
		"void": nil, "bool": true, "longstr": "", "binary": []byte{}, "timestamp": time.Time{}, "decimal": wire.Decimal{},
		"byte": int8(0), "unsignedbyte": uint8(0), "short": int16(0), "unsignedshort": uint16(0),
		"signedint": int32(0), "unsignedint": uint32(0), "long": int64(0), "float": float32(0), "double": 0.0,
		"table": wire.Table{}, "array": []any{}, "": 5,
	} {
		if got := wire.TypeName(v); got != want {
			t.Errorf("TypeName(%T) = %q, want %q", v, got, want)
		}
	}
}
