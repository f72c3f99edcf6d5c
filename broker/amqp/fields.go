package amqp

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// base64Mark begins, in JSON, a string that is no text.
const base64Mark = "base64:"

// TextToJSON is a string of a message, which need not be text, as JSON can carry it:
// what is not UTF-8, or begins as such a string does, is "base64:..." .
func TextToJSON(s string) string {
	if utf8.ValidString(s) && !strings.HasPrefix(s, base64Mark) {
		return s
	}
	return base64Mark + base64.StdEncoding.EncodeToString([]byte(s))
}

// TextFromJSON reads what TextToJSON has written.
func TextFromJSON(s string) (string, error) {
	encoded, marked := strings.CutPrefix(s, base64Mark)
	if !marked {
		return s, nil
	}
	b, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return "", fmt.Errorf("after %q: %w", base64Mark, err)
	}
	return string(b), nil
}

// HeadersToJSON writes headers with the AMQP types of all values, so that
// HeadersFromJSON makes the same of it. Strings, booleans, null and lists are what
// they are in JSON; all else is an object with one key, the type:
//
//	{"int32": 5}  {"double": 0.5}  {"time": "2026-12-01T08:00:00Z"}
//	{"bytes": "base64"}  {"decimal": "2:314"}  {"table": {...}}
//
// The types of numbers are int8, uint8, int16, uint16, int32, uint32, int64, float
// and double.
func HeadersToJSON(h map[string]any) (json.RawMessage, error) {
	v, err := tableToJSON(h)
	if err != nil {
		return nil, err
	}
	return marshal(v)
}

func marshal(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

func tableToJSON(m map[string]any) (map[string]any, error) {
	out := make(map[string]any, len(m))
	for name, v := range m {
		field, err := fieldToJSON(v)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", name, err)
		}
		out[TextToJSON(name)] = field
	}
	return out, nil
}

func fieldToJSON(v any) (any, error) {
	typed := func(name string, v any) (any, error) { return map[string]any{name: v}, nil }
	switch v := v.(type) {
	case nil, bool:
		return v, nil
	case string:
		return TextToJSON(v), nil
	case []any:
		out := make([]any, len(v))
		for i := range v {
			var err error
			if out[i], err = fieldToJSON(v[i]); err != nil {
				return nil, fmt.Errorf("[%d]: %w", i, err)
			}
		}
		return out, nil
	case map[string]any:
		table, err := tableToJSON(v)
		if err != nil {
			return nil, err
		}
		return typed("table", table)
	case int8, uint8, int16, uint16, int32, uint32, int64:
		return typed(fmt.Sprintf("%T", v), v)
	case float32:
		return typed("float", floatToJSON(float64(v), 32))
	case float64:
		return typed("double", floatToJSON(v, 64))
	case time.Time:
		return typed("time", v.UTC().Format(time.RFC3339))
	case []byte:
		return typed("bytes", base64.StdEncoding.EncodeToString(v))
	case amqp091.Decimal:
		return typed("decimal", fmt.Sprintf("%d:%d", v.Scale, v.Value))
	}
	return nil, fmt.Errorf("AMQP has no type for a %T", v)
}

// floatToJSON is a number, or the text of what JSON has no number for.
func floatToJSON(v float64, bits int) any {
	text := strconv.FormatFloat(v, 'g', -1, bits)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return text
	}
	return json.Number(text)
}

// HeadersFromJSON reads what HeadersToJSON has written, and what a person has changed
// in it: a number without a type is an int32 or int64 if it is whole, else a double.
func HeadersFromJSON(text json.RawMessage) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		return nil, err
	}
	return tableFromJSON(m)
}

func tableFromJSON(m map[string]any) (map[string]any, error) {
	out := make(map[string]any, len(m))
	for name, v := range m {
		key, err := TextFromJSON(name)
		if err == nil {
			out[key], err = fieldFromJSON(v)
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", name, err)
		}
	}
	return out, nil
}

func fieldFromJSON(v any) (any, error) {
	switch v := v.(type) {
	case string:
		return TextFromJSON(v)
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return fitInt(n), nil
		}
		return v.Float64()
	case []any:
		out := make([]any, len(v))
		for i := range v {
			var err error
			if out[i], err = fieldFromJSON(v[i]); err != nil {
				return nil, fmt.Errorf("[%d]: %w", i, err)
			}
		}
		return out, nil
	case map[string]any:
		if len(v) != 1 {
			return nil, errors.New(`want an object with one key, the type, as {"int32": 5} or {"table": {...}}`)
		}
		for kind, value := range v {
			return typedFromJSON(kind, value)
		}
	}
	return v, nil // null, true, false
}

func typedFromJSON(kind string, v any) (any, error) {
	if table, ok := v.(map[string]any); ok && kind == "table" {
		return tableFromJSON(table)
	}
	var text string
	switch v := v.(type) {
	case string:
		text = v
	case json.Number:
		text = v.String()
	default:
		return nil, fmt.Errorf("a value of type %q cannot be a %T", kind, v)
	}
	out, err := scalarFromJSON(kind, text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	return out, nil
}

func scalarFromJSON(kind, text string) (any, error) {
	switch kind {
	case "time":
		t, err := time.Parse(time.RFC3339, text)
		return t.UTC(), err
	case "bytes":
		return base64.StdEncoding.DecodeString(text)
	case "float":
		f, err := strconv.ParseFloat(text, 32)
		return float32(f), err
	case "double":
		return strconv.ParseFloat(text, 64)
	case "decimal":
		scale, value, _ := strings.Cut(text, ":")
		s, err := strconv.ParseUint(scale, 10, 8)
		n, err2 := strconv.ParseInt(value, 10, 32)
		return amqp091.Decimal{Scale: uint8(s), Value: int32(n)}, errors.Join(err, err2)
	}
	return integerFromJSON(kind, text)
}

func integerFromJSON(kind, text string) (any, error) {
	parse := func(bits int) (int64, error) { return strconv.ParseInt(text, 10, bits) }
	parseUnsigned := func(bits int) (uint64, error) { return strconv.ParseUint(text, 10, bits) }
	switch kind {
	case "int8":
		n, err := parse(8)
		return int8(n), err
	case "int16":
		n, err := parse(16)
		return int16(n), err
	case "int32":
		n, err := parse(32)
		return int32(n), err
	case "int64":
		return parse(64)
	case "uint8":
		n, err := parseUnsigned(8)
		return uint8(n), err
	case "uint16":
		n, err := parseUnsigned(16)
		return uint16(n), err
	case "uint32":
		n, err := parseUnsigned(32)
		return uint32(n), err
	}
	return nil, errors.New("there is no such type")
}
