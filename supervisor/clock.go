package supervisor

import (
	"sync/atomic"
	"time"
)

// resolution is how exact a clock is.
const resolution = 10 * time.Millisecond

// clock tells the time to the millisecond, up to resolution late. Reading the
// real one twice for each message would cost more than the rest of the hook. A
// timer sets it, as long as somebody reads it: a system at rest has no timer.
type clock struct {
	epoch time.Time
	word  atomic.Int64 // milliseconds since epoch, plus 1, times 2; odd: it was read since it was set; 0: stopped
}

func newClock() *clock { return &clock{epoch: time.Now()} }

// now is the time in milliseconds since the epoch.
func (c *clock) now() int64 {
	if w := c.word.Load(); w&1 != 0 {
		return w>>1 - 1
	}
	return c.wake()
}

// wake is the first reading since the clock was set or stopped.
func (c *clock) wake() int64 {
	w := c.word.Load()
	if w != 0 {
		c.word.CompareAndSwap(w, w|1)
		return w>>1 - 1
	}
	w = c.real()
	if c.word.CompareAndSwap(0, w|1) {
		time.AfterFunc(resolution, c.tick)
	}
	return w>>1 - 1
}

func (c *clock) tick() {
	if w := c.word.Load(); w&1 == 0 && c.word.CompareAndSwap(w, 0) {
		return
	}
	c.word.Store(c.real())
	time.AfterFunc(resolution, c.tick)
}

func (c *clock) real() int64 { return (time.Since(c.epoch).Milliseconds() + 1) << 1 }

func (c *clock) time(ms int64) time.Time { return c.epoch.Add(time.Duration(ms) * time.Millisecond) }
