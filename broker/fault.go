package broker

import (
	"errors"
	"fmt"
)

// These are why sessions cannot be opened, and why sessions and consumers end. An
// error wraps as many of them as apply, besides those of broker.go; [FaultOf] is
// the one word for it.
var (
	// ErrUnreachable: nobody answers at the broker's address: refused, no route, no
	// such host, or silence until the end of the dial's time.
	ErrUnreachable = errors.New("broker unreachable")
	// ErrSilent: the peer of a live connection has been silent for one and a half
	// heartbeats, or has taken no byte for the write timeout, as when a network
	// swallows all packets.
	ErrSilent = errors.New("the broker has gone silent")
	// ErrVhost: the virtual host does not exist, or the user has no access to it.
	// It comes with ErrDenied.
	ErrVhost = errors.New("virtual host not available")
	// ErrCancelled: the broker has ended a consumer (basic.cancel) and nothing
	// else: its queue was deleted, the node or leader of its queue is gone, or, from
	// RabbitMQ 4.3 on, a delivery was not settled within the consumer timeout. The
	// broker does not say which.
	ErrCancelled = errors.New("consumer cancelled by the broker")
	// ErrChannelClosed: the broker has closed the channel of a consumer. Its code
	// is in the same chain, see [ErrorCode].
	ErrChannelClosed = errors.New("channel closed by the broker")
	// ErrUnknownTag: the broker has closed a channel because of a settlement of a
	// delivery that it does not know, or that was settled before. It is always a
	// fault of a program, and comes with ErrChannelClosed.
	ErrUnknownTag = errors.New("settlement of an unknown delivery")
	// ErrAckTimeout: the broker has closed a channel because one delivery on it was
	// not settled within its consumer timeout (RabbitMQ up to 4.2). It comes with
	// ErrChannelClosed.
	ErrAckTimeout = errors.New("a delivery was not settled in the broker's time")
)

// ReplyError is the broker's own answer to what it refuses: AMQP's reply code and
// text. It comes wrapped in an error that says what was refused.
type ReplyError struct {
	Code int // such as 404
	Text string
}

// Error returns the code and the text.
func (e *ReplyError) Error() string { return fmt.Sprintf("%d %s", e.Code, e.Text) }

// ErrorCode returns the reply code of the [ReplyError] in err, or 0 when the
// broker has said nothing.
func ErrorCode(err error) int {
	if reply, ok := errors.AsType[*ReplyError](err); ok {
		return reply.Code
	}
	return 0
}

// Fault is a word for why there is no session or no consumer. The words are stable:
// events and metrics have them.
type Fault string

// The faults. Those of a channel have the reply code besides, see [ErrorCode].
const (
	FaultNone          Fault = ""
	FaultLost          Fault = "connection_lost" // ended by the peer, or below AMQP
	FaultUnreachable   Fault = "unreachable"
	FaultSilent        Fault = "blackholed"
	FaultDenied        Fault = "auth_failed"
	FaultVhost         Fault = "vhost_gone"
	FaultCancelled     Fault = "consumer_cancelled"
	FaultUnknownTag    Fault = "unknown_tag"
	FaultAckTimeout    Fault = "ack_timeout"
	FaultTopology      Fault = "topology" // a queue is missing, or has other arguments
	FaultForbidden     Fault = "forbidden"
	FaultChannelClosed Fault = "channel_closed"
)

// FaultOf returns the word for why a dial, a session or a consumer has failed with
// err: the most particular one that applies. An error that says nothing of the kind
// is FaultLost, and nil is FaultNone.
func FaultOf(err error) Fault {
	if err == nil {
		return FaultNone
	}
	for _, is := range []struct {
		err   error
		fault Fault
	}{
		{ErrAckTimeout, FaultAckTimeout},
		{ErrUnknownTag, FaultUnknownTag},
		{ErrCancelled, FaultCancelled},
		{ErrTopology, FaultTopology},
		{ErrVhost, FaultVhost},
	} {
		if errors.Is(err, is.err) {
			return is.fault
		}
	}
	closed := errors.Is(err, ErrChannelClosed)
	switch {
	case closed && ErrorCode(err) == 403:
		return FaultForbidden
	case closed:
		return FaultChannelClosed
	case errors.Is(err, ErrDenied):
		return FaultDenied
	case errors.Is(err, ErrSilent):
		return FaultSilent
	case errors.Is(err, ErrUnreachable):
		return FaultUnreachable
	}
	return FaultLost
}
