package task

import (
	"context"
	"encoding/json"
	"time"
)

// Message is one task to run, as a Codec has decoded it from a delivery.
// A handler must not change it.
type Message struct {
	ID      string          // the publisher's id of the message; empty when it gave none
	Name    string          // which handler runs it
	Queue   string          // the queue that it came from
	Args    json.RawMessage // JSON array of positional arguments, or nil
	Kwargs  json.RawMessage // JSON object of named arguments, or nil
	Headers map[string]string
	// Attempt counts from 1, without the runs that ended by Retry. Redelivered says that the broker has handed the
	// message out before, so that this attempt may have been made already.
	Attempt     int
	Redelivered bool
	// Lost is how many worker processes have died under the task. Above 0 it is a
	// suspect; see docs/process-mode.md.
	Lost     int
	Deadline time.Time // zero when the pool has no timeout
}

// Handler runs a task. It returns nil when the task is done, an error made by
// Retry or Discard to say what shall happen next, and any other error for a
// failed attempt. ctx is cancelled at the task's deadline and when the runtime
// is told to stop at once; a handler that ignores it cannot be killed.
type Handler interface {
	Handle(ctx context.Context, m *Message) error
}

// HandlerFunc is a function as a Handler.
type HandlerFunc func(ctx context.Context, m *Message) error

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, m *Message) error { return f(ctx, m) }

// Middleware wraps a handler; the first one given to Mux.Use is the outermost.
type Middleware func(Handler) Handler

// Raw is a message as it travels: what a Codec reads and writes.
type Raw struct {
	MessageID   string
	Type        string
	ContentType string
	Headers     map[string]any // AMQP field table
	Body        []byte
}

// Codec translates between the body format of a publisher and Message. It is
// safe for concurrent use.
type Codec interface {
	// Name is the word that selects the codec in magne.yaml.
	Name() string
	// Decode reads a message. It never panics, whatever the input, and returns
	// an error that says what is wrong and where; m.Queue, Attempt, Redelivered,
	// Lost and Deadline are left to the runtime.
	Decode(r *Raw) (*Message, error)
	// Encode writes the message as a publisher of that format would.
	Encode(m *Message) (*Raw, error)
}
