package engine

import (
	"errors"
	"fmt"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/routing"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/store"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// ErrClosed is what Publish returns after Close.
var ErrClosed = errors.New("engine: closed")

// Error is an error of AMQP: wire.HardError(Code) says whether it ends the
// connection or the channel. Every error that the engine returns to a client's
// method is one, but ErrClosed.
type Error = routing.Error

func errorf(code uint16, format string, args ...any) error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// refusal is what a client is told when the store does not take its topology.
func refusal(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrFull):
		return errorf(wire.CodeResourceError, "%s: no space left on disk", what)
	case errors.Is(err, store.ErrTooBig):
		return errorf(wire.CodePreconditionFailed, "%s: arguments too big", what)
	case errors.Is(err, store.ErrClosed):
		return ErrClosed
	}
	return errorf(wire.CodeInternalError, "%s: %v", what, err)
}
