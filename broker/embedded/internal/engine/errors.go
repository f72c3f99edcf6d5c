package engine

import (
	"errors"
	"fmt"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// ErrClosed is what Publish returns after Close.
var ErrClosed = errors.New("engine: closed")

// Error is an error of AMQP: wire.HardError(Code) says whether it ends the
// connection or the channel. Every error that the engine returns to a client's
// method is one, but ErrClosed.
type Error struct {
	Code uint16
	Text string // as it is given to wire.ReplyText: "no queue 'q' in vhost '/'"
}

// Error returns the text as RabbitMQ writes it.
func (e *Error) Error() string { return wire.ReplyText(e.Code, e.Text) }

func errorf(code uint16, format string, args ...any) error {
	return &Error{code, fmt.Sprintf(format, args...)}
}
