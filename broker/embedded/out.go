package embedded

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

const (
	writeChunk = 256 << 10 // what one write deadline is for
	keepBuffer = 256 << 10 // a buffer that has grown larger is given back
)

// out is what a connection has to say. Everybody appends whole frames to it and
// nobody waits for the network but its writer goroutine. What it holds is
// bounded: deliveries end when full says so, and the reader of the connection
// waits in drained before it takes on what has to be answered.
type out struct {
	limit int

	mu       sync.Mutex
	work     sync.Cond  // the writer waits for something to do
	room     sync.Cond  // the reader waits for the writer
	buf      []byte     // what is written next
	replies  int        // bytes of buf that are no deliveries
	writing  int        // bytes that are being written now
	confirms []*channel // have something confirmed; each is here once
	stalled  []*channel // were told that out is full; each is here once
	ending   bool       // write what is there, then end
	dead     bool       // nothing is written any more

	sent atomic.Uint64 // writes
}

func newOut(limit int) *out {
	w := &out{limit: limit}
	w.work.L, w.room.L = &w.mu, &w.mu
	return w
}

// method appends a method frame.
func (w *out) method(channel uint16, m wire.Method) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.methodLocked(channel, m)
}

func (w *out) methodLocked(channel uint16, m wire.Method) {
	before := len(w.buf)
	w.buf = wire.AppendMethodFrame(w.buf, channel, m)
	w.replied(before)
}

// replied counts what was appended since before and wakes the writer.
func (w *out) replied(before int) {
	if w.dead {
		w.buf = w.buf[:0]
		return
	}
	w.replies += len(w.buf) - before
	w.work.Signal()
}

// raw appends bytes that are no method: the protocol header, a heartbeat.
func (w *out) raw(b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := len(w.buf)
	w.buf = append(w.buf, b...)
	w.replied(before)
}

// full reports whether ch has to wait with deliveries, and remembers that then.
func (w *out) full(ch *channel) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.buf)+w.writing < w.limit || w.dead {
		return false
	}
	if !ch.stalled {
		ch.stalled = true
		w.stalled = append(w.stalled, ch)
	}
	return true
}

// confirm has the writer ask ch for its confirms.
func (w *out) confirm(ch *channel) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.confirms = append(w.confirms, ch)
	w.work.Signal()
}

// drained waits while there are too many answers that the client does not take.
func (w *out) drained() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.replies >= w.limit && !w.dead {
		w.room.Wait()
	}
}

// buffered returns how many bytes wait.
func (w *out) buffered() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.buf) + w.writing
}

// end lets the writer write what is there and return.
func (w *out) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ending = true
	w.work.Signal()
}

// run writes to nc until end or an error. timeout is for each writeChunk.
func (w *out) run(nc net.Conn, timeout func() time.Duration) error {
	var spare []byte
	for {
		buf, confirms, ok := w.take(spare)
		if !ok {
			return nil
		}
		for _, ch := range confirms {
			ch.flushConfirms()
		}
		if len(buf) == 0 {
			continue
		}
		err := writeAll(nc, buf, timeout)
		w.sent.Add(1)
		if spare = buf[:0]; cap(spare) > keepBuffer {
			spare = nil
		}
		resume := w.written(err)
		if err != nil {
			return err
		}
		for _, ch := range resume {
			ch.engine.Resume()
		}
	}
}

// take waits for something to write and replaces it by spare. Channels with
// confirms come first and alone, so that what they append is written at once.
func (w *out) take(spare []byte) (buf []byte, confirms []*channel, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.buf) == 0 && len(w.confirms) == 0 {
		if w.ending {
			w.dead = true
			return nil, nil, false
		}
		w.work.Wait()
	}
	if len(w.confirms) > 0 {
		confirms, w.confirms = w.confirms, nil
		return nil, confirms, true
	}
	buf, w.buf = w.buf, spare
	w.writing, w.replies = len(buf), 0
	w.room.Broadcast()
	return buf, nil, true
}

// written returns the channels that may deliver again.
func (w *out) written(err error) []*channel {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writing = 0
	if err != nil {
		w.dead, w.buf, w.replies = true, nil, 0
		w.room.Broadcast()
	}
	if len(w.buf) >= w.limit {
		return nil
	}
	resume := w.stalled
	w.stalled = nil
	for _, ch := range resume {
		ch.stalled = false
	}
	return resume
}

func writeAll(nc net.Conn, buf []byte, timeout func() time.Duration) error {
	for len(buf) > 0 {
		n := min(len(buf), writeChunk)
		if err := nc.SetWriteDeadline(time.Now().Add(timeout())); err != nil {
			return err
		}
		if _, err := nc.Write(buf[:n]); err != nil {
			return err
		}
		buf = buf[n:]
	}
	return nil
}
