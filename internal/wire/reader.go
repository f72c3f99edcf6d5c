package wire

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// Reader reads frames.
type Reader struct {
	r      *bufio.Reader
	limits Limits
	long   []byte // a header that is longer than the buffer of r
	header header
	err    error
}

// NewReader returns a Reader of what r has. It buffers 4 KiB.
func NewReader(r io.Reader, l Limits) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, 4<<10), limits: l.withDefaults()}
}

// Next blocks until it has a whole frame and returns it. The error is io.EOF
// when the peer has closed its end between two frames, a *ProtocolError when it
// broke the rules, and that of the pipe, wrapped, otherwise. It is final.
func (r *Reader) Next() (Frame, error) {
	if r.err != nil {
		return Frame{}, r.err
	}
	f, err := r.next()
	if err != nil {
		r.err, r.long = err, nil
		return Frame{}, err
	}
	return f, nil
}

func (r *Reader) next() (Frame, error) {
	line, err := r.line()
	if err != nil {
		return Frame{}, err
	}
	if err := r.header.scan(line); err != nil {
		return Frame{}, violation(err.Error(), line, nil)
	}
	f, n, err := decode(&r.header)
	switch {
	case err != nil:
		return Frame{}, violation(err.Error(), line, nil)
	case n > uint64(r.limits.MaxBody):
		return Frame{}, violation(fmt.Sprintf("a body of %d bytes, more than %d", n, r.limits.MaxBody), line, nil)
	case n == 0:
		return f, nil
	}
	head := clip(line) // reading the body overwrites the line
	if f.Body, err = r.body(int(n), f.Type.hasBody()); errors.Is(err, io.EOF) {
		return Frame{}, violation("the end within a body", head, io.ErrUnexpectedEOF)
	} else if err != nil {
		return Frame{}, fmt.Errorf("wire: read body: %w", err)
	}
	return f, nil
}

// line returns the next line with its LF. It is valid until the next read.
func (r *Reader) line() ([]byte, error) {
	r.long = r.long[:0]
	for {
		part, err := r.r.ReadSlice('\n')
		if len(r.long)+len(part) > r.limits.MaxHeader {
			return nil, violation(fmt.Sprintf("a header of more than %d bytes", r.limits.MaxHeader), append(r.long, part...), nil)
		}
		switch {
		case err == nil && len(r.long) == 0:
			return part, nil
		case err == nil:
			return append(r.long, part...), nil
		case errors.Is(err, bufio.ErrBufferFull):
			r.long = append(r.long, part...)
		case errors.Is(err, io.EOF) && len(r.long)+len(part) == 0:
			return nil, io.EOF
		case errors.Is(err, io.EOF):
			return nil, violation("the end within a header", append(r.long, part...), io.ErrUnexpectedEOF)
		default:
			return nil, fmt.Errorf("wire: read header: %w", err)
		}
	}
}

// body reads n bytes. It believes in a long body only as it arrives: a peer that
// announces 16 MiB and sends none gets 64 KiB.
func (r *Reader) body(n int, keep bool) ([]byte, error) {
	if !keep {
		_, err := r.r.Discard(n)
		return nil, err
	}
	const first = 64 << 10
	body := make([]byte, 0, min(n, first))
	for len(body) < n {
		if len(body) == cap(body) {
			body = append(make([]byte, 0, min(n, 2*cap(body))), body...)
		}
		got, err := r.r.Read(body[len(body):cap(body)])
		body = body[:len(body)+got]
		if err != nil && len(body) < n {
			return nil, err
		}
	}
	return body, nil
}

func violation(what string, head []byte, err error) *ProtocolError {
	return &ProtocolError{What: what, Head: clip(head), Err: err}
}

// clip copies as much of a frame as an error shows.
func clip(head []byte) []byte {
	return append([]byte{}, head[:min(len(head), 256)]...)
}
