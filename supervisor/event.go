package supervisor

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// EventType says what happened to a child.
type EventType string

// Types of events.
const (
	EventStarted   EventType = "started"   // it is up
	EventEnded     EventType = "ended"     // as asked, or because it had nothing more to do
	EventFailed    EventType = "failed"    // it ended with an error
	EventKilled    EventType = "killed"    // it did not stop in time; EventEnded or so follows
	EventAbandoned EventType = "abandoned" // it did not stop in time and may still run
	EventBackoff   EventType = "backoff"   // it will be restarted after Delay
	EventGaveUp    EventType = "gave_up"   // a supervisor stops its children and then itself
	EventParked    EventType = "parked"    // a supervisor gave up and waits for an operator
	EventAdded     EventType = "added"
	EventRemoved   EventType = "removed"
)

// Event is one thing that happened to a child.
type Event struct {
	Time       time.Time     `json:"time"`
	Type       EventType     `json:"type"`
	ID         string        `json:"id"`
	Kind       string        `json:"-"` // of the child
	Generation int           `json:"generation"`
	Reason     string        `json:"reason,omitempty"` // of an end: normal, shutdown, abnormal
	Error      string        `json:"error,omitempty"`  // Err in one line
	Delay      time.Duration `json:"delay_ns,omitempty"`
	Err        error         `json:"-"`
}

// Observe has f called for each event of the tree. Call it before Run, once. f is
// called on the goroutines of the supervisors, several at the same time, and must
// not block; for one child the events come in their order.
func (s *System) Observe(f func(Event)) { s.observer = f }

// words are the event in a log.
func (t EventType) words() (slog.Level, string) {
	switch t {
	case EventStarted:
		return slog.LevelDebug, "child started"
	case EventEnded:
		return slog.LevelDebug, "child ended"
	case EventFailed:
		return slog.LevelError, "child failed"
	case EventKilled:
		return slog.LevelWarn, "child killed: it did not stop in time"
	case EventAbandoned:
		return slog.LevelError, "child abandoned: it did not stop in time and may still run"
	case EventBackoff:
		return slog.LevelWarn, "child will be restarted"
	case EventGaveUp:
		return slog.LevelError, "supervisor gave up"
	case EventParked:
		return slog.LevelError, "child parked"
	case EventAdded:
		return slog.LevelInfo, "child added"
	case EventRemoved:
		return slog.LevelInfo, "child removed"
	}
	return slog.LevelInfo, string(t)
}

// report logs an event and tells the observer.
func (s *supervisor) report(n *node, e Event) {
	e.ID, e.Kind, e.Time = n.id, n.kind, time.Now()
	if e.Err != nil {
		e.Error = firstLine(e.Err.Error())
	}
	level, text := e.Type.words()
	if e.Type == EventAbandoned && n.spec.Shutdown == BrutalKill { // that is what was asked for
		level, text = EventEnded.words()
	}
	if ctx := context.Background(); s.sys.log.Enabled(ctx, level) {
		s.sys.log.Log(ctx, level, text, e.attrs()...) //nolint:sloglint // one of the constants of words
	}
	if s.sys.observer != nil {
		s.call(n, func() { s.sys.observer(e) })
	}
}

func (e *Event) attrs() []any {
	attrs := withStack(e.Err, "actor", e.ID, "generation", e.Generation)
	switch e.Type {
	case EventEnded:
		attrs = append(attrs, "reason", e.Reason)
	case EventBackoff:
		attrs = append(attrs, "restart_in", e.Delay)
	default: // says it all
	}
	return attrs
}

// withStack adds an error, and its stack if it has one, to a log's attributes.
func withStack(err error, attrs ...any) []any {
	if err == nil {
		return attrs
	}
	attrs = append(attrs, "err", err)
	if p, ok := errors.AsType[*PanicError](err); ok {
		attrs = append(attrs, "stack", string(p.Stack))
	}
	return attrs
}
