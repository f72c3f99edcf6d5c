package embedded

import (
	"fmt"
	"log/slog"
	"time"
)

// Options configure a broker. The zero value is one that keeps everything in
// memory and lets guest in, with the password guest, from this machine only.
type Options struct {
	// Dir holds durable queues and persistent messages; it is made if missing. "":
	// everything is in memory and gone after Close.
	Dir string

	// Fsync is how long a confirmed message may be without an fsync. 0: never, each
	// confirm follows the fsync, one for all messages that wait.
	Fsync time.Duration

	// BodyMemory is how many bytes of bodies are kept in memory of messages that
	// are on disk as well. 0: 64 MiB; negative: none.
	BodyMemory int64

	// Users are who may connect, from anywhere. nil: only guest with the password
	// guest, over the loopback interface, a unix socket or Dial, as with RabbitMQ.
	// Over Dial guest may connect in any case, unless Users has another guest: who
	// can call it needs no password.
	Users map[string]Hash

	Limits Limits

	// ConsumerTimeout is how long a delivery may be without an acknowledgement until
	// its channel is closed. 0: 30 minutes; negative: for ever.
	ConsumerTimeout time.Duration

	// Heartbeat is the interval that is proposed to clients, of whole seconds, at
	// most 65535. 0: 60 s; negative: none is proposed.
	Heartbeat time.Duration

	// Faults, for tests, gets a hold of the broker. nil: none.
	Faults *Faults

	Logger *slog.Logger // nil: none
}

// Limits bound what clients can make the broker hold. For each of them 0 is the
// default.
type Limits struct {
	Connections    int   // 1024; more are refused by connection.open
	Channels       int   // of a connection, 2047; at most 65535
	Consumers      int   // of a channel, 10000
	FrameBytes     int   // 131072; at least 4096
	MessageBytes   int   // of a body, 128 MiB; larger ones close the channel
	Queues         int   // 100000
	TransientBytes int64 // of messages that are in memory only, 512 MiB; more block publishers
	BufferBytes    int   // of a connection, for what is to be written, 512 KiB; deliveries wait above it

	Handshake time.Duration // for connection.open from the first byte on, 10 s
	Write     time.Duration // a client that takes nothing for so long is cut off, 5 minutes
}

// The defaults are RabbitMQ's where it has one.
const (
	defaultConnections  = 1024
	defaultChannels     = 2047
	defaultConsumers    = 10_000
	defaultFrameBytes   = 128 << 10
	defaultMessageBytes = 128 << 20
	defaultBufferBytes  = 512 << 10
	defaultHandshake    = 10 * time.Second
	defaultWrite        = 5 * time.Minute
	defaultHeartbeat    = 60 * time.Second
)

func (o Options) withDefaults() (Options, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Faults == nil {
		o.Faults = &Faults{}
	}
	switch {
	case o.Heartbeat == 0:
		o.Heartbeat = defaultHeartbeat
	case o.Heartbeat > 65535*time.Second || o.Heartbeat > 0 && o.Heartbeat < time.Second:
		return o, fmt.Errorf("embedded: heartbeat of %v: want 1 s to 65535 s", o.Heartbeat)
	}
	for user, h := range o.Users {
		if user == "" {
			return o, fmt.Errorf("embedded: a user without a name")
		}
		if err := h.Validate(); err != nil {
			return o, fmt.Errorf("embedded: password hash of user %q: %w", user, err)
		}
	}
	var err error
	o.Limits, err = o.Limits.withDefaults()
	return o, err
}

func (l Limits) withDefaults() (Limits, error) {
	for _, f := range []struct {
		name        string
		value       *int
		def, lo, hi int
	}{
		{"connections", &l.Connections, defaultConnections, 1, 1 << 20},
		{"channels", &l.Channels, defaultChannels, 1, 65535},
		{"consumers", &l.Consumers, defaultConsumers, 1, 1 << 30},
		{"frame bytes", &l.FrameBytes, defaultFrameBytes, 4096, 1 << 30},
		{"message bytes", &l.MessageBytes, defaultMessageBytes, 1, 1 << 30},
		{"buffer bytes", &l.BufferBytes, defaultBufferBytes, 4096, 1 << 30},
	} {
		if *f.value == 0 {
			*f.value = f.def
		}
		if *f.value < f.lo || *f.value > f.hi {
			return l, fmt.Errorf("embedded: limit of %s is %d: want %d to %d", f.name, *f.value, f.lo, f.hi)
		}
	}
	for _, f := range []struct {
		name  string
		value *time.Duration
		def   time.Duration
	}{{"handshake", &l.Handshake, defaultHandshake}, {"write", &l.Write, defaultWrite}} {
		if *f.value == 0 {
			*f.value = f.def
		}
		if *f.value < 0 {
			return l, fmt.Errorf("embedded: limit of %s is %v: want more than 0", f.name, *f.value)
		}
	}
	return l, nil
}
