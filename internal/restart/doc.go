// Package restart decides when something that failed may be tried again and
// when to give up: a [Window] is OTP's restart intensity, a [Series] is a
// capped exponential backoff with jitter that starts over after a good while,
// and a [Breaker] keeps many equal things from failing all at once.
//
// All are plain values without clock, timer, goroutine or lock. The caller says
// what time it is and where random numbers come from, so that the same calls
// give the same answers. A value belongs to one goroutine.
//
// Guarantees, each held by a property test: a Window never allows more than its
// intensity within any period, and never grows; a delay is never negative and
// never outside the bounds that [Backoff.Bounds] names; an open Breaker never
// allows two starts at a time.
package restart
