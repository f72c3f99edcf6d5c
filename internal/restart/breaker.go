package restart

// DefaultTrip is after how many failed starts in a row a Breaker opens.
const DefaultTrip = 3

// Breaker says how many of many equal things may be starting at the same time.
// As long as starts succeed, that is Limit. After Trip failed starts in a row it
// is open: one at a time is tried, as a probe, until one succeeds. What is wrong
// with all of them, say a missing module, then fails once after the other and
// not in a storm.
type Breaker struct {
	Limit int // below 1: no limit while it is closed
	Trip  int // below 1: DefaultTrip
	n     int
}

// Failed says that a start failed, and Succeeded that one did not.
func (b *Breaker) Failed() { b.n = min(b.n+1, b.trip()) }

// Succeeded closes the breaker.
func (b *Breaker) Succeeded() { b.n = 0 }

// Open reports whether only probes are allowed.
func (b *Breaker) Open() bool { return b.n >= b.trip() }

// Allows reports whether one more may start while starting others are.
func (b *Breaker) Allows(starting int) bool {
	switch {
	case b.Open():
		return starting == 0
	case b.Limit < 1:
		return true
	default:
		return starting < b.Limit
	}
}

func (b *Breaker) trip() int {
	if b.Trip < 1 {
		return DefaultTrip
	}
	return b.Trip
}
