package publisher

import (
	"errors"
	"sync/atomic"

	"github.com/magne-actors/magne-actors/broker"
)

// Stats are the figures of a Publisher. The counters count from New.
type Stats struct {
	Confirmed int64 // answered with Confirmed
	Spooled   int64 // answered with Spooled
	Returned  int64 // answered with broker.ErrUnroutable
	Unknown   int64 // answered with broker.ErrUnknown
	Failed    int64 // answered with another error

	Refused     int64 // answers of the broker that were basic.nack; most are tried again
	Republished int64 // tries after a refusal or a lost connection
	Reconnects  int64 // sessions after the first

	InFlight  int // with the broker, unanswered
	Open      int // taken, unanswered; those in flight are among them
	Connected bool
	Spool     broker.SpoolStats // zero without a spool
}

// Stats does not block.
func (p *Publisher) Stats() Stats {
	c := &p.counts
	s := Stats{
		Confirmed: c.confirmed.Load(), Spooled: c.spooled.Load(), Returned: c.returned.Load(), Unknown: c.unknown.Load(), Failed: c.failed.Load(),
		Refused: c.refused.Load(), Republished: c.republished.Load(), Reconnects: max(0, c.connects.Load()-1),
		InFlight: int(c.inFlight.Load()), Open: int(c.open.Load()), Connected: p.session.Load() != nil,
	}
	if p.spool != nil {
		s.Spool = p.spool.Stats()
	}
	return s
}

// counts are written by the owner alone.
type counts struct {
	confirmed, spooled, returned, unknown, failed atomic.Int64
	refused, republished, connects                atomic.Int64
	inFlight, open                                atomic.Int64
}

// note counts an answer.
func (c *counts) note(outcome Outcome, err error) {
	switch {
	case outcome == Confirmed:
		c.confirmed.Add(1)
	case outcome == Spooled:
		c.spooled.Add(1)
	case errors.Is(err, broker.ErrUnroutable):
		c.returned.Add(1)
	case errors.Is(err, broker.ErrUnknown):
		c.unknown.Add(1)
	default:
		c.failed.Add(1)
	}
}
