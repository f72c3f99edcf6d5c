package codec

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/magne-actors/magne-actors/task"
)

// field is one of the keys that a format has.
type field uint8

const (
	fieldTask field = iota
	fieldID
	fieldArgs
	fieldKwargs
	fieldHeaders
)

// key is how a format calls a field.
type key struct {
	name  string
	field field
}

// decode reads an envelope with the given keys.
func decode(r *task.Raw, keys []key) (*task.Message, error) {
	if err := check(r.Body, '{', MaxDepth); err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	m := new(task.Message)
	var seen [fieldHeaders + 1]bool
	for c := newCursor(r.Body); ; {
		quoted, value, ok := c.next()
		if !ok {
			break
		}
		k, err := find(keys, quoted)
		if err != nil {
			return nil, err
		}
		if k == nil {
			continue
		}
		if seen[k.field] {
			return nil, fmt.Errorf("%s: key occurs twice", k.name)
		}
		seen[k.field] = true
		if err := set(m, k.field, value); err != nil {
			return nil, fmt.Errorf("%s%w", k.name, err)
		}
	}
	if !seen[fieldTask] {
		return nil, fmt.Errorf("%s: missing", keys[0].name)
	}
	addProperties(m, r)
	return m, nil
}

// find returns the key that a quoted name means, or nil when the format does not
// have it. A name that differs in case only is an error: encoding/json and others
// take it for the key, and two readers must not see two different tasks.
func find(keys []key, quoted []byte) (*key, error) {
	name := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		name = []byte(text(quoted))
	}
	for i := range keys {
		if string(name) == keys[i].name {
			return &keys[i], nil
		}
	}
	for i := range keys {
		if bytes.EqualFold(name, []byte(keys[i].name)) {
			return nil, fmt.Errorf("key %s: write it %q", quote(string(name)), keys[i].name)
		}
	}
	return nil, nil
}

// set stores the value of a field. Its errors begin with what follows the key:
// a path, or ": ".
func set(m *task.Message, f field, value []byte) error {
	if want := typeOf(f); value[0] != want {
		return fmt.Errorf(": want %s, got %s", describe(want), describe(value[0]))
	}
	switch f {
	case fieldTask:
		m.Name = text(value)
		if err := CheckName(m.Name); err != nil {
			return fmt.Errorf(": %w", err)
		}
	case fieldID:
		m.ID = text(value)
		if len(m.ID) > maxID {
			return fmt.Errorf(": want at most %d bytes, got %d", maxID, len(m.ID))
		}
	case fieldArgs:
		m.Args = value
	case fieldKwargs:
		m.Kwargs = value
	case fieldHeaders:
		return setHeaders(m, value)
	}
	return nil
}

// typeOf returns the first byte of the JSON values that a field may have.
func typeOf(f field) byte {
	switch f {
	case fieldTask, fieldID:
		return '"'
	case fieldArgs:
		return '['
	default:
		return '{'
	}
}

func setHeaders(m *task.Message, object []byte) error {
	m.Headers = make(map[string]string)
	for c := newCursor(object); ; {
		quoted, value, ok := c.next()
		if !ok {
			return nil
		}
		name := text(quoted)
		if value[0] != '"' {
			return fmt.Errorf("[%s]: want a string, got %s", quote(name), describe(value[0]))
		}
		if _, ok := m.Headers[name]; ok {
			return fmt.Errorf("[%s]: key occurs twice", quote(name))
		}
		if len(m.Headers) == maxHeaders {
			return fmt.Errorf(": want at most %d", maxHeaders)
		}
		m.Headers[name] = text(value)
	}
}

// addProperties adds what the AMQP properties say and the body does not.
func addProperties(m *task.Message, r *task.Raw) {
	if m.ID == "" {
		m.ID = r.MessageID
	}
	for name, v := range r.Headers {
		s, ok := v.(string)
		if !ok {
			continue
		}
		if _, ok := m.Headers[name]; ok {
			continue
		}
		if m.Headers == nil {
			m.Headers = make(map[string]string)
		}
		m.Headers[name] = s
	}
}

// checkMessage refuses what decode would refuse after Encode.
func checkMessage(m *task.Message) error {
	if err := CheckName(m.Name); err != nil {
		return err
	}
	if len(m.ID) > maxID {
		return fmt.Errorf("id: want at most %d bytes, got %d", maxID, len(m.ID))
	}
	if !utf8.ValidString(m.ID) {
		return errors.New("id: invalid UTF-8")
	}
	if len(m.Args) > 0 {
		if err := check(m.Args, '[', MaxDepth-1); err != nil {
			return fmt.Errorf("args: %w", err)
		}
	}
	if len(m.Kwargs) > 0 {
		if err := check(m.Kwargs, '{', MaxDepth-1); err != nil {
			return fmt.Errorf("kwargs: %w", err)
		}
	}
	if len(m.Headers) > maxHeaders {
		return fmt.Errorf("headers: want at most %d, got %d", maxHeaders, len(m.Headers))
	}
	for k, v := range m.Headers {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return fmt.Errorf("headers[%s]: invalid UTF-8", quote(k))
		}
	}
	return nil
}
