package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// key is a header key that some frame type uses.
type key uint8

const (
	keyT key = iota
	keyLen
	keyID
	keyName
	keyAttempt
	keyDeadline
	keyCT
	keyHdr
	keyProto
	keyTasks
	keyConcurrency
	keyCaps
	keySDK
	keyPID
	keySlot
	keyMaxHeader
	keyMaxBody
	keyBeat
	keyKind
	keyMsg
	keyPermanent
	keyAfter
	keyPct
	keyReason
	keyLevel
	keyF
	keyN
	numKeys
)

// keyNames are the keys as they are spelled.
var keyNames = [numKeys]string{
	"t", "len", "id", "name", "attempt", "deadline_ms", "ct", "hdr", "proto", "tasks", "concurrency", "caps", "sdk", "pid",
	"slot", "max_header", "max_body", "beat_ms", "kind", "msg", "permanent", "after_ms", "pct", "reason", "level", "f", "n",
}

func (k key) String() string { return keyNames[k] }

// keyOf looks one name after the other up; most differ in length, so that this
// is faster than a map.
func keyOf(name []byte) (key, bool) {
	for k := range keyNames {
		if string(name) == keyNames[k] {
			return key(k), true
		}
	}
	return 0, false
}

// header is a scanned header line: for each key the JSON text of its value, nil
// when it is absent or null. The texts are slices of the line.
type header struct {
	values [numKeys][]byte
	twice  [numKeys]bool
}

var (
	errNotUTF8   = errors.New("the header is not UTF-8")
	errNotObject = errors.New("the header is not a JSON object")
)

// scan finds the values in a line. It validates the whole line first, so that
// the steps after that need no bounds of their own: in valid JSON every string
// and every bracket is closed.
func (h *header) scan(line []byte) error {
	*h = header{}
	if !utf8.Valid(line) {
		return errNotUTF8
	}
	i := skipSpace(line, 0)
	if i == len(line) || line[i] != '{' || !json.Valid(line) {
		return errNotObject
	}
	for i = skipSpace(line, i+1); line[i] != '}'; {
		end := skipString(line, i)
		name := line[i:end]
		i = skipSpace(line, skipSpace(line, end)+1) // the colon
		end = skipValue(line, i)
		h.put(name, line[i:end])
		if i = skipSpace(line, end); line[i] == ',' {
			i = skipSpace(line, i+1)
		}
	}
	return nil
}

// put notes the value of a key, a quoted JSON string.
func (h *header) put(quoted, value []byte) {
	name, plain := unquote(quoted)
	if !plain {
		name = []byte(slowUnquote(quoted))
	}
	k, ok := keyOf(name)
	if !ok || string(value) == "null" {
		return
	}
	h.twice[k] = h.values[k] != nil
	h.values[k] = value
}

// unquote returns what is between the quotes of a JSON string; plain is false
// when that has escapes.
func unquote(quoted []byte) (text []byte, plain bool) {
	text = quoted[1 : len(quoted)-1]
	if slices.Contains(text, '\\') {
		return nil, false
	}
	return text, true
}

func slowUnquote(quoted []byte) string {
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil {
		return "" // not in a line that is valid JSON
	}
	return s
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return i
}

// skipString returns the index after the string that starts at i.
func skipString(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// skipValue returns the index after the value that starts at i.
func skipValue(b []byte, i int) int {
	depth := 0
	for {
		switch b[i] {
		case '"':
			i = skipString(b, i)
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		case ',', ':', ' ', '\t', '\r', '\n':
			i++ // inside an object or array only
		default:
			i = skipScalar(b, i)
		}
		if depth == 0 {
			return i
		}
	}
}

// skipScalar returns the index after the number or literal that starts at i.
func skipScalar(b []byte, i int) int {
	for {
		switch b[i] {
		case ',', ':', '}', ']', ' ', '\t', '\r', '\n':
			return i
		}
		i++
	}
}

// describe shortens a JSON text for an error.
func describe(value []byte) string {
	if len(value) > 40 {
		return fmt.Sprintf("%s...", value[:40])
	}
	return string(value)
}
