package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// Dialer opens sessions to one broker.
type Dialer interface {
	// Dial connects, authenticates and returns a live session. It makes one
	// attempt: backoff and retries are the caller's. It blocks until the
	// handshake is done or ctx ends. The error wraps ErrDenied when the broker
	// refused the credentials or the virtual host; it never contains a password.
	Dial(ctx context.Context) (Session, error)
}

// Session is one connection (or pair of connections) to a broker. Everything
// made from it dies with it. All methods are safe for concurrent use.
type Session interface {
	// Consume declares src.Queue as src.Queue.Declare asks for and starts
	// consuming from it with a window of src.Credit unsettled deliveries. It
	// blocks until the broker has confirmed the consumers or ctx ends. The error
	// wraps ErrTopology when the queue is missing or differs from src.Queue; the
	// session and its other consumers stay alive then.
	Consume(ctx context.Context, src Source) (Consumer, error)

	// Declare does what Consume does about a queue before it consumes, and no more:
	// so that messages have where to wait until somebody does. A passive queue it
	// leaves alone. It blocks and fails as Consume does.
	Declare(ctx context.Context, q Queue) error

	// Apply declares the exchanges of t, then its queues as each of them asks for,
	// then its bindings, on channels of its own. What exists as described is left as
	// it is, so that Apply may be repeated. It blocks until the broker has done all of
	// it or ctx ends. It stops at the first refusal: what came before is declared, and
	// the session stays alive. The error names the object and wraps ErrTopology when
	// that exists with other arguments or leads to one that is missing, and
	// ErrForbidden when the user has no right to it.
	Apply(ctx context.Context, t Topology) error

	// Publish hands p to the broker, persistent and mandatory as p says. It
	// blocks while the confirm window is full or the broker has blocked the
	// connection, at most until ctx ends; a non-nil error means that p was not
	// accepted and done is never called; it wraps ErrInvalid when p itself is why.
	// Otherwise done is called exactly once, from a goroutine of the session that
	// it must not block: with nil after the broker's confirm, or with an error that
	// wraps ErrUnroutable, ErrRefused or ErrUnknown; one that wraps ErrUnroutable
	// wraps ErrTopology as well when there is no such exchange, and one that wraps
	// ErrRefused wraps ErrForbidden when the user may not publish to it. Neither
	// disturbs other publications.
	Publish(ctx context.Context, p *Publication, done func(error)) error

	// Blocked returns since when, and in its own words why, the broker takes no
	// publications from this session (connection.blocked, in an alarm about memory
	// or disk), or the zero time when it does. Publish waits meanwhile, and
	// consumers go on. It does not block.
	Blocked() (reason string, since time.Time)

	// Done is closed when the session is dead; Err then says why (nil after a
	// Close of ours). See [FaultOf].
	Done() <-chan struct{}
	Err() error

	// Close waits for outstanding confirms and settlements until ctx ends, then
	// closes the connections. Deliveries that are still unsettled return to
	// their queues.
	Close(ctx context.Context) error
}

// Addressed is a Session that knows which of several brokers it is connected to.
type Addressed interface {
	// Address names the broker as a URL without user and password.
	Address() string
}

// Source says what to consume.
type Source struct {
	Queue  Queue
	Credit int // deliveries that may be unsettled at once (AMQP prefetch); at least 1

	// Settled, when not nil, is called with the number of settlements that have
	// been written to the broker, or dropped because the consumer died. Each
	// Settle that returned nil is counted in exactly one call. It is called from
	// a goroutine of the consumer and must not block.
	Settled func(n int)
}

// Consumer is one subscription to a queue: one epoch. Its deliveries can be
// settled on it and nowhere else.
type Consumer interface {
	// Tag is the name by which the broker's tools know the consumer; of one that is
	// spread over several channels it is the beginning of each one's.
	Tag() string

	// Deliveries yields what the broker delivers. It is closed after Cancel,
	// once everything that was already in flight to us has been read, and when
	// the consumer dies.
	Deliveries() <-chan *Delivery

	// Settle queues the settlement of a delivery of this consumer. It never
	// blocks. The caller settles each delivery at most once. It returns ErrStale
	// when the consumer is dead: nothing is sent then, the broker gives the
	// delivery to somebody else.
	Settle(tag uint64, v Verdict) error

	// Cancel tells the broker to send no more deliveries; settling goes on. It
	// blocks until the broker has agreed or ctx ends.
	Cancel(ctx context.Context) error

	// Done is closed when the consumer is dead; Err then says why (nil after
	// Close).
	Done() <-chan struct{}
	Err() error

	// Close flushes the queued settlements until ctx ends and ends the
	// subscription; what is unsettled returns to the queue.
	Close(ctx context.Context) error
}

// Properties are the AMQP basic properties, without those that only a broker
// sets. The zero value of a field means absent.
type Properties struct {
	ContentType, ContentEncoding     string
	MessageID, CorrelationID, Type   string
	ReplyTo, Expiration, AppID, User string
	Timestamp                        time.Time
	Priority                         uint8
	Persistent                       bool
	Headers                          map[string]any // AMQP field table; values as amqp091-go decodes them
}

// HeaderDropped is the only header of a [Delivery] whose own headers the client
// cannot take: tables nested deeper than 32, more than 8192 elements in a table or
// list, or what is no table at all. Its value says which. The rest of the message
// is as it was sent, and the broker has it whole. Anybody can send a header of
// this name: it is no proof.
const HeaderDropped = "x-magne-headers"

// Delivery is one message that the broker has handed to a consumer. It is not
// changed after it was received.
type Delivery struct {
	Properties
	Tag                  uint64 // identifies the delivery within its Consumer; opaque
	Queue                string
	Exchange, RoutingKey string
	Redelivered          bool
	Body                 []byte
}

// Publication is a message to publish. Its fields must not be changed until its
// done function was called.
type Publication struct {
	Properties
	Exchange, RoutingKey string // Exchange "" is the default exchange: the key is a queue's name
	Body                 []byte
}

// Verdict is what the broker shall do with a delivery.
type Verdict uint8

const (
	Ack     Verdict = iota + 1 // done: forget it (basic.ack)
	Requeue                    // not tried, or taken away while it was: give it to somebody else (basic.nack, requeue)
	Reject                     // drop it, or dead-letter it by the queue's own arguments (basic.reject)
	Failed                     // tried and failed: give it to somebody else, and count it (basic.reject, requeue)
)

// Returns reports whether v has the broker give the delivery out again. From
// RabbitMQ 4.3 on, a quorum queue counts Failed towards x-delivery-limit and Requeue
// not (its documentation of quorum queues, "When is delivery count incremented?");
// before, and in the embedded broker, both count.
func (v Verdict) Returns() bool { return v == Requeue || v == Failed }

// Declare says what a consumer does about a queue before it consumes.
type Declare uint8

const (
	DeclareCreate  Declare = iota // create it when it is missing; a difference is ErrTopology
	DeclareMatch                  // it must exist, with exactly these arguments
	DeclarePassive                // it must exist, with whatever arguments
)

// Queue describes a queue and what belongs to it.
type Queue struct {
	Name    string
	Declare Declare
	Durable bool           // survives a broker restart; the exchange, if any, too
	Args    map[string]any // x-queue-type and the like

	// Exchange, when not empty, is a direct exchange to declare and to bind the
	// queue to with Key, or with its own name where Key is empty.
	Exchange string
	Key      string

	// Dead, when not nil, is where dead letters of the queue go. It is declared
	// in the same way (never for DeclarePassive, where it must exist).
	Dead *Queue
}

// BindingKey returns the routing key that leads from q.Exchange to q.
func (q *Queue) BindingKey() string { return cmp.Or(q.Key, q.Name) }

var (
	// ErrDenied: the broker refused the credentials or the virtual host.
	// Trying again without a change of configuration does not help.
	ErrDenied = errors.New("access refused by the broker")
	// ErrTopology: a queue or exchange is missing or has other arguments.
	ErrTopology = errors.New("topology mismatch")
	// ErrForbidden: the user may not do that to this queue or exchange. Errors that
	// wrap it wrap ErrDenied, too.
	ErrForbidden = fmt.Errorf("no permission: %w", ErrDenied)
	// ErrStale: the consumer of that delivery is dead.
	ErrStale = errors.New("consumer is gone")
	// ErrUnroutable: the message reached no queue (basic.return).
	ErrUnroutable = errors.New("unroutable")
	// ErrInvalid: the publication was refused here, and the broker never saw it:
	// its headers are too large, nested too deeply or of a type that AMQP does not
	// have, or a short string, such as a key or a property, is longer than 255
	// bytes. Publishing the same again cannot help.
	ErrInvalid = errors.New("message cannot be sent")
	// ErrRefused: the broker answered basic.nack (queue full, alarm, failure).
	ErrRefused = errors.New("refused by the broker")
	// ErrUnknown: the session was lost before the confirm came; the message may
	// or may not have arrived. Publish it again with the same message id.
	ErrUnknown = errors.New("outcome unknown: connection lost before the confirm")
	// ErrClosed: the session was closed by us.
	ErrClosed = errors.New("session closed")
)

// PublishAndWait publishes p and waits for the broker's answer or the end of ctx.
// When ctx ends first the error wraps both ErrUnknown and ctx's error.
func PublishAndWait(ctx context.Context, s Session, p *Publication) error {
	answer := make(chan error, 1)
	if err := s.Publish(ctx, p, func(err error) { answer <- err }); err != nil {
		return err
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return errors.Join(ErrUnknown, ctx.Err())
	}
}
