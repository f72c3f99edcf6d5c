package engine

import (
	"cmp"
	"slices"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// outcome is what a client makes of a delivery.
type outcome uint8

const (
	accept outcome = iota
	requeue
	reject
)

// Ack settles a delivery, or all up to tag. An unknown tag is an error (406).
func (ch *Channel) Ack(tag uint64, multiple bool) error {
	return ch.settle(tag, multiple, accept)
}

// Nack refuses a delivery, or all up to tag: they return to their queue, or are
// dead-lettered.
func (ch *Channel) Nack(tag uint64, multiple, again bool) error {
	if again {
		return ch.settle(tag, multiple, requeue)
	}
	return ch.settle(tag, multiple, reject)
}

// Reject is Nack of one delivery.
func (ch *Channel) Reject(tag uint64, again bool) error { return ch.Nack(tag, false, again) }

// Recover requeues all that is not settled. Without requeue it is refused (540),
// as RabbitMQ does.
func (ch *Channel) Recover(again bool) error {
	if !again {
		return errorf(wire.CodeNotImplemented, "requeue=false")
	}
	return ch.settle(0, true, requeue)
}

func (ch *Channel) settle(tag uint64, multiple bool, how outcome) error {
	ch.mu.Lock()
	items, ok := ch.unsettled.take(ch.scratch[:0], tag, multiple)
	for i := range items {
		if items[i].c != nil {
			ch.outstanding--
		}
	}
	var others, own []*consumer
	if ok && ch.limit > 0 {
		others, own = ch.takeWaiting(items)
	}
	ch.mu.Unlock()
	if !ok {
		return errorf(wire.CodePreconditionFailed, "unknown delivery tag %d", tag)
	}
	ch.e.wake(others) // or the queues that are settled took each place again
	ch.e.settle(items, how)
	ch.e.wake(own)
	if ch.scratch = items; cap(items) > 4096 {
		ch.scratch = nil
	}
	clear(ch.scratch) // queues that are deleted must not be kept
	return nil
}

// settle settles deliveries, those of a queue in one step.
func (e *Engine) settle(items []pending, how outcome) {
	if len(items) > 1 {
		slices.SortStableFunc(items, func(a, b pending) int { return cmp.Compare(a.q.id, b.q.id) })
	}
	now := e.now()
	for len(items) > 0 {
		n := 1
		for n < len(items) && items[n].q == items[0].q {
			n++
		}
		items[0].q.settleAll(items[:n], how, now)
		items = items[n:]
	}
}

func (q *Queue) settleAll(items []pending, how outcome, now int64) {
	q.mu.Lock()
	if !q.deleted {
		q.settle(items, how)
		q.run(now)
	}
	q.unlock()
}

func (q *Queue) settle(items []pending, how outcome) {
	for i := range items {
		p := &items[i]
		if p.c != nil {
			p.c.unacked--
			q.roster.unblock(p.c)
		}
		switch ent := p.l.at(p.seq); how {
		case accept:
			q.forget(p.l, p.seq, ent)
		case reject:
			q.kill(p.l, p.seq, ent, rejected)
		case requeue:
			n := ent.count() + 1
			ent.setCount(n)
			if q.set.deliveryLimit >= 0 && int64(n) > q.set.deliveryLimit {
				q.kill(p.l, p.seq, ent, deliveryLimit)
			} else {
				q.comeBack(p.l, p.seq, ent)
			}
		}
	}
	if how == accept {
		q.e.acked.Add(uint64(len(items)))
	}
}

// leave ends the consumers of a channel and takes back what is not settled. It
// reports whether that deleted the queue.
func (q *Queue) leave(ch *Channel, items []pending) (deleted bool) {
	q.mu.Lock()
	defer q.unlock()
	if q.deleted {
		return false
	}
	now := q.e.now()
	if q.roster.removeAll(ch) {
		q.idleSince = now
		if q.auto && len(q.roster.all) == 0 {
			q.end()
			return true
		}
	}
	q.settle(items, requeue)
	q.run(now)
	return false
}
