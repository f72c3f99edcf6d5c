package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/engine"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// failure is an error of AMQP: it closes a channel or, by its code, the
// connection.
type failure struct {
	code          uint16
	text          string // for wire.ReplyText
	class, method uint16 // what failed; 0: nothing of the client's
}

func (f *failure) Error() string { return wire.ReplyText(f.code, f.text) }

func (f *failure) hard() bool { return wire.HardError(f.code) }

// of says which method failed, unless that is known.
func (f *failure) of(m wire.Method) *failure {
	if f.class == 0 {
		f.class, f.method = m.ID()
	}
	return f
}

func (f *failure) closeConnection() *wire.ConnectionClose {
	return &wire.ConnectionClose{ReplyCode: f.code, ReplyText: f.Error(), ClassID: f.class, MethodID: f.method}
}

func (f *failure) closeChannel() *wire.ChannelClose {
	return &wire.ChannelClose{ReplyCode: f.code, ReplyText: f.Error(), ClassID: f.class, MethodID: f.method}
}

func failf(code uint16, format string, args ...any) *failure {
	return &failure{code: code, text: fmt.Sprintf(format, args...)}
}

// atMethod adds to the error of a parser which method it was about.
func atMethod(err error, payload []byte) error {
	f, _ := failureOf(err)
	if f != nil && f.class == 0 && len(payload) >= 4 {
		f.class, f.method = binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:])
	}
	return f
}

// failureOf makes a failure of what the engine or the parsers return, or nil if
// err is about the network. internal tells that err is a mistake of ours, to be
// logged: the client learns nothing of it.
func failureOf(err error) (f *failure, internal bool) {
	if f, ok := errors.AsType[*failure](err); ok {
		return f, false
	}
	if e, ok := errors.AsType[*engine.Error](err); ok {
		return &failure{code: e.Code, text: e.Text}, false
	}
	if e, ok := errors.AsType[*wire.FrameError](err); ok {
		return &failure{code: e.Code(), text: e.Text}, false
	}
	if e, ok := errors.AsType[*wire.SyntaxError](err); ok {
		return &failure{code: e.Code(), text: e.Text}, false
	}
	if e, ok := errors.AsType[*wire.UnknownMethodError](err); ok {
		return failf(e.Code(), "there is no method %d of class %d", e.Method, e.Class), false
	}
	if errors.Is(err, engine.ErrClosed) {
		return failf(wire.CodeConnectionForced, shutdownText), false
	}
	if isNetwork(err) {
		return nil, false
	}
	return failf(wire.CodeInternalError, "see the log of the broker"), true
}

// isNetwork reports whether err says that the client is gone.
func isNetwork(err error) bool {
	_, ok := errors.AsType[net.Error](err)
	return ok || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, io.ErrClosedPipe) || errors.Is(err, net.ErrClosed)
}

// shutdownText is RabbitMQ's.
const shutdownText = "broker forced connection closure with reason 'shutdown'"
