package engine

import (
	"errors"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/store"
)

// fresh is a message that came just now: it goes to a consumer who is ready even
// if its time is up, and it may be in memory though its entry says that it is not.
// The zero fresh is none.
type fresh struct {
	l   *lane
	seq uint64
	msg *message
}

func (f *fresh) is(l *lane, seq uint64) bool { return f.l == l && f.seq == seq }

// dispatch gives messages to consumers until there are no more of the ones or the
// others.
func (q *Queue) dispatch(now int64, f fresh) {
	for q.ready > 0 {
		c := q.roster.turn()
		if c == nil {
			return
		}
		if !c.hasCredit() {
			q.roster.block(c)
			continue
		}
		l, seq, ent := q.head()
		msg := ent.msg
		switch {
		case f.is(l, seq):
			msg = f.msg
		case ent.due(now):
			if !q.expire(now) {
				return // until what has died is buried
			}
			continue
		}
		switch c.ch.deliver(c, handout{l, seq, ent, msg}, now) {
		case delivered:
			q.handedOut(l, seq, ent, c)
		case refused:
			q.roster.block(c)
		case unreadable:
			return
		}
	}
}

func (q *Queue) handedOut(l *lane, seq uint64, ent *entry, c *consumer) {
	q.roster.served()
	q.e.delivered.Add(1)
	if c.noAck {
		q.take(l, seq, ent, gone)
		return
	}
	c.unacked++
	q.begun(l, seq, ent)
	q.take(l, seq, ent, out)
}

// begun writes down that a delivery has begun, so that it is a redelivery after
// the loss of the process: a message that kills it counts towards its limit.
func (q *Queue) begun(l *lane, seq uint64, ent *entry) {
	if ent.onDisk() {
		q.e.store.Redelivered(store.Ref{Queue: l.id, Seq: seq}, ent.count()+1)
	}
}

// handout is a message and its place. msg is nil if it must be read.
type handout struct {
	l   *lane
	seq uint64
	ent *entry
	msg *message
}

// fill writes the message into d, whose slices are then valid until the lock of
// the queue is released. It reports false if it cannot be read.
func (q *Queue) fill(d *Delivery, h handout) bool {
	d.Redelivered = h.ent.count() > 0
	var blind bool
	if h.msg != nil {
		blind = h.msg.blind
		d.Exchange, d.Key, d.Props, d.Body = h.msg.exchange, h.msg.key, h.msg.props, h.msg.body
	} else {
		if !q.read(h.ent) {
			return false
		}
		r := &q.record
		d.Exchange, d.Key, d.Props, d.Body = r.Exchange, r.Key, r.Props, r.Body
		_, blind = copies(r.Props)
	}
	if blind {
		d.Props = withoutBlind(d.Props)
	}
	if d.Redelivered && q.set.quorum {
		d.Props = withDeliveryCount(d.Props, h.ent.count())
	}
	return true
}

// read reads a message into q.record.
func (q *Queue) read(ent *entry) bool {
	// Compaction calls Moved before a segment goes, and waits there for the lock of
	// the queue, so that the place is good as long as it is held.
	err := q.e.store.Read(ent.loc, &q.record)
	if err == nil {
		q.unreadable = false
		return true
	}
	if !q.unreadable && !errors.Is(err, store.ErrClosed) {
		q.e.log.Error("cannot read a message; the queue is tried again with its next event",
			"queue", q.name, "place", ent.loc.String(), "err", err)
	}
	q.unreadable = true
	return false
}
