package control

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// What a Logs remembers at most, and of one value.
const (
	keepEntries = 4096
	keepBytes   = 4 << 20
	keepValue   = 16 << 10
)

// Entry is a record of the log with its number. The numbers count from 1 and
// leave none out.
type Entry struct {
	Seq     uint64     `json:"seq"`
	Time    time.Time  `json:"time"`
	Level   slog.Level `json:"level"`
	Message string     `json:"msg"`
	Attrs   Attrs      `json:"attrs"`
}

// Attrs are the attributes of an Entry in their order. Their JSON is an object.
type Attrs []Attr

// Attr is an attribute: Value is a string, a bool, an int64, a uint64 or a float64,
// and after decoding a string, a bool or a json.Number.
type Attr struct {
	Key   string
	Value any
}

// Logs remembers the last 4096 records of a log, in at most 4 MiB. Make one with
// NewLogs; several goroutines may use it. A nil one is empty.
type Logs struct {
	next slog.Handler
	ring ring[Entry]
}

// NewLogs returns a Logs of what goes through its Handler to next.
func NewLogs(next slog.Handler) *Logs { return &Logs{next: next} }

// Handler returns the handler to log by. A record that the next handler wants is
// remembered first, as text, and then handed on. It keeps no value of a record
// alive, and waits for no reader for longer than a copy of the ring takes.
func (l *Logs) Handler() slog.Handler { return &recorder{logs: l, next: l.next} }

// keep remembers an entry.
func (l *Logs) keep(e Entry) {
	size := len(e.Message)
	for _, a := range e.Attrs {
		size += len(a.Key)
		if s, ok := a.Value.(string); ok {
			size += len(s)
		}
	}
	l.ring.put(func(seq uint64) Entry { e.Seq = seq; return e }, size, keepEntries, keepBytes)
}

// After returns the entries with higher numbers that are remembered, oldest first.
func (l *Logs) After(seq uint64) []Entry {
	if l == nil {
		return []Entry{}
	}
	return append([]Entry{}, l.ring.after(seq)...)
}

// recorder is the slog.Handler of a Logs.
type recorder struct {
	logs  *Logs
	next  slog.Handler
	attrs Attrs  // of With
	group string // that is open: "a.b."
}

// Enabled implements slog.Handler.
func (r *recorder) Enabled(ctx context.Context, level slog.Level) bool {
	return r.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (r *recorder) Handle(ctx context.Context, record slog.Record) error {
	e := Entry{Time: record.Time, Level: record.Level, Message: record.Message, Attrs: slices.Clip(r.attrs)}
	record.Attrs(func(a slog.Attr) bool {
		e.Attrs = e.Attrs.with(r.group, a)
		return true
	})
	r.logs.keep(e)
	return r.next.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (r *recorder) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *r
	with.next, with.attrs = r.next.WithAttrs(attrs), slices.Clip(r.attrs)
	for _, a := range attrs {
		with.attrs = with.attrs.with(r.group, a)
	}
	return &with
}

// WithGroup implements slog.Handler.
func (r *recorder) WithGroup(name string) slog.Handler {
	if name == "" {
		return r
	}
	with := *r
	with.next, with.group = r.next.WithGroup(name), r.group+name+"."
	return &with
}

// with adds an attribute; those of a group get its name before theirs.
func (as Attrs) with(group string, a slog.Attr) Attrs {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		for _, member := range v.Group() {
			as = as.with(group, member)
		}
		return as
	}
	if a.Key == "" {
		return as
	}
	return append(as, Attr{group + a.Key, kept(v)})
}

// kept is what is remembered of a value: nothing that is alive.
func kept(v slog.Value) any {
	switch v.Kind() {
	case slog.KindBool, slog.KindInt64, slog.KindUint64:
		return v.Any()
	case slog.KindFloat64:
		if f := v.Float64(); f-f == 0 { // JSON has no infinity
			return f
		}
	case slog.KindTime:
		return v.Time().Format(time.RFC3339Nano)
	default:
	}
	text := v.String()
	if len(text) > keepValue {
		text = text[:keepValue] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

// concerns reports whether one of the attributes names the node, or one below it.
// What is said about a pool is said about its router and its workers, and what a
// copy has said about itself and all below it.
func (as Attrs) concerns(node string) bool {
	base, wanted := within(node)
	number := as.copy()
	switch {
	case wanted == 0 && node == "copies" && number > 0, wanted > 0 && number == wanted && base == "root":
		return true
	case wanted > 0 && number > 0 && number != wanted:
		return false
	case number > 0: // the ids that a copy logs have no number
		node = base
	}
	for _, a := range as {
		id, ok := a.Value.(string)
		if !ok {
			continue
		}
		switch a.Key {
		case "actor", "slot", "worker", "id", "child":
		case "pool":
			if node == "pool:"+id || node == "router:"+id {
				return true
			}
		default:
			continue
		}
		if concerns(id, node) {
			return true
		}
	}
	return false
}

// MarshalJSON writes an object with the attributes in their order.
func (as Attrs) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, a := range as {
		if i > 0 {
			b = append(b, ',')
		}
		for j, v := range []any{a.Key, a.Value} {
			text, err := json.Marshal(v)
			if err != nil {
				return nil, fmt.Errorf("control: attribute %q: %w", a.Key, err)
			}
			if j == 1 {
				b = append(b, ':')
			}
			b = append(b, text...)
		}
	}
	return append(b, '}'), nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (as *Attrs) UnmarshalJSON(text []byte) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("control: attributes are no object: %.20q", text)
	}
	*as = Attrs{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return fmt.Errorf("control: attributes: %w", err)
		}
		a := Attr{Key: key.(string)}
		if err := dec.Decode(&a.Value); err != nil {
			return fmt.Errorf("control: attribute %q: %w", a.Key, err)
		}
		*as = append(*as, a)
	}
	return nil
}
