package task

import (
	"bytes"
	"context"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// Func returns a Handler that decodes the arguments of a message into A and
// calls f. What A is decides how:
//
//   - A struct takes named arguments (kwargs) as encoding/json decodes an object
//     into it, or a single positional argument that is an object in the same way.
//     Otherwise the positional arguments go to its exported fields in their
//     order; missing ones at the end leave the zero value. Field names and json
//     tags play no part in that, but a field tagged `json:"-"` is no argument. An
//     embedded struct counts as one field.
//   - A slice takes all positional arguments as its elements; an array too, and
//     needs exactly as many.
//   - A map takes the named arguments, or a single positional one.
//   - Every other type takes exactly one positional argument. So do types with
//     an UnmarshalJSON or UnmarshalText method (json.RawMessage, time.Time, ...)
//     and []byte, which encoding/json reads from a base64 string.
//   - struct{} takes none.
//
// A may be a pointer to any of these. A null is the zero value. Named arguments
// are a mistake where they are not listed above, as are unknown names, too many
// arguments, and positional and named ones in one message. The error of every
// mismatch is made by Discard and says the task, the argument, the type that f
// wants and what the message has.
//
// Func panics when A can never be decoded: a channel, function or complex number.
func Func[A any](f func(context.Context, A) error) Handler {
	p := planOf(reflect.TypeFor[A]())
	return HandlerFunc(func(ctx context.Context, m *Message) error {
		var a A
		if err := p.decode(m, reflect.ValueOf(&a).Elem()); err != nil {
			return Discard(fmt.Errorf("task %q: %w", clip(m.Name, 64), err))
		}
		return f(ctx, a)
	})
}

// shape is how a type takes arguments.
type shape uint8

const (
	shapeOne    shape = iota // one positional argument
	shapeStruct              // fields, or one object
	shapeList                // all positional arguments
	shapeMap                 // named arguments, or one object
)

// plan is what Func knows about A before the first message.
type plan struct {
	shape  shape
	typ    reflect.Type // A without its pointers
	fields []int        // shapeStruct: the indices of the fields that are arguments
}

func planOf(t reflect.Type) plan {
	for t.Kind() == reflect.Pointer && !decodesItself(t) {
		t = t.Elem()
	}
	p := plan{typ: t}
	switch k := t.Kind(); {
	case decodesItself(t):
	case k == reflect.Struct:
		p.shape = shapeStruct
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() && f.Tag.Get("json") != "-" {
				p.fields = append(p.fields, i)
			}
		}
	case k == reflect.Array, k == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		p.shape = shapeList
	case k == reflect.Map:
		p.shape = shapeMap
	case k == reflect.Chan, k == reflect.Func, k == reflect.UnsafePointer, k == reflect.Complex64, k == reflect.Complex128:
		panic(fmt.Sprintf("task: Func of %v, which cannot be decoded from JSON", t))
	}
	return p
}

// decodesItself reports whether encoding/json leaves the type to a method of its
// own, so that its kind says nothing about the JSON it reads.
func decodesItself(t reflect.Type) bool {
	if t.Kind() != reflect.Pointer {
		t = reflect.PointerTo(t)
	}
	return t.Implements(reflect.TypeFor[json.Unmarshaler]()) || t.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// decode fills v, which is of the type that the plan was made of.
func (p *plan) decode(m *Message, v reflect.Value) error {
	for v.Kind() == reflect.Pointer && v.Type() != p.typ {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	var args []json.RawMessage
	if len(m.Args) > 0 {
		if err := json.Unmarshal(m.Args, &args); err != nil {
			return fmt.Errorf("args are not a JSON array: %w", err)
		}
	}
	if !isEmptyObject(m.Kwargs) {
		return p.decodeNamed(m.Kwargs, len(args), v)
	}
	switch p.shape {
	case shapeStruct:
		return p.decodeFields(args, v)
	case shapeList:
		return p.decodeList(args, v)
	default:
		return p.decodeOne(args, v)
	}
}

func (p *plan) decodeNamed(kwargs json.RawMessage, positional int, v reflect.Value) error {
	switch {
	case p.shape == shapeStruct && len(p.fields) == 0:
		return errors.New("takes no arguments, got named ones")
	case p.shape != shapeStruct && p.shape != shapeMap:
		return fmt.Errorf("wants a positional argument (%v), got named ones", p.typ)
	case positional > 0:
		return fmt.Errorf("wants positional or named arguments, got %d positional and named ones", positional)
	}
	return strictObject("named arguments", kwargs, v)
}

func (p *plan) decodeFields(args []json.RawMessage, v reflect.Value) error {
	if len(args) > len(p.fields) && len(p.fields) == 0 {
		return fmt.Errorf("takes no arguments, got %d", len(args))
	}
	if len(args) == 1 && isObject(args[0]) {
		return strictObject("argument 1", args[0], v)
	}
	if len(args) > len(p.fields) {
		return fmt.Errorf("wants at most %d arguments, got %d", len(p.fields), len(args))
	}
	for i, raw := range args {
		f := v.Field(p.fields[i])
		if err := json.Unmarshal(raw, f.Addr().Interface()); err != nil {
			where := fmt.Sprintf("argument %d (%s)", i+1, p.typ.Field(p.fields[i]).Name)
			return mismatch(where, raw, f.Type(), err)
		}
	}
	return nil
}

func (p *plan) decodeList(args []json.RawMessage, v reflect.Value) error {
	if v.Kind() == reflect.Slice {
		v.Set(reflect.MakeSlice(v.Type(), len(args), len(args)))
	} else if len(args) != v.Len() {
		return fmt.Errorf("wants exactly %d arguments, got %d", v.Len(), len(args))
	}
	for i, raw := range args {
		if err := json.Unmarshal(raw, v.Index(i).Addr().Interface()); err != nil {
			return mismatch(fmt.Sprintf("argument %d", i+1), raw, v.Type().Elem(), err)
		}
	}
	return nil
}

func (p *plan) decodeOne(args []json.RawMessage, v reflect.Value) error {
	if len(args) != 1 {
		return fmt.Errorf("wants exactly 1 argument (%v), got %d", p.typ, len(args))
	}
	if err := json.Unmarshal(args[0], v.Addr().Interface()); err != nil {
		return mismatch("argument 1", args[0], v.Type(), err)
	}
	return nil
}

// strictObject decodes an object and refuses names that v does not have: a
// misspelt argument would run the task without it.
func strictObject(where string, raw json.RawMessage, v reflect.Value) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v.Addr().Interface()); err != nil {
		return mismatch(where, raw, v.Type(), err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: more than one JSON value", where)
	}
	return nil
}

// mismatch says what argument does not fit, in words of the message and of the
// handler, and wraps the error of encoding/json.
func mismatch(where string, raw json.RawMessage, want reflect.Type, err error) error {
	te, ok := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case ok && te.Field != "":
		return &argError{fmt.Sprintf("%s, field %q: want %v, got %s", where, clip(te.Field, 64), te.Type, clip(te.Value, 64)), err}
	case ok:
		return &argError{fmt.Sprintf("%s: want %v, got %s", where, te.Type, clip(te.Value, 64)), err}
	}
	text := strings.TrimPrefix(err.Error(), "json: ")
	if strings.HasPrefix(text, "unknown field") {
		return &argError{fmt.Sprintf("%s: %s: %v does not have it", where, clip(text, 80), want), err}
	}
	return &argError{fmt.Sprintf("%s: want %v, got %s: %s", where, want, jsonKind(raw), clip(text, 160)), err}
}

// argError has a text of its own for an error that it wraps.
type argError struct {
	text string
	err  error
}

func (e *argError) Error() string { return e.text }
func (e *argError) Unwrap() error { return e.err }

func isObject(raw json.RawMessage) bool { return jsonKind(raw) == "object" }

// isEmptyObject reports whether the message has no named arguments.
func isEmptyObject(raw json.RawMessage) bool {
	b := bytes.TrimSpace(raw)
	return len(b) == 0 || b[0] == '{' && len(bytes.TrimSpace(b[1:])) == 1 && b[len(b)-1] == '}'
}

// jsonKind names the type of a JSON value by its first byte.
func jsonKind(raw json.RawMessage) string {
	b := bytes.TrimSpace(raw)
	if len(b) == 0 {
		return "nothing"
	}
	switch b[0] {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "bool"
	case 'n':
		return "null"
	default:
		return "number"
	}
}
