package actors

import (
	"sync/atomic"
	"time"

	"github.com/magne-actors/magne-actors/broker"
)

// A broker that blocks publishers says so after the first message, and reads none
// of what was written to it by then: those copies stay unconfirmed for as long as it
// lasts, and would hold up their deliveries. So they are insured: put into the spool
// and held back there, their deliveries acked. When the broker confirms them after
// all, the spool's copies are withdrawn; when it cannot any more, they are published.

// insureEvery is how often the outbox looks for copies to insure.
const insureEvery = 500 * time.Millisecond

// What is known of an insured copy. Each fact is added once, by whoever learns it;
// who adds the last one that a decision needs, decides.
const (
	factAcked     uint32 = 1 << iota // its delivery is
	factConfirmed                    // by the broker
	factFailed                       // the broker has refused it, or the connection was lost
	factNoRoom                       // the spool did not take it
)

// posted is a copy that was handed to the session.
type posted struct {
	m     *publish
	at    time.Time
	taken atomic.Bool // by the session's answer, or for insuring: the first one takes it

	facts   atomic.Uint32
	err     error           // the broker's answer; written before its fact
	release func(keep bool) // of the spool; written before factAcked
}

// answer is the session's, to a copy that was insured meanwhile.
func (x *posted) answer(err error) {
	x.err = err
	fact := factConfirmed
	if err != nil {
		fact = factFailed
	}
	switch old := x.facts.Or(fact); {
	case old&factNoRoom != 0:
		x.m.answer(err)
	case old&factAcked != 0:
		x.release(err != nil)
	}
}

// insure puts the copy into the spool.
func (x *posted) insure(s broker.Spool) {
	s.Put(x.m.flight.outgoing, func(release func(bool), err error) {
		if err == nil {
			x.release = release
			x.m.pool.toRouter(&published{flight: x.m.flight, release: x.settled})
		} else if old := x.facts.Or(factNoRoom); old&(factConfirmed|factFailed) != 0 {
			x.m.answer(x.err)
		}
	})
}

// settled is called when the delivery was acked, or will not be.
func (x *posted) settled(acked bool) {
	if !acked {
		x.release(false)
		return
	}
	if old := x.facts.Or(factAcked); old&(factConfirmed|factFailed) != 0 {
		x.release(old&factFailed != 0)
	}
}

// lookout ticks when it is time to insure copies; without a spool it never does.
func (o *outbox) lookout() (<-chan time.Time, func()) {
	if o.spool == nil {
		return nil, func() {}
	}
	t := time.NewTicker(insureEvery)
	return t.C, t.Stop
}

// insure looks for copies that the broker has had for too long, while it blocks
// publishers.
func (o *outbox) insure(now time.Time) {
	blocked := blockedFor(o.session, now)
	kept := o.posted[:0]
	for _, x := range o.posted {
		switch {
		case x.taken.Load(): // answered
		case blocked && now.Sub(x.at) >= spoolAfter:
			if x.taken.CompareAndSwap(false, true) {
				x.insure(o.spool)
			}
		default:
			kept = append(kept, x)
		}
	}
	clear(o.posted[len(kept):])
	o.posted = kept
}
