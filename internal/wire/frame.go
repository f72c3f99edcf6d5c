package wire

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Proto is the version of the protocol.
const Proto = 1

// Where the pipes of a worker are, in the worker.
const (
	FdIn  = 3 // it reads what the supervisor says
	FdOut = 4 // it writes what it has to say
)

// Environment of a worker.
const (
	EnvProto  = "MAGNE_PROTO"  // the version of the protocol
	EnvFdIn   = "MAGNE_FD_IN"  // FdIn, or 0 with the stdio transport
	EnvFdOut  = "MAGNE_FD_OUT" // FdOut, or 1 with the stdio transport
	EnvPool   = "MAGNE_POOL"
	EnvSlot   = "MAGNE_SLOT"
	EnvGen    = "MAGNE_GEN"
	EnvCookie = "MAGNE_COOKIE" // random; its absence tells a worker that it was run by hand
)

// Headers of a task that the supervisor adds to those of the message, or sets in
// their place.
const (
	HeaderID          = "magne-id"          // the publisher's id of the message; absent if it gave none
	HeaderQueue       = "magne-queue"       // where the message came from
	HeaderRedelivered = "magne-redelivered" // "true" if the broker has handed it out before, else absent
)

// Type is the t of a frame. A type that is not listed here is valid: a later
// version of the protocol may have it.
type Type string

// What a supervisor says.
const (
	Welcome Type = "welcome" // Proto, Slot, MaxHeader, MaxBody, Beat, Concurrency
	Task    Type = "task"    // ID, Name, Attempt, Deadline, ContentType, Header, Body
	Cancel  Type = "cancel"  // ID, Reason: timeout, revoked, shutdown
	Ping    Type = "ping"    // N
	Drain   Type = "drain"   // Deadline
)

// What a worker says.
const (
	Step     Type = "step"     // Message
	Hello    Type = "hello"    // Proto, Tasks, Concurrency, Caps, SDK, PID
	OK       Type = "ok"       // ID, Body
	Error    Type = "error"    // ID, Kind, Message, Permanent, Body: a traceback
	Retry    Type = "retry"    // ID, After, Message
	Progress Type = "progress" // ID, Percent, Message
	Beat     Type = "beat"     //
	Log      Type = "log"      // ID, Level, Message, Fields
	Pong     Type = "pong"     // N
	Bye      Type = "bye"      // Reason
)

// Capabilities that a hello may list.
const (
	CapCancel       = "cancel"        // it reads cancel frames while a task runs
	CapCancelSignal = "cancel-signal" // SIGUSR1 makes it look for one; without the capability the signal would kill
	CapBeat         = "beat"          // it sends beats while a task runs
)

// Frame is one message of either side. Which fields a type has is said at the
// types; the others are ignored by a Writer and zero from a Reader.
type Frame struct {
	Type Type

	ID   uint64 // of the task, from 1; in a log 0 says that it belongs to none
	Body []byte // owned by the receiver of the frame

	Name        string            // which task
	Attempt     int               // from 1
	Deadline    time.Duration     // what is left; 0 for none
	ContentType string            // of the body
	Header      map[string]string // of the message

	Proto       int // version of the protocol
	Tasks       []string
	Concurrency int // tasks at a time; from a Reader at least 1
	Caps        []string
	SDK         string // name and version
	PID         int    // as the worker sees it
	Slot        string
	MaxHeader   int           // bytes, LF included
	MaxBody     int           // bytes
	Beat        time.Duration // how often a beat is wanted; 0 for never

	Kind      string // class of an error
	Message   string
	Permanent bool          // trying again would not help
	After     time.Duration // how long to wait before a retry
	Percent   float64
	Reason    string
	Level     string          // debug, info, warning, error or what the worker calls it
	Fields    json.RawMessage // a JSON object, or nil
	N         uint64          // a pong has the number of its ping
}

// Limits bound what is read and written. The zero value has the defaults of
// MWP/1.
type Limits struct {
	MaxHeader int // bytes of a header, LF included; default 65,536
	MaxBody   int // bytes of a body; default 16 MiB
}

func (l Limits) withDefaults() Limits {
	return Limits{
		MaxHeader: cmp.Or(l.MaxHeader, 64<<10),
		MaxBody:   cmp.Or(l.MaxBody, 16<<20),
	}
}

// ErrTooLarge is wrapped by the error of a Write whose frame exceeds the limits.
// Nothing has been written then.
var ErrTooLarge = errors.New("over the limit")

// ProtocolError is a violation of MWP/1 by the peer. There is no way to go on
// from it: the worker is to be killed.
type ProtocolError struct {
	What string // is wrong
	Head []byte // the first bytes of the frame, at most 256; nil if it was well-formed
	Err  error  // io.ErrUnexpectedEOF for an end within a frame, else nil
}

func (e *ProtocolError) Error() string {
	if e.Head == nil {
		return "wire: protocol violation: " + e.What
	}
	return fmt.Sprintf("wire: protocol violation: %s: %q", e.What, e.Head)
}

func (e *ProtocolError) Unwrap() error { return e.Err }

// AppendArgs appends the body of a task with content type application/json: the
// arguments, each valid JSON or nil.
func AppendArgs(dst []byte, args, kwargs json.RawMessage) []byte {
	dst = append(dst, '{')
	if len(args) > 0 {
		dst = append(append(dst, `"args":`...), args...)
	}
	if len(kwargs) > 0 {
		if len(args) > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(dst, `"kwargs":`...), kwargs...)
	}
	return append(dst, '}')
}
