package engine

import (
	"log/slog"
	"math"
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/store"
)

// Defaults of Options and Limits.
const (
	DefaultBodyMemory      = 64 << 20
	DefaultTransientBytes  = 512 << 20
	DefaultQueues          = 100_000
	DefaultConsumerTimeout = 30 * time.Minute
)

// Options configure an engine. The zero value is one in memory only.
type Options struct {
	// Dir holds durable queues and persistent messages. "": everything is in
	// memory and gone after Close.
	Dir string

	// Fsync is how long a confirmed message may be without an fsync. 0: never.
	Fsync time.Duration

	// BodyMemory is how many bytes of bodies are kept in memory of messages that
	// are on disk as well. 0: DefaultBodyMemory; negative: none.
	BodyMemory int64

	Limits Limits

	// ConsumerTimeout is how long a delivery may be without an acknowledgement. 0:
	// DefaultConsumerTimeout; negative: for ever. Channel.Overdue tells.
	ConsumerTimeout time.Duration

	// OnBlocked is called when publishers should stop, with the reason, and with ""
	// when they may go on. It must neither wait nor call the engine.
	OnBlocked func(reason string)

	// SegmentBytes is the size of the log's files. 0: store.DefaultSegmentBytes.
	SegmentBytes int64

	// Fault is the store's, for tests.
	Fault func(op store.Op, file string) error

	Logger *slog.Logger // nil: none
}

// Limits bound what clients can make the engine hold. 0 is the default, a
// negative one is no limit.
type Limits struct {
	Queues int // DefaultQueues

	// TransientBytes bounds the bodies and properties that are in memory only; above
	// it OnBlocked is called. DefaultTransientBytes.
	TransientBytes int64
}

func (o *Options) defaults() {
	if o.BodyMemory == 0 {
		o.BodyMemory = DefaultBodyMemory
	}
	if o.ConsumerTimeout == 0 {
		o.ConsumerTimeout = DefaultConsumerTimeout
	}
	if o.Limits.Queues == 0 {
		o.Limits.Queues = DefaultQueues
	}
	if o.Limits.TransientBytes == 0 {
		o.Limits.TransientBytes = DefaultTransientBytes
	}
	if o.Limits.TransientBytes < 0 {
		o.Limits.TransientBytes = math.MaxInt64
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}
