package wire

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Equal reports whether two values of tables are equivalent as arguments, by
// RabbitMQ's rule: integers of any width and sign are compared by value, so are
// times (as seconds), floats by value, and a binary with a string byte by byte.
// In tables and arrays the types must be the same as well.
func Equal(a, b any) bool {
	return same(normal(a), normal(b))
}

// normal returns the value as Erlang has it after parsing: types of which the
// values do not differ there become one.
func normal(v any) any {
	switch v := v.(type) {
	case int8:
		return int64(v)
	case uint8:
		return int64(v)
	case int16:
		return int64(v)
	case uint16:
		return int64(v)
	case int32:
		return int64(v)
	case uint32:
		return int64(v)
	case float32:
		return float64(v)
	case time.Time:
		return v.Unix()
	case []byte:
		return string(v)
	}
	return v
}

func same(a, b any) bool {
	switch a := a.(type) {
	case []byte:
		b, ok := b.([]byte)
		return ok && bytes.Equal(a, b)
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, same)
	case Table:
		b, ok := b.(Table)
		if !ok || len(a) != len(b) {
			return false
		}
		for name, v := range a {
			if w, ok := b[name]; !ok || !same(v, w) {
				return false
			}
		}
		return true
	}
	switch b.(type) {
	case []byte, []any, Table:
		return false // not comparable with ==
	}
	return a == b
}

// TypeName returns RabbitMQ's name of the type of a value in a table: "longstr",
// "signedint"; "" of a type that Table does not allow.
func TypeName(v any) string {
	switch v.(type) {
	case nil:
		return "void"
	case bool:
		return "bool"
	case string:
		return "longstr"
	case []byte:
		return "binary"
	case time.Time:
		return "timestamp"
	case Decimal:
		return "decimal"
	case Table:
		return "table"
	case []any:
		return "array"
	}
	return numberName(v)
}

func numberName(v any) string {
	switch v.(type) {
	case int8:
		return "byte"
	case uint8:
		return "unsignedbyte"
	case int16:
		return "short"
	case uint16:
		return "unsignedshort"
	case int32:
		return "signedint"
	case uint32:
		return "unsignedint"
	case int64:
		return "long"
	case float32:
		return "float"
	case float64:
		return "double"
	}
	return ""
}

// Describe returns a field as RabbitMQ does in "inequivalent arg 'x-expires' for
// queue 'q' in vhost '/': received the value '10' of type 'signedint' but current
// is none".
func (t Table) Describe(name string) string {
	v, ok := t[name]
	if !ok {
		return "none"
	}
	return fmt.Sprintf("the value '%s' of type '%s'", erlang(v), TypeName(v))
}

// erlang writes a value as io:format does with ~p, strings with ~s.
func erlang(v any) string {
	switch v := v.(type) {
	case nil:
		return "undefined"
	case float32:
		return erlangFloat(float64(v))
	case float64:
		return erlangFloat(v)
	case time.Time:
		return strconv.FormatUint(uint64(v.Unix()), 10)
	case Decimal:
		return fmt.Sprintf("{%d,%d}", v.Scale, uint32(v.Value))
	case []byte:
		return string(v)
	}
	return fmt.Sprint(v)
}

// erlangFloat has a decimal point always: 1.0, 1.0e10.
func erlangFloat(f float64) string {
	s := strconv.FormatFloat(f, 'g', -1, 64)
	mantissa, exponent, ok := strings.Cut(s, "e")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	if !ok {
		return mantissa
	}
	return mantissa + "e" + strings.TrimPrefix(exponent, "+")
}
