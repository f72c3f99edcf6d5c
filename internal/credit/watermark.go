package credit

import (
	"sync/atomic"
	"time"
)

// Watermark counts deliveries in flight with hysteresis: at High it pauses, and
// it resumes when the count is down to Low.
//
// The count is raised by the one goroutine that takes deliveries (Wait, Add) and
// lowered by anybody (Done). Deciding it there, before a delivery is sent on, is
// what makes High exact: decided in the router, which sees a delivery later, the
// depth reached 21,000 to 85,000 with High 1000 (design, protoactor.md §1.1).
//
// Depth and pause are one atomic word. Held in two, a settler that has seen the
// depth at low and was preempted could end a later pause at high, and the depth
// exceeded high by one (found by the race test; docs/adr/0008).
type Watermark struct {
	high, low atomic.Int64
	state     atomic.Int64 // depth<<1 | paused
	peak      atomic.Int64
	pauses    atomic.Int64
	began     time.Time
	pausedAt  atomic.Int64  // of the newest pause, in ns after began; no wall clock, which may be set
	wake      chan struct{} // capacity 1; Done sends, Wait receives; never closed
}

const pausedBit = 1

// NewWatermark returns a Watermark for 0 <= low < high.
func NewWatermark(high, low int) *Watermark {
	w := &Watermark{wake: make(chan struct{}, 1), began: time.Now()}
	w.high.Store(int64(high))
	w.low.Store(int64(low))
	return w
}

// Set changes the limits, for 0 <= low < high. A depth above a new High is not
// undone: the intake pauses until it is down to the new Low. An Add or Done that
// is under way may still go by the old limits.
func (w *Watermark) Set(high, low int) {
	w.high.Store(int64(high))
	w.low.Store(int64(low))
	for {
		old := w.state.Load()
		depth, bit := old>>1, old&pausedBit
		switch {
		case depth >= int64(high):
			bit = pausedBit
		case depth <= int64(low):
			bit = 0
		}
		if w.step(old, depth, bit) {
			return
		}
	}
}

// step goes from one state to another unless somebody was quicker, and does what
// a change of the paused bit brings about.
func (w *Watermark) step(old, depth, bit int64) bool {
	if !w.state.CompareAndSwap(old, depth<<1|bit) {
		return false
	}
	switch was := old & pausedBit; {
	case bit > was:
		w.pausedAt.Store(max(1, int64(time.Since(w.began))))
		w.pauses.Add(1)
	case bit < was:
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
	return true
}

// Add counts one delivery and reports whether that paused the intake. Only one
// goroutine may call it, after Wait or while Add keeps returning false.
func (w *Watermark) Add() (paused bool) {
	for {
		old := w.state.Load()
		depth, bit := old>>1+1, old&pausedBit
		if depth >= w.high.Load() {
			bit = pausedBit
		}
		if !w.step(old, depth, bit) {
			continue
		}
		if depth > w.peak.Load() {
			w.peak.Store(depth)
		}
		return bit != 0
	}
}

// Done counts n settlements. It never blocks.
func (w *Watermark) Done(n int) {
	for {
		old := w.state.Load()
		depth, bit := old>>1-int64(n), old&pausedBit
		if depth <= w.low.Load() {
			bit = 0
		}
		if w.step(old, depth, bit) {
			return
		}
	}
}

// Wait blocks while the intake is paused. It returns false when one of the two
// channels was closed first.
func (w *Watermark) Wait(stop, dead <-chan struct{}) bool {
	for w.Paused() {
		select {
		case <-w.wake: // perhaps of an earlier pause: look again
		case <-stop:
			return false
		case <-dead:
			return false
		}
	}
	return true
}

// Depth is the number of deliveries in flight.
func (w *Watermark) Depth() int64 { return w.state.Load() >> 1 }

// Peak is the largest depth so far.
func (w *Watermark) Peak() int64 { return w.peak.Load() }

// Paused reports whether the intake waits for the depth to fall to Low.
func (w *Watermark) Paused() bool { return w.state.Load()&pausedBit != 0 }

// PausedAt is when the newest pause began; the zero time if there was none. While
// one begins it may still be that of the one before.
func (w *Watermark) PausedAt() time.Time {
	if at := w.pausedAt.Load(); at != 0 {
		return w.began.Add(time.Duration(at))
	}
	return time.Time{}
}

// Pauses is how often the depth has reached High.
func (w *Watermark) Pauses() int64 { return w.pauses.Load() }

// High is the depth at which the intake pauses.
func (w *Watermark) High() int64 { return w.high.Load() }

// Low is the depth at which it resumes.
func (w *Watermark) Low() int64 { return w.low.Load() }
