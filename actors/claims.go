package actors

import (
	"slices"
	"time"
)

// claim is a delivery that a flight settles when it ends: the one that it was made
// for, or one of the same message that came later. A flight without a claim runs on
// although its delivery was lost. Only the router touches claims.
type claim struct {
	source  *source
	tag     uint64
	arrived time.Duration // after the opening of source
}

// age is for how long the delivery has been unsettled.
func (c claim) age() time.Duration { return time.Since(c.source.opened) - c.arrived }

func (c claim) dead() bool { return isDone(c.source.consumer.Done()) }

// take has f settle the delivery that other was made for, which may be f itself.
func (f *flight) take(other *flight) {
	if f.claims == nil {
		f.claims = f.room[:0]
	}
	f.claims = append(f.claims, claim{other.source, other.delivery.Tag, other.arrived})
	other.source.open++
	f.warned = false
}

// isOf reports whether f settles a delivery of s.
func (f *flight) isOf(s *source) bool {
	return slices.ContainsFunc(f.claims, func(c claim) bool { return c.source == s })
}

// moveTo gives the claims of f to the flight that takes its place.
func (f *flight) moveTo(fresh *flight) {
	fresh.claims = append(fresh.room[:0], f.claims...)
	f.claims = nil
}

// lose takes the claims away from f that gone says yes to, and reports whether none
// is left. The broker gives those deliveries to somebody, maybe to us again.
func (r *router) lose(f *flight, gone func(claim) bool) bool {
	f.claims = slices.DeleteFunc(f.claims, func(c claim) bool {
		if !gone(c) {
			return false
		}
		c.source.open--
		c.source.window.mark.Done(1)
		r.pool.counters.lost.Add(1)
		r.checkRetired(c.source)
		return true
	})
	return len(f.claims) == 0
}

// bereft reports whether every consumer that f has a delivery of is dead: they belong
// to somebody else by now and must not be settled by us.
func (r *router) bereft(f *flight) bool { return r.lose(f, claim.dead) }
