package wire

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// maxInt is the greatest integer of the protocol: every JSON library has it
// exactly.
const maxInt = 1<<53 - 1

// decoder reads typed values out of a header and keeps the first error.
type decoder struct {
	h   *header
	err error
}

func (d *decoder) fail(k key, want string) {
	if d.err == nil {
		d.err = fmt.Errorf("%s: want %s, got %s", k, want, describe(d.h.values[k]))
	}
}

// raw returns the value of a key, nil when it is absent.
func (d *decoder) raw(k key) []byte {
	if d.h.twice[k] && d.err == nil {
		d.err = fmt.Errorf("%s stands there twice", k)
	}
	return d.h.values[k]
}

func (d *decoder) str(k key) string {
	v := d.raw(k)
	if v == nil {
		return ""
	}
	if v[0] != '"' {
		d.fail(k, "a string")
		return ""
	}
	if text, plain := unquote(v); plain {
		return string(text)
	}
	return slowUnquote(v)
}

// typ returns the type, without an allocation for the frequent ones.
func (d *decoder) typ() Type {
	for _, t := range [...]Type{OK, Beat, Progress, Task, Log, Error, Retry} {
		if v := d.raw(keyT); len(v) == len(t)+2 && string(v[1:len(v)-1]) == string(t) {
			return t
		}
	}
	return Type(d.str(keyT))
}

// integer returns the value of a key from low to high, or absent.
func (d *decoder) integer(k key, low, high, absent uint64) uint64 {
	v := d.raw(k)
	if v == nil {
		return absent
	}
	n, ok := digits(v)
	if !ok || n < low || n > high {
		d.fail(k, fmt.Sprintf("an integer from %d to %d", low, high))
		return absent
	}
	return n
}

// digits parses a decimal integer of at most 18 digits, which hold maxInt.
func digits(v []byte) (n uint64, ok bool) {
	for _, c := range v {
		if c < '0' || c > '9' || n >= 1e17 {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, true
}

func (d *decoder) count(k key, low, absent uint64) int {
	return int(d.integer(k, low, maxInt, absent))
}

// millis returns a duration. One that time.Duration cannot hold is the longest
// one it can.
func (d *decoder) millis(k key) time.Duration {
	const longest = uint64(1<<63-1) / uint64(time.Millisecond)
	return time.Duration(min(d.integer(k, 0, maxInt, 0), longest)) * time.Millisecond
}

func (d *decoder) number(k key) float64 {
	v := d.raw(k)
	if v == nil {
		return 0
	}
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil {
		d.fail(k, "a number")
		return 0
	}
	return f
}

func (d *decoder) boolean(k key) bool {
	v := d.raw(k)
	if v != nil && string(v) != "true" && string(v) != "false" {
		d.fail(k, "true or false")
	}
	return string(v) == "true"
}

func (d *decoder) strings(k key) []string {
	var list []string
	if v := d.raw(k); v != nil && json.Unmarshal(v, &list) != nil {
		d.fail(k, "a list of strings")
		return nil
	}
	if len(list) == 0 {
		return nil
	}
	return list
}

func (d *decoder) texts(k key) map[string]string {
	var m map[string]string
	if v := d.raw(k); v != nil && json.Unmarshal(v, &m) != nil {
		d.fail(k, "an object of strings")
		return nil
	}
	if len(m) == 0 {
		return nil
	}
	return m
}

// object returns a copy of a JSON object.
func (d *decoder) object(k key) json.RawMessage {
	v := d.raw(k)
	if v == nil {
		return nil
	}
	if v[0] != '{' {
		d.fail(k, "an object")
		return nil
	}
	return append(json.RawMessage(nil), v...)
}

func (d *decoder) id() uint64 {
	if d.raw(keyID) == nil && d.err == nil {
		d.err = fmt.Errorf("no %s", keyID)
	}
	return d.integer(keyID, 1, maxInt, 0)
}

// decode turns a header into a frame without its body, and returns the length of
// the body. maxBody is not looked at.
func decode(h *header) (f Frame, bodyLen uint64, err error) {
	d := decoder{h: h}
	if d.raw(keyT) == nil {
		return f, 0, fmt.Errorf("no %s", keyT)
	}
	f.Type = d.typ()
	bodyLen = d.integer(keyLen, 0, maxInt, 0)
	if !d.supervisor(&f) {
		d.worker(&f)
	}
	return f, bodyLen, d.err
}

// supervisor decodes what a supervisor says; false for other types.
func (d *decoder) supervisor(f *Frame) bool {
	switch f.Type {
	case Welcome:
		f.Proto = d.count(keyProto, 1, 0)
		f.Slot = d.str(keySlot)
		f.MaxHeader, f.MaxBody = d.count(keyMaxHeader, 0, 0), d.count(keyMaxBody, 0, 0)
		f.Beat = d.millis(keyBeat)
		f.Concurrency = d.count(keyConcurrency, 1, 1)
	case Task:
		f.ID, f.Name = d.id(), d.str(keyName)
		f.Attempt = d.count(keyAttempt, 0, 0)
		f.Deadline = d.millis(keyDeadline)
		f.ContentType, f.Header = d.str(keyCT), d.texts(keyHdr)
	case Cancel:
		f.ID, f.Reason = d.id(), d.str(keyReason)
	case Ping:
		f.N = d.integer(keyN, 0, maxInt, 0)
	case Drain:
		f.Deadline = d.millis(keyDeadline)
	default:
		return false
	}
	return true
}

// worker decodes what a worker says.
func (d *decoder) worker(f *Frame) {
	switch f.Type {
	case Step:
		f.Message = d.str(keyMsg)
	case Hello:
		f.Proto, f.Tasks = d.count(keyProto, 0, 0), d.strings(keyTasks)
		f.Concurrency, f.Caps = d.count(keyConcurrency, 1, 1), d.strings(keyCaps)
		f.SDK, f.PID = d.str(keySDK), d.count(keyPID, 0, 0)
	case OK:
		f.ID = d.id()
	case Error:
		f.ID, f.Kind, f.Message = d.id(), d.str(keyKind), d.str(keyMsg)
		f.Permanent = d.boolean(keyPermanent)
	case Retry:
		f.ID, f.After, f.Message = d.id(), d.millis(keyAfter), d.str(keyMsg)
	case Progress:
		f.ID, f.Percent, f.Message = d.id(), d.number(keyPct), d.str(keyMsg)
	case Log:
		f.ID = d.integer(keyID, 0, maxInt, 0)
		f.Level, f.Message, f.Fields = d.str(keyLevel), d.str(keyMsg), d.object(keyF)
	case Pong:
		f.N = d.integer(keyN, 0, maxInt, 0)
	case Bye:
		f.Reason = d.str(keyReason)
	default:
		// Beat has no fields, a type of a later version none that we know.
	}
}

// hasBody says whether the body of a frame is for its receiver. That of other
// types is read and thrown away.
func (t Type) hasBody() bool { return t == Task || t == OK || t == Error }
