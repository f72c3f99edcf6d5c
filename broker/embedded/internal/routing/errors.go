package routing

import (
	"fmt"
	"strings"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// Error refuses what a client asked for. Text is an explanation for
// wire.ReplyText, which puts the name of the code before it.
type Error struct {
	Code uint16
	Text string
}

// Error returns the text as the client is told it.
func (e *Error) Error() string { return wire.ReplyText(e.Code, e.Text) }

func errorf(code uint16, format string, args ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// There is one virtual host, and RabbitMQ's texts name it.

// ExchangeText names an exchange as RabbitMQ does in its texts.
func ExchangeText(name string) string { return "exchange '" + name + "' in vhost '/'" }

// QueueText names a queue as RabbitMQ does in its texts.
func QueueText(name string) string { return "queue '" + name + "' in vhost '/'" }

// NoExchange is the error about an exchange that does not exist.
func NoExchange(name string) *Error {
	return errorf(wire.CodeNotFound, "no %s", ExchangeText(name))
}

// NoQueue is the error about a queue that does not exist.
func NoQueue(name string) *Error {
	return errorf(wire.CodeNotFound, "no %s", QueueText(name))
}

// ReservedName returns the error about a new exchange or queue, as kind says,
// whose name begins with "amq.", or nil.
func ReservedName(kind, name string) error {
	if strings.HasPrefix(name, "amq.") {
		return errorf(wire.CodeAccessRefused, "%s name '%s' contains reserved prefix 'amq.*'", kind, name)
	}
	return nil
}

// CleanName returns a name without line ends, which RabbitMQ takes out of the
// names of exchanges and queues when they are declared, bound and deleted, but not
// when they are published to or consumed from. Declare, Bind and their like do it
// themselves.
func CleanName(name string) string {
	if !strings.ContainsAny(name, "\r\n") {
		return name
	}
	return strings.NewReplacer("\r", "", "\n", "").Replace(name)
}
