package engine

import (
	"iter"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/store"
)

// chunkLen is how many entries are allocated at once. One message that stays
// long keeps no more than its chunk of 2 KiB.
const chunkLen = 64

// state is where a message is in its queue.
type state uint32

const (
	gone  state = iota // settled, or never there
	ready              // to be delivered
	out                // delivered, not settled
	dead               // on its way to the dead-letter exchange

	stateBits = 2
	stateMask = 1<<stateBits - 1
)

// entry is a message in a queue. There are millions of them: 32 bytes.
type entry struct {
	msg     *message  // nil: on disk only
	loc     store.Loc // zero: in memory only
	expires int64     // in microseconds since 1970; 0: never
	size    uint32    // of the body
	bits    uint32    // state, and above it how often it came back
}

func (e *entry) state() state     { return state(e.bits & stateMask) }
func (e *entry) setState(s state) { e.bits = e.bits&^stateMask | uint32(s) }

// count is how often the message was delivered and came back.
func (e *entry) count() uint32     { return e.bits >> stateBits }
func (e *entry) setCount(n uint32) { e.bits = n<<stateBits | e.bits&stateMask }

func (e *entry) onDisk() bool { return !e.loc.IsZero() }

type chunk struct {
	entries *[chunkLen]entry // nil when none of them is live
	live    int
}

// lane is a queue's messages of one priority, each in the place that its number
// gives it: what comes back is between its old neighbours again. Numbers begin
// with 1.
//
// What was never delivered begins at front; what came back is before it, and its
// numbers are in back.
type lane struct {
	id     uint32 // the store's name for it
	chunks []chunk
	base   uint64 // number of the first entry of chunks[0]

	next  uint64 // number of the next message
	front uint64
	back  heap
	ready int
}

// at returns the entry of a message that is not gone, or nil.
func (l *lane) at(seq uint64) *entry {
	if i := (seq - l.base) / chunkLen; seq >= l.base && i < uint64(len(l.chunks)) {
		if c := l.chunks[i].entries; c != nil {
			if e := &c[(seq-l.base)%chunkLen]; e.state() != gone {
				return e
			}
		}
	}
	return nil
}

// add appends a message that is ready and returns its number.
func (l *lane) add(e entry) uint64 {
	seq := l.next
	l.put(seq, e)
	return seq
}

// put takes a message that is ready to its place, which must be free.
func (l *lane) put(seq uint64, e entry) {
	c := l.chunk(seq)
	e.setState(ready)
	c.entries[(seq-l.base)%chunkLen] = e
	c.live++
	l.ready++
	l.next = max(l.next, seq+1)
}

// chunk returns the chunk of a number, made if need be.
func (l *lane) chunk(seq uint64) *chunk {
	first := seq - seq%chunkLen
	switch {
	case len(l.chunks) == 0:
		l.base = first
	case first < l.base:
		// The log has a message behind newer ones: compaction copied it there.
		more := make([]chunk, (l.base-first)/chunkLen, (l.base-first)/chunkLen+uint64(len(l.chunks)))
		l.chunks, l.base = append(more, l.chunks...), first
	}
	i := (seq - l.base) / chunkLen
	for uint64(len(l.chunks)) <= i {
		l.chunks = append(l.chunks, chunk{})
	}
	if l.chunks[i].entries == nil {
		l.chunks[i].entries = new([chunkLen]entry)
	}
	return &l.chunks[i]
}

// head returns the first message that is ready, or nil.
func (l *lane) head() (uint64, *entry) {
	if l.ready == 0 {
		return 0, nil
	}
	if len(l.back) > 0 {
		return l.back[0], l.at(l.back[0])
	}
	l.front = max(l.front, l.base)
	for l.chunks[(l.front-l.base)/chunkLen].entries == nil {
		l.front += chunkLen - l.front%chunkLen
	}
	for {
		if e := l.at(l.front); e != nil && e.state() == ready {
			return l.front, e
		}
		l.front++
	}
}

// leave takes the head from what is ready, to another state.
func (l *lane) leave(seq uint64, e *entry, to state) {
	if len(l.back) > 0 && l.back[0] == seq {
		l.back.pop()
	} else {
		l.front = seq + 1
	}
	l.ready--
	if e.setState(to); to == gone {
		l.remove(seq)
	}
}

// giveBack makes a message that was out ready again.
func (l *lane) giveBack(seq uint64, e *entry) {
	e.setState(ready)
	l.ready++
	l.back.push(seq)
}

// remove forgets a message that is not ready.
func (l *lane) remove(seq uint64) {
	i := (seq - l.base) / chunkLen
	c := &l.chunks[i]
	c.entries[(seq-l.base)%chunkLen] = entry{}
	if c.live--; c.live > 0 || l.next/chunkLen == seq/chunkLen {
		return // the last chunk is going to be used
	}
	c.entries = nil
	n := 0
	for n < len(l.chunks) && l.chunks[n].entries == nil {
		n++
	}
	if n == len(l.chunks) {
		l.chunks, l.base = nil, 0
		return
	}
	l.chunks, l.base = l.chunks[n:], l.base+uint64(n)*chunkLen
}

// all yields the messages that are not gone, in order.
func (l *lane) all() iter.Seq2[uint64, *entry] {
	return func(yield func(uint64, *entry) bool) {
		for i := range l.chunks {
			c := l.chunks[i].entries
			if c == nil {
				continue
			}
			for j := range c {
				if c[j].state() != gone && !yield(l.base+uint64(i)*chunkLen+uint64(j), &c[j]) {
					return
				}
			}
		}
	}
}

// locs yields where the messages are that keep accepts, if they are on disk.
func (l *lane) locs(keep func(*entry) bool) iter.Seq[store.Loc] {
	return func(yield func(store.Loc) bool) {
		for _, e := range l.all() {
			if e.onDisk() && keep(e) && !yield(e.loc) {
				return
			}
		}
	}
}

// heap has the least number first.
type heap []uint64

func (h *heap) push(v uint64) {
	s := append(*h, v)
	i := len(s) - 1
	for i > 0 && s[(i-1)/2] > v {
		s[i] = s[(i-1)/2]
		i = (i - 1) / 2
	}
	s[i] = v
	*h = s
}

func (h *heap) pop() {
	s := *h
	last := len(s) - 1
	v := s[last]
	s = s[:last]
	i := 0
	for {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && s[child+1] < s[child] {
			child++
		}
		if v <= s[child] {
			break
		}
		s[i] = s[child]
		i = child
	}
	if last > 0 {
		s[i] = v
	}
	*h = s
	if last == 0 {
		*h = nil
	}
}
