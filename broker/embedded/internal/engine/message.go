package engine

import (
	"sync/atomic"
)

// message is a message in memory, shared by the entries of all queues that have
// it. Only held changes.
type message struct {
	exchange, key string
	props, body   []byte

	held      atomic.Int32 // entries
	transient bool         // some entry is nowhere else
	blind     bool         // props has the header BCC
}

// overhead is what a message takes in memory beside its contents.
const overhead = 128

func (m *message) cost() int64 {
	return int64(len(m.exchange)+len(m.key)+len(m.props)+len(m.body)) + overhead
}

// hold is told that one more entry has m.
func (e *Engine) hold(m *message) {
	if m.held.Add(1) != 1 {
		return
	}
	e.memory.Add(m.cost())
	if m.transient && e.transient.Add(m.cost()) > e.transientMax {
		e.pressure.update(lowMemory, e.crowded)
	}
}

// release is told that an entry has m no longer.
func (e *Engine) release(m *message) {
	if m.held.Add(-1) != 0 {
		return
	}
	e.memory.Add(-m.cost())
	if m.transient {
		e.transient.Add(-m.cost())
		if e.pressure.has(lowMemory) {
			e.pressure.update(lowMemory, e.crowded)
		}
	}
}

// crowded reports whether there is too much in memory only. It ends a little below
// the limit, or publishers would be stopped for each message.
func (e *Engine) crowded(was bool) bool {
	limit := e.transientMax
	if was {
		limit -= limit / 16
	}
	return e.transient.Load() > limit
}
