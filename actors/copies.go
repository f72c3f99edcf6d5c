package actors

import (
	"sync/atomic"
	"time"
)

// copies counts, of one pool, the copies that become retries and dead letters and are
// not confirmed. The router alone writes.
type copies struct {
	open  atomic.Int64
	moved atomic.Pointer[time.Time] // when one was confirmed, or when the first of those that are open came
}

// set notes how many are open.
func (c *copies) set(n int) {
	if c.open.Swap(int64(n)) == 0 && n > 0 {
		c.move()
	}
}

func (c *copies) move() {
	now := time.Now()
	c.moved.Store(&now)
}

// read returns how many are open, and since when none of them was confirmed.
func (c *copies) read() (n int64, since time.Time) {
	if n = c.open.Load(); n == 0 {
		return 0, time.Time{}
	}
	if at := c.moved.Load(); at != nil { // not yet of the first
		since = *at
	}
	return n, since
}
