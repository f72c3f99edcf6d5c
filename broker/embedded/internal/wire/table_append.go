package wire

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// AppendTable appends the fields of a table as ParseTable reads them, without a
// length. They are sorted by name, so that equal tables are equal bytes. The
// error is about a value of a type that Table does not allow, a name of more
// than 255 bytes, or nesting beyond MaxTableDepth.
func AppendTable(dst []byte, t Table) ([]byte, error) {
	b, err := appendFields(dst, t, 1)
	if err != nil {
		return nil, fmt.Errorf("wire: %w", err)
	}
	return b, nil
}

var errTooDeep = fmt.Errorf("tables and arrays are nested deeper than %d", MaxTableDepth)

func appendFields(b []byte, t Table, depth int) ([]byte, error) {
	if depth > MaxTableDepth {
		return nil, errTooDeep
	}
	for _, name := range slices.Sorted(maps.Keys(t)) {
		if len(name) > maxShort {
			return nil, fmt.Errorf("the name of a field has %d bytes", len(name))
		}
		var err error
		if b, err = appendValue(appendShortstr(b, name), t[name], depth); err != nil {
			return nil, fmt.Errorf("field %q: %w", name, err)
		}
	}
	return b, nil
}

func appendElements(b []byte, list []any, depth int) ([]byte, error) {
	if depth > MaxTableDepth {
		return nil, errTooDeep
	}
	for _, v := range list {
		var err error
		if b, err = appendValue(b, v, depth); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func appendValue(b []byte, v any, depth int) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, 'V'), nil
	case string:
		return appendLongstr(append(b, 'S'), v), nil
	case []byte:
		b = binary.BigEndian.AppendUint32(append(b, 'x'), uint32(len(v)))
		return append(b, v...), nil
	case time.Time:
		return appendTimestamp(append(b, 'T'), v), nil
	case Table:
		return appendSized(append(b, 'F'), func(b []byte) ([]byte, error) { return appendFields(b, v, depth+1) })
	case []any:
		return appendSized(append(b, 'A'), func(b []byte) ([]byte, error) { return appendElements(b, v, depth+1) })
	}
	return appendNumber(b, v)
}

func appendNumber(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case bool:
		return append(b, 't', bit(v, 0)), nil
	case int8:
		return append(b, 'b', byte(v)), nil
	case uint8:
		return append(b, 'B', v), nil
	case int16:
		return binary.BigEndian.AppendUint16(append(b, 's'), uint16(v)), nil
	case uint16:
		return binary.BigEndian.AppendUint16(append(b, 'u'), v), nil
	case int32:
		return binary.BigEndian.AppendUint32(append(b, 'I'), uint32(v)), nil
	case uint32:
		return binary.BigEndian.AppendUint32(append(b, 'i'), v), nil
	case int64:
		return binary.BigEndian.AppendUint64(append(b, 'l'), uint64(v)), nil
	case float32:
		return binary.BigEndian.AppendUint32(append(b, 'f'), math.Float32bits(v)), nil
	case float64:
		return binary.BigEndian.AppendUint64(append(b, 'd'), math.Float64bits(v)), nil
	case Decimal:
		return binary.BigEndian.AppendUint32(append(b, 'D', v.Scale), uint32(v.Value)), nil
	}
	return nil, fmt.Errorf("a table cannot hold a %T", v)
}
