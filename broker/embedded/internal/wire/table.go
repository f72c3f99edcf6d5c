package wire

import (
	"bytes"
	"encoding/binary"
	"math"
	"time"
)

// Limits of field tables, with all that is nested in them.
const (
	MaxTableDepth  = 32   // tables and arrays in one another, the outermost included
	MaxTableFields = 8192 // fields and array elements together
)

// Table is a field table. Its values are of these types, others are not allowed:
//
//	t bool       s int16    f float32          S string
//	b int8       u uint16   d float64          x []byte
//	B uint8      I int32    T time.Time (UTC)  A []any
//	             i uint32   D Decimal          F Table
//	             l int64                       V nil
//
// The letters are RabbitMQ's. L is read as l, which is what RabbitMQ does. A
// time has seconds only.
type Table map[string]any

// Decimal is Value divided by Scale powers of ten.
type Decimal struct {
	Scale uint8
	Value int32
}

// ParseTable parses the fields of a table, without the four bytes of length that
// precede it in a method; the response of AMQPLAIN has none either. The table is
// not nil when there is no error, and shares no memory with fields. Of fields
// with the same name the first counts. The error is a *SyntaxError.
func ParseTable(fields []byte) (Table, error) {
	if err := checkTable(fields); err != nil {
		return nil, err
	}
	d := decoder{b: fields}
	return d.fields(), nil
}

// checkTable reports whether fields can be parsed, without allocating: memory is
// taken only for what is known to be good.
func checkTable(fields []byte) error {
	d := decoder{b: fields}
	budget := MaxTableFields
	d.skipFields(true, 1, &budget)
	return d.err
}

var (
	errDeep   error = &SyntaxError{Text: "a table is nested too deeply"}
	errMany   error = &SyntaxError{Text: "a table has too many fields"}
	errNoType error = &SyntaxError{Text: "a table has a value of an unknown type"}
)

// skipFields reads to the end: the fields of a table or, without names, the
// elements of an array.
func (d *decoder) skipFields(names bool, depth int, budget *int) {
	if depth > MaxTableDepth {
		d.fail(errDeep)
	}
	for len(d.b) > 0 {
		if *budget--; *budget < 0 {
			d.fail(errMany)
			return
		}
		if names {
			d.shortBytes()
		}
		d.skipValue(depth, budget)
	}
}

func (d *decoder) skipValue(depth int, budget *int) {
	switch tag := d.octet(); tag {
	case 't', 'b', 'B':
		d.take(1)
	case 's', 'u':
		d.take(2)
	case 'I', 'i', 'f':
		d.take(4)
	case 'D':
		d.take(5)
	case 'l', 'L', 'd', 'T':
		d.take(8)
	case 'S', 'x':
		d.longBytes()
	case 'A', 'F':
		inner := decoder{b: d.longBytes()}
		inner.skipFields(tag == 'F', depth+1, budget)
		if inner.err != nil {
			d.fail(inner.err)
		}
	case 'V':
	default:
		d.fail(errNoType)
	}
}

// fields and value read what skipFields has found good.
func (d *decoder) fields() Table {
	t := Table{}
	for len(d.b) > 0 {
		name, value := d.shortBytes(), d.value()
		if _, ok := t[string(name)]; !ok {
			t[string(name)] = value
		}
	}
	return t
}

func (d *decoder) elements() []any {
	list := []any{}
	for len(d.b) > 0 {
		list = append(list, d.value())
	}
	return list
}

func (d *decoder) value() any {
	switch d.octet() {
	case 't':
		return d.octet() != 0
	case 'b':
		return int8(d.octet())
	case 'B':
		return d.octet()
	case 's':
		return int16(d.short())
	case 'u':
		return d.short()
	case 'I':
		return int32(d.long())
	case 'i':
		return d.long()
	case 'l', 'L':
		return int64(d.longlong())
	case 'f':
		return math.Float32frombits(d.long())
	case 'd':
		return math.Float64frombits(d.longlong())
	case 'D':
		return Decimal{Scale: d.octet(), Value: int32(d.long())}
	case 'T':
		return d.timestamp()
	case 'S':
		return string(d.longBytes())
	case 'x':
		return bytes.Clone(d.longBytes())
	case 'A':
		return (&decoder{b: d.longBytes()}).elements()
	case 'F':
		return (&decoder{b: d.longBytes()}).fields()
	}
	return nil // V
}

func (d *decoder) timestamp() time.Time { return time.Unix(int64(d.longlong()), 0).UTC() }

// FindField returns the value of one field in the encoded fields of a table, and
// whether the table has it, without parsing the others. The table must be one
// that ParseTable or ViewProperties accepts.
func FindField(fields []byte, name string) (value any, ok bool) {
	d := decoder{b: fields}
	budget := math.MaxInt
	for len(d.b) > 0 {
		if found := d.shortBytes(); string(found) == name && d.err == nil {
			return d.value(), true
		}
		d.skipValue(1, &budget)
	}
	return nil, false
}

func appendTimestamp(b []byte, t time.Time) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(t.Unix()))
}
