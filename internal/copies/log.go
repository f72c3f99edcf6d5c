package copies

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/internal/osproc"
)

// line hands a line of the copy's log on.
func (m *member) line(l osproc.Line) {
	ctx := context.Background()
	record, ok := ParseLine(l.Text)
	if !ok {
		record = slog.NewRecord(l.Time, slog.LevelInfo, l.Text, 0)
		if l.Stream == osproc.Stderr { // of a panic, or the last words
			record.Level = slog.LevelWarn
		}
	}
	if !m.g.log.Enabled(ctx, record.Level) {
		return
	}
	record.AddAttrs(slog.Int("copy", m.number))
	_ = m.g.log.Handler().Handle(ctx, record) // as slog.Logger does with the error
}

// ParseLine reads a line that slog.JSONHandler has written. The attributes keep
// their order; a group becomes one again.
func ParseLine(text string) (record slog.Record, ok bool) {
	var attrs control.Attrs
	if !strings.HasPrefix(text, "{") || json.Unmarshal([]byte(text), &attrs) != nil {
		return record, false
	}
	var level slog.Level
	var when time.Time
	var message *string
	var rest []slog.Attr
	for _, a := range attrs {
		s, isText := a.Value.(string)
		switch {
		case a.Key == slog.MessageKey && isText && message == nil:
			message = &s
		case a.Key == slog.LevelKey && isText && level.UnmarshalText([]byte(s)) == nil:
		case a.Key == slog.TimeKey && isText && when.UnmarshalText([]byte(s)) == nil:
		default:
			rest = append(rest, attr(a.Key, a.Value))
		}
	}
	if message == nil {
		return record, false
	}
	record = slog.NewRecord(when, level, *message, 0)
	record.AddAttrs(rest...)
	return record, true
}

// attr is a value of JSON as an attribute.
func attr(key string, value any) slog.Attr {
	switch v := value.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return slog.Int64(key, n)
		}
		f, err := v.Float64()
		if err != nil {
			return slog.String(key, v.String())
		}
		return slog.Float64(key, f)
	case map[string]any:
		group := make([]slog.Attr, 0, len(v))
		for _, name := range slices.Sorted(maps.Keys(v)) {
			group = append(group, attr(name, v[name]))
		}
		return slog.GroupAttrs(key, group...)
	}
	return slog.Any(key, value)
}

// said is what begins the last words of the program.
const said = "magne-actors: "

// lastWords are why a copy has ended, as it said itself, and what to do.
func lastWords(tail []osproc.Line) (message, hint string) {
	for i, l := range slices.Backward(tail) {
		if text, ok := strings.CutPrefix(l.Text, said); ok {
			if i+1 < len(tail) {
				hint = strings.TrimSpace(tail[i+1].Text)
			}
			return text, hint
		}
	}
	for _, l := range slices.Backward(tail) {
		record, ok := ParseLine(l.Text)
		switch {
		case !ok && strings.HasPrefix(l.Text, "panic: "), !ok && strings.HasPrefix(l.Text, "fatal error: "):
			return l.Text, ""
		case ok && record.Level >= slog.LevelError:
			return withError(record), ""
		}
	}
	return "", ""
}

// withError is the message of a record and its error.
func withError(record slog.Record) string {
	text := record.Message
	record.Attrs(func(a slog.Attr) bool {
		if a.Key == "err" {
			text += ": " + a.Value.String()
		}
		return true
	})
	return text
}
