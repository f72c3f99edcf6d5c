package routing

import (
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

const matchArg = "x-match"

// headersMatch is a binding of a headers exchange.
type headersMatch[Q comparable] struct {
	to     target[Q]
	any    bool // one header is enough
	fields []headerField
}

type headerField struct {
	name  string
	value any // nil, the void: of any value
}

// validateMatch checks the arguments of a binding of a headers exchange.
func validateMatch(args wire.Table) error {
	switch v, ok := args[matchArg]; v := v.(type) {
	case string:
		switch v {
		case "all", "any", "all-with-x", "any-with-x":
			return nil
		}
		return errorf(wire.CodePreconditionFailed,
			"Invalid x-match field value %s; expected all, any, all-with-x, or any-with-x", wire.Term(v))
	default:
		if !ok {
			return nil
		}
		return errorf(wire.CodePreconditionFailed,
			"Invalid x-match field type %s (value %s); expected longstr", wire.TypeName(v), wire.Term(v))
	}
}

// newHeadersMatch makes a binding's match of its arguments. Those that begin with
// "x-" count only if x-match says so.
func newHeadersMatch[Q comparable](args wire.Table, to target[Q]) headersMatch[Q] {
	m := headersMatch[Q]{to: to}
	mode, _ := args[matchArg].(string)
	kind, withX := strings.CutSuffix(mode, "-with-x")
	m.any = kind == "any"
	for name, v := range args {
		if name == matchArg || !withX && strings.HasPrefix(name, "x-") {
			continue
		}
		m.fields = append(m.fields, headerField{name: name, value: v})
	}
	return m
}

// match compares with the encoded headers of a message.
func (m *headersMatch[Q]) match(headers []byte) bool {
	for i := range m.fields {
		f := &m.fields[i]
		v, ok := wire.FindField(headers, f.name)
		if ok = ok && (f.value == nil || equalHeader(f.value, v)); ok == m.any {
			return ok
		}
	}
	return !m.any
}

// equalHeader compares two values as Erlang's == does what RabbitMQ parsed: other
// than in arguments, an integer may equal a float.
func equalHeader(a, b any) bool {
	x, ok := number(a)
	if ok {
		y, ok := number(b)
		if ok && x.float != y.float {
			return x.equal(y)
		}
	}
	return wire.Equal(a, b)
}

type numeric struct {
	float bool
	i     int64
	f     float64
}

func (x numeric) equal(y numeric) bool {
	if x.float {
		x, y = y, x
	}
	// Exactly, as Erlang: y.f is an integer, and the same one.
	return y.f == float64(x.i) && y.f < 1<<63 && int64(y.f) == x.i
}

func number(v any) (numeric, bool) {
	switch v := v.(type) {
	case int8:
		return numeric{i: int64(v)}, true
	case uint8:
		return numeric{i: int64(v)}, true
	case int16:
		return numeric{i: int64(v)}, true
	case uint16:
		return numeric{i: int64(v)}, true
	case int32:
		return numeric{i: int64(v)}, true
	case uint32:
		return numeric{i: int64(v)}, true
	case int64:
		return numeric{i: v}, true
	case time.Time:
		return numeric{i: v.Unix()}, true
	case float32:
		return numeric{float: true, f: float64(v)}, true
	case float64:
		return numeric{float: true, f: v}, true
	}
	return numeric{}, false
}
