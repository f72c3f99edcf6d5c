package wire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"slices"
)

// readBuffer is the size of a Reader's buffer: small messages come many to a
// read, and a connection that does nothing holds no more than this.
const readBuffer = 32 << 10

// Reader reads frames. It belongs to one goroutine, and is of no use after an
// error.
type Reader struct {
	in  *bufio.Reader
	max int    // of a payload
	big []byte // payload of the last frame that did not fit into the buffer
}

// NewReader returns a Reader that takes frames of up to MinFrameSize. It reads
// ahead.
func NewReader(r io.Reader) *Reader {
	return &Reader{in: bufio.NewReaderSize(r, readBuffer), max: MinFrameSize}
}

// SetFrameMax sets the limit for the frames that come, in bytes, once it has
// been negotiated. Limits below MinFrameSize, 0 too, count as MinFrameSize: there
// are no frames without a limit. Like RabbitMQ, a Reader takes the limit for the
// one of the payload, as some clients do.
func (r *Reader) SetFrameMax(n uint32) { r.max = int(min(max(n, MinFrameSize), 1<<30)) }

// Buffered returns the number of bytes that have been read ahead. When it is 0,
// ReadFrame is likely to block.
func (r *Reader) Buffered() int { return r.in.Buffered() }

// ReadProtocolHeader reads what a client sends first. It returns
// ErrProtocolHeader when that is something else, or an error of the io.Reader.
func (r *Reader) ReadProtocolHeader() error {
	header, err := r.in.Peek(len(ProtocolHeader))
	if err != nil {
		return r.end(err)
	}
	if string(header) != ProtocolHeader {
		return ErrProtocolHeader
	}
	_, err = r.in.Discard(len(header))
	return err
}

// ReadFrame reads one frame. It blocks as the io.Reader does. The error is a
// *FrameError, io.EOF at the end of the input between two frames,
// io.ErrUnexpectedEOF within one, or the error of the io.Reader.
func (r *Reader) ReadFrame() (Frame, error) {
	header, err := r.in.Peek(frameHeader)
	if err != nil {
		return Frame{}, r.end(err)
	}
	f := Frame{Type: header[0], Channel: binary.BigEndian.Uint16(header[1:])}
	size := binary.BigEndian.Uint32(header[3:])
	if err := r.check(f, size); err != nil {
		return Frame{}, err
	}
	whole, err := r.whole(frameHeader + int(size) + 1)
	if err != nil {
		return Frame{}, err
	}
	last := len(whole) - 1
	if end := whole[last]; end != frameEnd {
		return Frame{}, frameErrorf("type %d, channel %d: ends with octet %d", f.Type, f.Channel, end)
	}
	f.Payload = whole[frameHeader:last:last]
	return f, nil
}

// check refuses a frame by its header, before memory is taken for it.
func (r *Reader) check(f Frame, size uint32) error {
	switch f.Type {
	case FrameMethod, FrameHeader, FrameBody:
	case FrameHeartbeat:
		if size > 0 {
			return frameErrorf("channel %d: a heartbeat with a payload of %d bytes", f.Channel, size)
		}
	default:
		return frameErrorf("type %d, channel %d: unknown frame", f.Type, f.Channel)
	}
	if size > uint32(r.max) {
		return frameErrorf("type %d, channel %d: a payload of %d bytes is too large, the limit is %d", f.Type, f.Channel, size, r.max-FrameOverhead)
	}
	return nil
}

// whole returns the next n bytes: in place if the buffer can hold them.
func (r *Reader) whole(n int) ([]byte, error) {
	if n > readBuffer {
		return r.large(n)
	}
	b, err := r.in.Peek(n)
	if err != nil {
		return nil, unexpected(err)
	}
	_, err = r.in.Discard(n) // the bytes stay where they are until the next read
	return b, err
}

// large reads into memory that grows with what has arrived, at most to twice as
// much: a size in a header takes none.
func (r *Reader) large(n int) ([]byte, error) {
	b := r.big[:0]
	for len(b) < n {
		have, step := len(b), min(n-len(b), max(len(b), readBuffer))
		b = slices.Grow(b, step)[:have+step]
		if _, err := io.ReadFull(r.in, b[have:]); err != nil {
			return nil, unexpected(err)
		}
	}
	r.big = b
	return b, nil
}

// end is unexpected unless nothing was read.
func (r *Reader) end(err error) error {
	if r.in.Buffered() == 0 {
		return err
	}
	return unexpected(err)
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
