package wire

import (
	"bytes"
	"fmt"
	"math"
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

// Integer returns the value of an integer of any of the types that a Table has, and
// false for what is none.
func Integer(v any) (int64, bool) {
	switch v := v.(type) {
	case int8:
		return int64(v), true
	case uint8:
		return int64(v), true
	case int16:
		return int64(v), true
	case uint16:
		return int64(v), true
	case int32:
		return int64(v), true
	case uint32:
		return int64(v), true
	case int64:
		return v, true
	}
	return 0, false
}

// normal returns the value as Erlang has it after parsing: types of which the
// values do not differ there become one.
func normal(v any) any {
	if n, ok := Integer(v); ok {
		return n
	}
	switch v := v.(type) {
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

// Inequivalence compares one argument of what is declared with that of what
// exists, by Equal. It returns "" if they are equivalent, otherwise RabbitMQ's
// words for the difference: "received '10' but current is '5'", or, if one lacks
// the argument, "received none but current is the value '5' of type 'signedint'".
// They follow "inequivalent arg 'x-expires' for queue 'q' in vhost '/': ". As in
// RabbitMQ no x-queue-type is the same as classic.
func Inequivalence(name string, current, received Table) string {
	old, had := current[name]
	now, has := received[name]
	switch {
	case had && has && Equal(old, now), !had && !has:
		return ""
	case name == "x-queue-type" && (!had && now == "classic" || !has && old == "classic"):
		return ""
	case had && has:
		return fmt.Sprintf("received %s but current is %s", quoted(now), quoted(old))
	}
	return fmt.Sprintf("received %s but current is %s", described(now, has), described(old, had))
}

func quoted(v any) string {
	if v == nil {
		return "none"
	}
	return "'" + erlang(v) + "'"
}

func described(v any, ok bool) string {
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
	case Table, []any:
		return Term(v)
	}
	return fmt.Sprint(v)
}

// erlangFloat writes a float in the shorter of two ways, 0.5 or 1.0e-7, both with
// a decimal point; in the second one where floats are too far apart for the first.
func erlangFloat(f float64) string {
	fixed := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(fixed, ".") {
		fixed += ".0"
	}
	mantissa, exponent, ok := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
	if !ok {
		return fixed // NaN or Inf, which Erlang does not have
	}
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	sign, digits := strings.TrimPrefix(exponent[:1], "+"), strings.TrimLeft(exponent[1:], "0")
	if scientific := mantissa + "e" + sign + digits; len(scientific) < len(fixed) || math.Abs(f) >= 1<<53 {
		return scientific
	}
	return fixed
}
