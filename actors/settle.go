package actors

import (
	"errors"
	"time"

	"github.com/magne-actors/magne-actors/broker"
)

// settle ends a flight: all its deliveries get the same verdict. The watermark is
// lowered once the broker has been told; it reports whether it will be.
func (r *router) settle(f *flight, v broker.Verdict) bool {
	if !r.remove(f) {
		return false
	}
	told, lost := false, 0
	for i, c := range f.claims {
		if r.settleClaim(f, c, v, i == 0) {
			told = true
		} else {
			lost++
		}
		r.checkRetired(c.source)
	}
	f.copied = f.copied || told
	if v == broker.Ack {
		for range lost {
			r.remember(f)
		}
	}
	r.checkDrained()
	return told
}

// returned is the verdict on a delivery that goes back to its queue. An attempt that
// has failed should be a copy with the next number by now; where there is none, the
// broker counts it by x-delivery-limit, the net below all other counting. What was
// not tried, was taken from its handler or does not count is none.
func (f *flight) returned() broker.Verdict {
	if f.outgoing == nil || f.verdict.free {
		return broker.Requeue
	}
	return broker.Failed
}

// settleClaim settles one of the deliveries of f, the first of which says what f was,
// and reports whether the broker will be told.
func (r *router) settleClaim(f *flight, c claim, v broker.Verdict, first bool) bool {
	err := c.source.consumer.Settle(c.tag, v)
	switch {
	case err != nil:
		r.pool.counters.lost.Add(1)
		c.source.window.mark.Done(1)
		if !errors.Is(err, broker.ErrStale) {
			r.pool.log.Error("cannot settle a delivery", r.pool.named(f, "err", err)...)
		}
		return false
	case first || v != broker.Ack:
		r.pool.counters.count(f, v)
	default:
		r.pool.counters.duplicates.Add(1)
	}
	r.pool.settled.Add(1)
	if v == broker.Ack {
		r.noteAcked(f, c.source)
	}
	return true
}

// noteAcked remembers a flight that was acked on that consumer, for the case that the
// ack does not arrive.
func (r *router) noteAcked(f *flight, s *source) {
	if f.key.id == "" {
		return
	}
	at := f.ended
	if f.state.Load() != stateDone || f.verdict.action != ackIt {
		at = time.Now() // it was abandoned, or a copy had to be published first
	}
	r.pool.memory.acked(f.key, r.sum(f), s, at)
}

// sum is that of the content of f. The worker has computed it unless the task runs.
func (r *router) sum(f *flight) uint64 {
	if f.state.Load() == stateDone {
		return f.sum
	}
	return sumOf(r.pool.seed, f.delivery)
}
