package wire

import (
	"errors"
	"fmt"
)

// ErrProtocolHeader is what ReadProtocolHeader returns when the peer speaks
// something else. The answer to it is ProtocolHeader, then the connection is
// closed.
var ErrProtocolHeader = errors.New("wire: the peer does not begin with the protocol header of AMQP 0-9-1")

// FrameError says that the bytes are not a sequence of frames (any more), or
// that a name is not UTF-8, for which RabbitMQ has the same code.
type FrameError struct {
	Text string // "type 9, channel 1: unknown frame"
}

// Error returns the text.
func (e *FrameError) Error() string { return "wire: frame error: " + e.Text }

// Code returns CodeFrameError.
func (e *FrameError) Code() uint16 { return CodeFrameError }

// SyntaxError says that the payload of a frame has values that cannot be.
type SyntaxError struct {
	Text string // "queue.declare: 3 bytes too many"
}

// Error returns the text.
func (e *SyntaxError) Error() string { return "wire: syntax error: " + e.Text }

// Code returns CodeSyntaxError.
func (e *SyntaxError) Code() uint16 { return CodeSyntaxError }

// UnknownMethodError says that the protocol has no such method.
type UnknownMethodError struct {
	Class, Method uint16
}

// Error names the numbers.
func (e *UnknownMethodError) Error() string {
	return fmt.Sprintf("wire: there is no method %d of class %d", e.Method, e.Class)
}

// Code returns CodeNotImplemented.
func (e *UnknownMethodError) Code() uint16 { return CodeNotImplemented }

func frameErrorf(format string, args ...any) error {
	return &FrameError{Text: fmt.Sprintf(format, args...)}
}

func syntaxErrorf(format string, args ...any) error {
	return &SyntaxError{Text: fmt.Sprintf(format, args...)}
}

// ReplyText returns the text of a close method as RabbitMQ writes it: "NOT_FOUND
// - no queue 'q' in vhost '/'", the end replaced by "..." if it is too long for a
// short string.
func ReplyText(code uint16, explanation string) string {
	text := explanation
	if name := CodeName(code); name != "" {
		text = name + " - " + explanation
	}
	if len(text) > maxShort {
		text = cut(text, maxShort-3) + "..."
	}
	return text
}
