package restart

import "time"

// Window counts restarts within a sliding period. It remembers the newest
// intensity of them and allocates once, in NewWindow: a child that fails slowly
// for a year costs no more than one that never failed.
type Window struct {
	period time.Duration
	ring   []time.Time // the newest allowed restarts; next is the oldest once it is full
	next   int
	used   int
}

// NewWindow allows up to intensity restarts within any period. With an intensity
// below 1 it allows none.
func NewWindow(intensity int, period time.Duration) *Window {
	return &Window{period: period, ring: make([]time.Time, max(intensity, 0))}
}

// Add counts a restart at now and reports whether it is allowed. A restart that
// is not allowed is not counted. Restarts exactly one period apart are within
// the same period, as in OTP. A clock that goes backwards allows less, not more.
func (w *Window) Add(now time.Time) bool {
	if len(w.ring) == 0 {
		return false
	}
	if w.used == len(w.ring) && now.Sub(w.ring[w.next]) <= w.period {
		return false
	}
	w.ring[w.next] = now
	w.next = (w.next + 1) % len(w.ring)
	w.used = min(w.used+1, len(w.ring))
	return true
}

// Count is the number of counted restarts within the period that ends at now.
func (w *Window) Count(now time.Time) int {
	n := 0
	for _, t := range w.ring[:w.used] {
		if now.Sub(t) <= w.period {
			n++
		}
	}
	return n
}
