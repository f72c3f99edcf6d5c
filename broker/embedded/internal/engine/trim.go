package engine

import (
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/queueargs"
)

// deadBatch bounds what is taken out of a queue for dead-lettering in one step,
// and so the memory that it needs.
const deadBatch = 256

// due reports whether the time of a message is up.
func (e *entry) due(now int64) bool { return e.expires != 0 && e.expires <= now }

// expiry returns when a message that comes now expires, by its own TTL and the
// queue's; 0 is never.
func (q *Queue) expiry(a *arrival) int64 {
	ttl := a.ttl
	if t := q.set.ttl; t >= 0 && (ttl < 0 || t.Microseconds() < ttl) {
		ttl = t.Microseconds()
	}
	if ttl < 0 {
		return 0
	}
	return a.now + ttl
}

// trim drops from the head what is too much and what is too old.
func (q *Queue) trim(now int64) {
	if q.set.overflow == queueargs.DropHead {
		for q.ready > 0 && q.tooLong(0, 0) && len(q.dead) < deadBatch {
			l, seq, ent := q.head()
			q.kill(l, seq, ent, maxLength)
		}
	}
	if q.timed {
		q.expire(now)
		q.arm(now)
	}
}

// run does all that a change may have made possible.
func (q *Queue) run(now int64) {
	if q.deleted {
		return
	}
	q.trim(now)
	if q.dispatch(now, fresh{}); q.timed {
		q.trim(now) // there is another head
	}
}

// tooLong reports whether the queue is longer than allowed with some more.
func (q *Queue) tooLong(messages int, bytes int64) bool {
	return q.set.maxLength >= 0 && int64(q.ready+messages) > q.set.maxLength ||
		q.set.maxBytes >= 0 && q.bytes+bytes > q.set.maxBytes
}

// expire drops what is too old from the head of each lane. What is behind a message
// that is not waits there, as in RabbitMQ. It reports whether it dropped any.
func (q *Queue) expire(now int64) (any bool) {
	for i := range q.lanes {
		l := &q.lanes[i]
		for len(q.dead) < deadBatch {
			seq, ent := l.head()
			if ent == nil || !ent.due(now) {
				break
			}
			q.kill(l, seq, ent, expired)
			any = true
		}
	}
	return any
}

// arm sets the alarm for the head that expires first and the end of an unused
// queue. An alarm that comes too early does no harm, so it is set again only for
// an earlier time.
func (q *Queue) arm(now int64) {
	at := int64(0)
	for i := range q.lanes {
		if _, ent := q.lanes[i].head(); ent != nil && ent.expires != 0 && (at == 0 || ent.expires < at) {
			at = ent.expires
		}
	}
	if q.set.expires > 0 && len(q.roster.all) == 0 {
		if end := q.idleSince + q.set.expires.Microseconds(); at == 0 || end < at {
			at = end
		}
	}
	if at == 0 || q.deleted || q.alarmAt != 0 && q.alarmAt <= at {
		return
	}
	q.alarmAt = at
	if d := time.Duration(max(at-now, 0)) * time.Microsecond; q.alarm == nil {
		q.alarm = time.AfterFunc(d, q.tick)
	} else {
		q.alarm.Reset(d)
	}
}

// tick is the alarm.
func (q *Queue) tick() {
	q.mu.Lock()
	q.alarmAt = 0
	now := q.e.now()
	if q.deleted || q.e.closed.Load() {
		q.mu.Unlock()
		return
	}
	if x := q.set.expires; x > 0 && len(q.roster.all) == 0 && q.idleSince+x.Microseconds() <= now {
		q.end()
		q.mu.Unlock()
		q.e.unlist(q)
		return
	}
	q.run(now)
	q.unlock()
}

// used says that somebody asked for the queue.
func (q *Queue) used(now int64) {
	q.idleSince = now
	if q.timed {
		q.arm(now)
	}
}
