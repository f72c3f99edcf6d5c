package embedded

import (
	"sync"
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// What became of a published message.
const (
	confirmPending byte = iota
	confirmAck
	confirmNack
	confirmSent // told already, while an older one was pending
)

// window has the messages that were published and not confirmed: those from
// first on, by their sequence number less first. It decides which acks and nacks
// tell a client what it does not know yet, in as few methods as possible.
type window struct {
	first uint64
	state []byte   // of first, first+1, ...
	late  []uint64 // settled out of order and not told: there was an older one
}

// publish adds the next message.
func (w *window) publish() { w.state = append(w.state, confirmPending) }

// settle notes what became of seq. A message that is not pending is ignored.
func (w *window) settle(seq uint64, ok bool) {
	i := seq - w.first
	if seq < w.first || i >= uint64(len(w.state)) || w.state[i] != confirmPending {
		return
	}
	w.state[i] = confirmNack
	if ok {
		w.state[i] = confirmAck
	}
	if i > 0 {
		w.late = append(w.late, seq)
	}
}

// flush calls tell for what was settled since the last flush. multiple means all
// up to seq that were not told yet; a run never includes a number that was told
// alone, as some clients would take it for told again.
func (w *window) flush(tell func(seq uint64, ok, multiple bool)) {
	n := 0 // settled from first on
	for n < len(w.state) && w.state[n] != confirmPending {
		run := n
		for run < len(w.state) && w.state[run] == w.state[n] {
			run++
		}
		if s := w.state[n]; s != confirmSent {
			tell(w.first+uint64(run)-1, s == confirmAck, run-n > 1)
		}
		n = run
	}
	w.advance(n)
	for _, seq := range w.late {
		if seq < w.first {
			continue
		}
		s := &w.state[seq-w.first]
		tell(seq, *s == confirmAck, false)
		*s = confirmSent
	}
	w.late = w.late[:0]
}

// advance forgets the n oldest. The memory is used again, and given back when a
// burst is over.
func (w *window) advance(n int) {
	const keep = 64 << 10
	w.first += uint64(n)
	if n == len(w.state) {
		if w.state = w.state[:0]; cap(w.state) > keep {
			w.state = nil
		}
		return
	}
	w.state = w.state[n:]
}

// confirmer is the window of a channel in confirm mode, told by the engine from
// any goroutine and asked by the writer.
type confirmer struct {
	ch    *channel
	delay func() time.Duration // a fault

	mu     sync.Mutex
	window window
	queued bool // the writer knows
}

func newConfirmer(ch *channel, delay func() time.Duration) *confirmer {
	return &confirmer{ch: ch, delay: delay, window: window{first: 1}}
}

// publish adds the next message, before the engine hears of it.
func (c *confirmer) publish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.window.publish()
}

// Confirmed is the engine's: it must neither wait nor call the engine.
func (c *confirmer) Confirmed(seq uint64, ok bool) {
	if d := c.delay(); d > 0 {
		time.AfterFunc(d, func() { c.settle(seq, ok) })
		return
	}
	c.settle(seq, ok)
}

func (c *confirmer) settle(seq uint64, ok bool) {
	c.mu.Lock()
	c.window.settle(seq, ok)
	tell := !c.queued
	c.queued = true
	c.mu.Unlock()
	if tell {
		c.ch.conn.out.confirm(c.ch)
	}
}

// flushConfirms appends the acks and nacks that are due, unless the channel is
// closed.
func (ch *channel) flushConfirms() {
	c := ch.confirms
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queued = false
	w := ch.conn.out
	w.mu.Lock()
	defer w.mu.Unlock()
	if ch.mute {
		return
	}
	before := len(w.buf)
	c.window.flush(func(seq uint64, ok, multiple bool) {
		if ok {
			w.buf = wire.AppendAck(w.buf, ch.id, seq, multiple)
		} else {
			w.buf = wire.AppendNack(w.buf, ch.id, seq, multiple)
		}
	})
	w.replied(before)
}
