// Package credit holds the two decisions that bound the work of a pool: when to
// take another delivery (Watermark) and which worker gets it (Balancer).
//
// Guarantees: with one goroutine that calls Add, the depth of a Watermark never
// exceeds High, and a paused Watermark wakes its waiter once the depth is down
// to Low, whatever the interleaving of Add and Done. A Balancer never hands out
// more than the given number of slots of a worker and always picks one of the
// least loaded; each of its operations is O(1) amortised.
//
// Neither starts a goroutine, reads a clock or does I/O.
package credit
