package child

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"sync"

	"github.com/magne-actors/magne-actors/internal/wire"
)

// LogHandler is a slog.Handler that sends the records of a task to the log of
// magne-actors, with their attributes and the task's id. It knows the task by the
// context: log with slog.InfoContext(ctx, ...) and its like.
//
//	slog.SetDefault(slog.New(child.NewLogHandler(nil)))
//
// It is safe for concurrent use.
type LogHandler struct {
	outside slog.Handler // for records of no task
	fields  slog.Handler // renders the attributes into buf, as JSON
	buf     *buffer
}

// buffer is shared by a LogHandler and those that were derived of it.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) { return b.text.Write(p) }

// NewLogHandler returns a LogHandler. Records that belong to no task, and all
// those of a program that is no worker, go to outside; nil is text on stderr,
// which is a line in the log as well. outside also says which levels are enabled.
func NewLogHandler(outside slog.Handler) *LogHandler {
	if outside == nil {
		outside = slog.NewTextHandler(os.Stderr, nil)
	}
	buf := &buffer{}
	return &LogHandler{outside, slog.NewJSONHandler(buf, &slog.HandlerOptions{Level: slog.Level(-100)}).WithGroup("f"), buf}
}

// Enabled implements slog.Handler.
func (h *LogHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.outside.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (h *LogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &LogHandler{h.outside.WithAttrs(attrs), h.fields.WithAttrs(attrs), h.buf}
}

// WithGroup implements slog.Handler.
func (h *LogHandler) WithGroup(name string) slog.Handler {
	return &LogHandler{h.outside.WithGroup(name), h.fields.WithGroup(name), h.buf}
}

// Handle implements slog.Handler. It blocks while the pipe to the supervisor is
// full. Attributes that are too long for a frame are left out.
func (h *LogHandler) Handle(ctx context.Context, r slog.Record) error {
	c := taskOf(ctx)
	if c == nil {
		return h.outside.Handle(ctx, r)
	}
	fields, err := h.render(ctx, r)
	f := &wire.Frame{Type: wire.Log, ID: c.id, Level: levelName(r.Level), Message: clip(r.Message), Fields: fields}
	sent := c.link.send(f)
	if errors.Is(sent, wire.ErrTooLarge) {
		f.Fields = nil
		sent = c.link.send(f)
	}
	return cmp.Or(sent, err)
}

// render returns the attributes as a JSON object, nil without any.
func (h *LogHandler) render(ctx context.Context, r slog.Record) (json.RawMessage, error) {
	h.buf.mu.Lock()
	defer h.buf.mu.Unlock()
	h.buf.text.Reset()
	if err := h.fields.Handle(ctx, r); err != nil {
		return nil, err
	}
	var line struct{ F json.RawMessage }
	err := json.Unmarshal(h.buf.text.Bytes(), &line)
	return line.F, err
}

func levelName(l slog.Level) string {
	switch {
	case l < slog.LevelInfo:
		return "debug"
	case l < slog.LevelWarn:
		return "info"
	case l < slog.LevelError:
		return "warning"
	default:
		return "error"
	}
}
