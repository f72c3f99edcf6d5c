package wire

import (
	"fmt"
	"io"
)

// Writer writes frames.
type Writer struct {
	w      io.Writer
	limits Limits
	buf    []byte
	err    error
}

// NewWriter returns a Writer to w with the limits that the peer has.
func NewWriter(w io.Writer, l Limits) *Writer {
	return &Writer{w: w, limits: l.withDefaults()}
}

// copied is the length of the longest body that is copied behind its header, so
// that one write suffices.
const copied = 16 << 10

// Write blocks until f is written. An error that wraps ErrTooLarge concerns this
// frame only: nothing was written. Every other error is final, because a part of
// the frame may have been written.
func (w *Writer) Write(f *Frame) error {
	if w.err != nil {
		return w.err
	}
	w.buf = AppendHeader(w.buf[:0], f)
	if len(w.buf) > w.limits.MaxHeader {
		return fmt.Errorf("wire: write %s frame: a header of %d bytes, more than %d: %w", f.Type, len(w.buf), w.limits.MaxHeader, ErrTooLarge)
	}
	if f.Type.hasBody() && len(f.Body) > w.limits.MaxBody {
		return fmt.Errorf("wire: write %s frame: a body of %d bytes, more than %d: %w", f.Type, len(f.Body), w.limits.MaxBody, ErrTooLarge)
	}
	w.err = w.send(f)
	return w.err
}

func (w *Writer) send(f *Frame) error {
	var tail []byte
	if f.Type.hasBody() {
		if len(f.Body) <= copied {
			w.buf = append(w.buf, f.Body...)
		} else {
			tail = f.Body
		}
	}
	for _, part := range [][]byte{w.buf, tail} {
		if len(part) == 0 {
			continue
		}
		if _, err := w.w.Write(part); err != nil {
			return fmt.Errorf("wire: write %s frame: %w", f.Type, err)
		}
	}
	return nil
}
