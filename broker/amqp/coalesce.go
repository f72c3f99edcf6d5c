package amqp

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// roomyBytes is how much may wait for the socket before publishers wait.
	roomyBytes = 256 << 10
	// chunkBytes is what one system call is given; the write deadline is per
	// chunk, so that a slow but moving peer is not cut off.
	chunkBytes = 256 << 10
	// keepBytes is the largest buffer that is kept for the next use.
	keepBytes = 1 << 20
)

// coalescer is the net.Conn below amqp091-go. Its Write never blocks: it appends
// to a buffer, and one goroutine writes what has gathered.
//
// amqp091-go flushes after every frame, which costs a system call per ack; and it
// holds the channel's and the connection's mutex while it writes, so that a peer
// that stops reading would block Publish, Ack and even Close for ever (§1.3 of
// the design's broker study). Both end here: writes gather, and the goroutine's
// write deadline turns a stuck peer into an error and a closed socket.
//
// The buffer is bounded by those who fill it: publishers wait for room, acks are
// bounded by the prefetch, and all else is small.
type coalescer struct {
	net.Conn
	timeout time.Duration

	mu      sync.Mutex
	buf     []byte        // waits for the goroutine
	err     error         // why nothing can be written any more
	closing bool          // Close was called: write what is left and end
	patient bool          // the broker told us that it does not read: no deadline
	roomy   chan struct{} // not nil: somebody waits for room; closed when there is some

	wake    chan struct{} // capacity 1: buf is not empty, or closing
	flushed chan struct{} // closed at the end of the goroutine
}

func newCoalescer(c net.Conn, timeout time.Duration) *coalescer {
	w := &coalescer{
		Conn: c, timeout: timeout,
		wake: make(chan struct{}, 1), flushed: make(chan struct{}),
	}
	go w.loop()
	return w
}

// Write takes p over and returns. An error is that of an earlier write.
func (w *coalescer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.err != nil:
		return 0, w.err
	case w.closing:
		return 0, net.ErrClosed
	}
	if len(w.buf) == 0 {
		w.signal()
	}
	w.buf = append(w.buf, p...)
	return len(p), nil
}

func (w *coalescer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// loop writes what has gathered until an error or the end.
func (w *coalescer) loop() {
	defer close(w.flushed)
	var spare []byte
	for range w.wake {
		w.mu.Lock()
		out, closing, broken := w.buf, w.closing, w.err != nil
		w.buf = spare[:0]
		if w.roomy != nil {
			close(w.roomy)
			w.roomy = nil
		}
		w.mu.Unlock()
		if broken {
			return
		}
		if err := w.writeAll(out); err != nil {
			w.fail(err)
			return
		}
		if closing {
			return
		}
		spare = out
		if cap(spare) > keepBytes {
			spare = nil
		}
	}
}

func (w *coalescer) writeAll(out []byte) error {
	for len(out) > 0 {
		if err := w.Conn.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
			return err
		}
		n, err := w.Conn.Write(out[:min(len(out), chunkBytes)])
		out = out[n:]
		if err != nil && !(errors.Is(err, os.ErrDeadlineExceeded) && w.isPatient()) {
			return err
		}
	}
	return nil
}

// fail makes err the result of all later writes and closes the socket, which
// wakes amqp091-go's reader: nobody else would notice.
func (w *coalescer) fail(err error) {
	w.mu.Lock()
	if w.err == nil {
		w.err = err
	}
	w.buf = nil
	if w.roomy != nil {
		close(w.roomy)
		w.roomy = nil
	}
	w.mu.Unlock()
	w.Conn.Close() // it is broken already
}

// failure returns why the connection is broken, as far as writing told.
func (w *coalescer) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if errors.Is(w.err, net.ErrClosed) {
		return nil // our own doing
	}
	return w.err
}

// awaitRoom blocks while too much waits for the socket, until ctx ends.
func (w *coalescer) awaitRoom(ctx context.Context) error {
	for {
		w.mu.Lock()
		if w.err != nil || len(w.buf) < roomyBytes {
			defer w.mu.Unlock()
			return w.err
		}
		if w.roomy == nil {
			w.roomy = make(chan struct{})
		}
		roomy := w.roomy
		w.mu.Unlock()
		select {
		case <-roomy:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// setPatient says whether the peer may stop reading for as long as it likes, as
// RabbitMQ does while it blocks a connection. Its death is still noticed by the
// missing heartbeats.
func (w *coalescer) setPatient(on bool) {
	w.mu.Lock()
	w.patient = on
	w.mu.Unlock()
}

func (w *coalescer) isPatient() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.patient && !w.closing
}

// Close writes what has gathered, within the write timeout, and closes the socket.
func (w *coalescer) Close() error {
	w.mu.Lock()
	w.closing = true
	w.mu.Unlock()
	w.signal()
	t := time.NewTimer(w.timeout)
	defer t.Stop()
	select {
	case <-w.flushed:
	case <-t.C:
	}
	return w.Conn.Close()
}

// abort closes the socket at once.
func (w *coalescer) abort() {
	w.fail(net.ErrClosed)
	w.signal() // the goroutine ends with the error
}

// SetDeadline sets the read deadline: the write deadline is ours.
func (w *coalescer) SetDeadline(t time.Time) error { return w.Conn.SetReadDeadline(t) }

// SetWriteDeadline does nothing: the write deadline is ours.
func (w *coalescer) SetWriteDeadline(time.Time) error { return nil }
