package wire

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// AppendHeader appends the header of f, LF included, with a len if f has a body.
// It looks at no limit. Values that the protocol cannot say are left out.
func AppendHeader(dst []byte, f *Frame) []byte {
	e := encoder{append(dst, `{"t":`...)}
	e.quote(string(f.Type))
	if !e.supervisor(f) {
		e.worker(f)
	}
	if f.Type.hasBody() && len(f.Body) > 0 {
		e.count(keyLen, len(f.Body))
	}
	return append(e.buf, '}', '\n')
}

type encoder struct{ buf []byte }

func (e *encoder) key(k key) {
	e.buf = append(e.buf, ',', '"')
	e.buf = append(e.buf, k.String()...)
	e.buf = append(e.buf, '"', ':')
}

func (e *encoder) str(k key, s string) {
	if s != "" {
		e.key(k)
		e.quote(s)
	}
}

func (e *encoder) integer(k key, n uint64) {
	if n != 0 && n <= maxInt {
		e.key(k)
		e.buf = strconv.AppendUint(e.buf, n, 10)
	}
}

func (e *encoder) count(k key, n int) {
	if n > 0 {
		e.integer(k, uint64(n))
	}
}

// millis rounds up, so that what is left of a deadline does not become none.
func (e *encoder) millis(k key, d time.Duration) {
	if d > 0 {
		e.count(k, int((d-1)/time.Millisecond)+1)
	}
}

func (e *encoder) strings(k key, list []string) {
	if len(list) == 0 {
		return
	}
	e.key(k)
	for i, s := range list {
		e.buf = append(e.buf, "[,"[min(i, 1)])
		e.quote(s)
	}
	e.buf = append(e.buf, ']')
}

func (e *encoder) texts(k key, m map[string]string) {
	if len(m) == 0 {
		return
	}
	e.key(k)
	for i, name := range slices.Sorted(maps.Keys(m)) {
		e.buf = append(e.buf, "{,"[min(i, 1)])
		e.quote(name)
		e.buf = append(e.buf, ':')
		e.quote(m[name])
	}
	e.buf = append(e.buf, '}')
}

func (e *encoder) number(k key, f float64) {
	if f != 0 && !math.IsNaN(f) && !math.IsInf(f, 0) {
		e.key(k)
		e.buf = strconv.AppendFloat(e.buf, f, 'g', -1, 64)
	}
}

// object writes a JSON object on one line; something else is left out.
func (e *encoder) object(k key, v json.RawMessage) {
	if i := skipSpace(v, 0); i == len(v) || v[i] != '{' || !json.Valid(v) || !utf8.Valid(v) {
		return
	}
	e.key(k)
	for _, c := range v {
		if c == '\n' || c == '\r' { // between tokens: valid JSON has none in a string
			c = ' '
		}
		e.buf = append(e.buf, c)
	}
}

// quote appends a JSON string.
func (e *encoder) quote(s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			quoted, _ := json.Marshal(s) // it has no error for a string
			e.buf = append(e.buf, quoted...)
			return
		}
	}
	e.buf = append(e.buf, '"')
	e.buf = append(e.buf, s...)
	e.buf = append(e.buf, '"')
}

// supervisor encodes what a supervisor says; false for other types.
func (e *encoder) supervisor(f *Frame) bool {
	switch f.Type {
	case Welcome:
		e.count(keyProto, f.Proto)
		e.str(keySlot, f.Slot)
		e.count(keyMaxHeader, f.MaxHeader)
		e.count(keyMaxBody, f.MaxBody)
		e.millis(keyBeat, f.Beat)
		e.count(keyConcurrency, f.Concurrency)
	case Task:
		e.integer(keyID, f.ID)
		e.str(keyName, f.Name)
		e.count(keyAttempt, f.Attempt)
		e.millis(keyDeadline, f.Deadline)
		e.str(keyCT, f.ContentType)
		e.texts(keyHdr, f.Header)
	case Cancel:
		e.integer(keyID, f.ID)
		e.str(keyReason, f.Reason)
	case Ping:
		e.integer(keyN, f.N)
	case Drain:
		e.millis(keyDeadline, f.Deadline)
	default:
		return false
	}
	return true
}

// worker encodes what a worker says.
func (e *encoder) worker(f *Frame) {
	switch f.Type {
	case Step:
		e.str(keyMsg, f.Message)
	case Hello:
		e.hello(f)
	case OK:
		e.integer(keyID, f.ID)
	case Error:
		e.integer(keyID, f.ID)
		e.str(keyKind, f.Kind)
		e.str(keyMsg, f.Message)
		if f.Permanent {
			e.key(keyPermanent)
			e.buf = append(e.buf, "true"...)
		}
	case Retry:
		e.integer(keyID, f.ID)
		e.millis(keyAfter, f.After)
		e.str(keyMsg, f.Message)
	case Progress:
		e.integer(keyID, f.ID)
		e.number(keyPct, f.Percent)
		e.str(keyMsg, f.Message)
	case Log:
		e.integer(keyID, f.ID)
		e.str(keyLevel, f.Level)
		e.str(keyMsg, f.Message)
		e.object(keyF, f.Fields)
	case Pong:
		e.integer(keyN, f.N)
	case Bye:
		e.str(keyReason, f.Reason)
	default:
		// Beat, or a type that we do not know.
	}
}

func (e *encoder) hello(f *Frame) {
	e.count(keyProto, f.Proto)
	e.strings(keyTasks, f.Tasks)
	e.count(keyConcurrency, f.Concurrency)
	e.strings(keyCaps, f.Caps)
	e.str(keySDK, f.SDK)
	e.count(keyPID, f.PID)
}
