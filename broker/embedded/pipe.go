package embedded

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipeBuffer is how much one direction of a pipe holds, at most.
const pipeBuffer = 256 << 10

// pipeAddr is the address of both ends of a pipe.
type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "in-process" }

// newPipe returns the ends of a connection within the process. It behaves as a
// socket: each direction buffers, and what was written before Close can still be
// read.
func newPipe() (client, server *pipe) {
	up, down := newHalf(), newHalf()
	return &pipe{in: down, out: up}, &pipe{in: up, out: down}
}

// pipe is one end.
type pipe struct {
	in, out *half
}

func (p *pipe) Read(b []byte) (int, error)  { return p.in.read(b) }
func (p *pipe) Write(b []byte) (int, error) { return p.out.write(b) }

// Close ends both directions: the peer reads what is buffered, then io.EOF, and
// cannot write.
func (p *pipe) Close() error {
	p.in.close(true)
	p.out.close(false)
	return nil
}

// CloseWrite ends the direction to the peer.
func (p *pipe) CloseWrite() error {
	p.out.end()
	return nil
}

func (p *pipe) LocalAddr() net.Addr  { return pipeAddr{} }
func (p *pipe) RemoteAddr() net.Addr { return pipeAddr{} }

func (p *pipe) SetDeadline(t time.Time) error {
	p.in.reading.set(t)
	p.out.writing.set(t)
	return nil
}

func (p *pipe) SetReadDeadline(t time.Time) error  { p.in.reading.set(t); return nil }
func (p *pipe) SetWriteDeadline(t time.Time) error { p.out.writing.set(t); return nil }

// half is one direction: a ring that grows up to pipeBuffer.
type half struct {
	mu               sync.Mutex
	ring             []byte
	start, n         int
	eof              bool // the writer has ended
	readerGone       bool
	writerGone       bool
	reading, writing side
}

// side is who reads or who writes: it waits for the other, or its deadline.
type side struct {
	h       *half
	changed sync.Cond
	timer   *time.Timer
	at      time.Time // zero: no deadline
}

func newHalf() *half {
	h := &half{}
	for _, s := range []*side{&h.reading, &h.writing} {
		s.h, s.changed.L = h, &h.mu
	}
	return h
}

// set is SetReadDeadline or SetWriteDeadline.
func (s *side) set(t time.Time) {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	s.at = t
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	if !t.IsZero() {
		s.timer = time.AfterFunc(time.Until(t), s.wake)
	}
	s.changed.Broadcast()
}

// wake takes the lock, so that a waiter that has just looked at the time is
// waiting by now.
func (s *side) wake() {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	s.changed.Broadcast()
}

func (s *side) late() bool { return !s.at.IsZero() && !time.Now().Before(s.at) }

func (h *half) read(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.readerGone:
			return 0, net.ErrClosed
		case h.reading.late():
			return 0, os.ErrDeadlineExceeded
		case h.n > 0:
			return h.take(b), nil
		case h.eof:
			return 0, io.EOF
		case len(b) == 0:
			return 0, nil
		}
		h.reading.changed.Wait()
	}
}

func (h *half) write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	written := 0
	for {
		switch {
		case h.writerGone:
			return written, net.ErrClosed
		case h.readerGone, h.eof:
			return written, io.ErrClosedPipe
		case h.writing.late():
			return written, os.ErrDeadlineExceeded
		case written == len(b):
			return written, nil
		}
		if n := h.put(b[written:]); n > 0 {
			written += n
			h.reading.changed.Signal()
			continue
		}
		h.writing.changed.Wait()
	}
}

// take moves bytes from the ring, and wakes the writer.
func (h *half) take(b []byte) int {
	total := 0
	for total < len(b) && h.n > 0 {
		n := copy(b[total:], h.ring[h.start:min(h.start+h.n, len(h.ring))])
		h.start, h.n, total = (h.start+n)%len(h.ring), h.n-n, total+n
	}
	h.writing.changed.Signal()
	return total
}

// put moves bytes into the ring, as many as there is room for.
func (h *half) put(b []byte) int {
	h.grow(min(h.n+len(b), pipeBuffer))
	total := 0
	for total < len(b) && h.n < len(h.ring) {
		end := (h.start + h.n) % len(h.ring)
		to := len(h.ring)
		if end < h.start {
			to = h.start
		}
		n := copy(h.ring[end:to], b[total:])
		h.n, total = h.n+n, total+n
	}
	return total
}

// grow makes the ring at least want long.
func (h *half) grow(want int) {
	if want <= len(h.ring) {
		return
	}
	size := max(len(h.ring), 4<<10)
	for size < want {
		size *= 2
	}
	ring := make([]byte, size)
	n := copy(ring, h.ring[h.start:min(h.start+h.n, len(h.ring))])
	copy(ring[n:h.n], h.ring)
	h.ring, h.start = ring, 0
}

func (h *half) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.eof = true
	h.reading.changed.Broadcast()
	h.writing.changed.Broadcast()
}

// close is Close of the end that reads, or of the one that writes.
func (h *half) close(reader bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if reader {
		h.readerGone = true
	} else {
		h.eof, h.writerGone = true, true
	}
	for _, s := range []*side{&h.reading, &h.writing} {
		s.changed.Broadcast()
	}
	s := &h.writing
	if reader {
		s, h.ring, h.n = &h.reading, nil, 0
	}
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}
