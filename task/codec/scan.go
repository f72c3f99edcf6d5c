package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// check returns an error unless b is one JSON value, and nothing else, that
// begins with open ('{' or '['), nested at most depth deep. encoding/json decides
// what JSON is; after it cursor and skip need not look for faults.
func check(b []byte, open byte, depth int) error {
	i := skipSpace(b, 0)
	if i == len(b) {
		return errors.New("empty")
	}
	if n := firstInvalid(b); n >= 0 {
		return fmt.Errorf("invalid UTF-8 at byte %d", n)
	}
	if n := tooDeep(b, depth); n >= 0 {
		return fmt.Errorf("nested deeper than %d levels at byte %d", depth, n)
	}
	if !json.Valid(b) {
		return syntaxError(b)
	}
	if b[i] != open {
		return fmt.Errorf("want %s, got %s", describe(open), describe(b[i]))
	}
	return nil
}

// syntaxError says what is wrong with b, which is no JSON. It is off the fast
// path because only Unmarshal tells the place.
func syntaxError(b []byte) error {
	err := json.Unmarshal(b, new(json.RawMessage))
	if se, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("not JSON: %w at byte %d", se, se.Offset)
	}
	return fmt.Errorf("not JSON: %w", err)
}

func firstInvalid(b []byte) int {
	if utf8.Valid(b) {
		return -1
	}
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

// tooDeep returns where b opens one level more than limit, or -1. It counts
// brackets outside of strings, so it needs no recursion, and b need not be JSON.
func tooDeep(b []byte, limit int) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			i = skipString(b, i) - 1
		case '{', '[':
			if depth++; depth > limit {
				return i
			}
		case '}', ']':
			depth--
		}
	}
	return -1
}

// cursor walks over the fields of a JSON object that check has accepted.
type cursor struct {
	b []byte
	i int
}

func newCursor(object []byte) cursor { return cursor{b: object, i: skipSpace(object, 0) + 1} }

// next returns the key, still quoted, and the value of the next field; ok is
// false after the last one.
func (c *cursor) next() (key, value []byte, ok bool) {
	c.i = skipSpace(c.b, c.i)
	if c.b[c.i] == ',' {
		c.i = skipSpace(c.b, c.i+1)
	}
	if c.b[c.i] == '}' {
		return nil, nil, false
	}
	end := skipString(c.b, c.i)
	key = c.b[c.i:end]
	colon := skipSpace(c.b, end)
	start := skipSpace(c.b, colon+1)
	c.i = skipValue(c.b, start)
	return key, c.b[start:c.i:c.i], true // capped: an append must not write into the body
}

// skipValue returns the index after the value that begins at i.
func skipValue(b []byte, i int) int {
	depth := 0
	for ; i < len(b); i++ {
		switch b[i] {
		case '"':
			i = skipString(b, i) - 1
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // of the object around: a number or word has ended
			}
			depth--
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
			continue
		default:
			continue
		}
		if depth == 0 {
			return i + 1
		}
	}
	return i
}

// skipString returns the index after the string whose opening quote is at i, or
// len(b) when it has no end.
func skipString(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return i
}

// text returns the value of a JSON string, given with its quotes.
func text(quoted []byte) string {
	if raw := quoted[1 : len(quoted)-1]; bytes.IndexByte(raw, '\\') < 0 {
		return string(raw)
	}
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil {
		return "" // not reached: check has accepted the string
	}
	return s
}

// describe names the type of a JSON value by its first byte.
func describe(c byte) string {
	switch c {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	default:
		return "a number"
	}
}
