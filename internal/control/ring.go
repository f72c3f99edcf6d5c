package control

import "sync"

// ring remembers the newest of what is put in, numbered from 1. Its zero value is
// empty; several goroutines may use it at once.
type ring[T any] struct {
	mu    sync.Mutex
	slots []slot[T] // entry n is at n % len
	first uint64    // the oldest that is kept
	last  uint64    // the newest that there was
	bytes int
	wake  chan struct{} // closed by the next put; nil while nobody waits
}

type slot[T any] struct {
	value T
	bytes int
}

// put adds what value makes of its number, and forgets the oldest until no more
// than count values and limit bytes are kept; the new one is kept whatever its
// size. count is always the same.
func (r *ring[T]) put(value func(seq uint64) T, bytes, count, limit int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.slots == nil {
		r.slots, r.first = make([]slot[T], count), 1
	}
	for kept := r.last + 1 - r.first; kept == uint64(len(r.slots)) || kept > 0 && r.bytes+bytes > limit; kept-- {
		oldest := r.at(r.first)
		r.bytes -= oldest.bytes
		*oldest = slot[T]{} // it may be large
		r.first++
	}
	r.last++
	*r.at(r.last) = slot[T]{value(r.last), bytes}
	r.bytes += bytes
	if r.wake != nil {
		close(r.wake)
		r.wake = nil
	}
}

func (r *ring[T]) at(seq uint64) *slot[T] { return &r.slots[seq%uint64(len(r.slots))] }

// after returns the values with higher numbers, oldest first. It copies, so that
// a slow reader keeps nobody waiting.
func (r *ring[T]) after(seq uint64) []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	if seq >= r.last { // as it may be of another instance, and very large
		return nil
	}
	first := max(seq+1, r.first)
	list := make([]T, 0, r.last+1-first)
	for n := first; n <= r.last; n++ {
		list = append(list, r.at(n).value)
	}
	return list
}

// more returns a channel that is closed once there is a value with a higher
// number.
func (r *ring[T]) more(seq uint64) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if seq < r.last {
		there := make(chan struct{})
		close(there)
		return there
	}
	if r.wake == nil {
		r.wake = make(chan struct{})
	}
	return r.wake
}
