package restart

import (
	"math"
	"time"
)

// Defaults of a Backoff that waits at all.
const (
	DefaultFactor     = 2
	DefaultResetAfter = 30 * time.Second
)

// Backoff is a schedule of waits: min(Max, Initial*Factor^(n-1)) before the n-th
// attempt in a row, moved by up to Jitter of itself to either side. The zero
// value does not wait. Its fields are those of supervisor.Backoff, so that one
// converts to the other.
type Backoff struct {
	Initial    time.Duration // 0: do not wait
	Factor     float64       // below 1: DefaultFactor
	Max        time.Duration // 0: no limit but that of a Duration
	Jitter     float64       // share of the wait, clamped to 0..1
	ResetAfter time.Duration // 0: DefaultResetAfter
}

// base is the wait before the n-th attempt without jitter.
func (b Backoff) base(n int) time.Duration {
	if b.Initial <= 0 || n < 1 {
		return 0
	}
	factor := b.Factor
	if !(factor >= 1) { // NaN too
		factor = DefaultFactor
	}
	limit := float64(1 << 61) // room for the jitter above it
	if b.Max > 0 {
		limit = min(limit, float64(b.Max))
	}
	// In floating point it overflows to +Inf, not to a negative wait.
	return time.Duration(min(limit, float64(b.Initial)*math.Pow(factor, float64(n-1))))
}

func (b Backoff) jitter() float64 {
	if !(b.Jitter > 0) {
		return 0
	}
	return min(b.Jitter, 1)
}

// Bounds are the shortest and the longest wait before the n-th attempt in a row,
// counted from 1.
func (b Backoff) Bounds(n int) (shortest, longest time.Duration) {
	base, j := float64(b.base(n)), b.jitter()
	return time.Duration(base * (1 - j)), time.Duration(base * (1 + j))
}

// Delay is the wait before the n-th attempt in a row, counted from 1. random is
// in [0, 1) and moves the wait evenly between its bounds; 0.5 is no jitter.
func (b Backoff) Delay(n int, random float64) time.Duration {
	shortest, longest := b.Bounds(n)
	return shortest + time.Duration(random*float64(longest-shortest))
}

// Series follows one thing through its failures. The zero value of everything
// but Backoff is ready for use.
type Series struct {
	Backoff Backoff
	n       int
	up      bool
	since   time.Time
}

// Up says that it works as of now.
func (s *Series) Up(now time.Time) { s.up, s.since = true, now }

// Next says that it failed at now and returns how long to wait before the next
// attempt. A thing that had been up for ResetAfter starts over at Initial; one
// that never came up, or not for so long, waits longer than the last time.
func (s *Series) Next(now time.Time, random float64) time.Duration {
	reset := s.Backoff.ResetAfter
	if reset <= 0 {
		reset = DefaultResetAfter
	}
	if s.up && now.Sub(s.since) >= reset {
		s.n = 0
	}
	s.up = false
	if s.n < math.MaxInt32 {
		s.n++
	}
	return s.Backoff.Delay(s.n, random)
}

// Reset has the series start over, as after a long life.
func (s *Series) Reset() { s.n, s.up = 0, false }

// Attempts is the number of failures in a row.
func (s *Series) Attempts() int { return s.n }
