package engine

import (
	"sync"
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/queueargs"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/store"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// Queue is a queue. Its lock comes before those of channels; of several queues,
// the one with the lower id comes first.
type Queue struct {
	e       *Engine
	id      uint32 // of the first lane; the others follow
	name    string
	owner   *Owner // of an exclusive queue
	durable bool
	auto    bool // auto-delete
	args    wire.Table
	set     settings

	mu        sync.Mutex
	deleted   bool
	lanes     []lane // by priority, the lowest first
	ready     int
	unacked   int
	bytes     int64 // of bodies that are ready
	outBytes  int64 // of those that are not settled
	disk      int   // entries on disk
	inMemory  int   // entries with a message
	roster    roster
	idleSince int64 // in microseconds: nobody asked for the queue since

	timed   bool        // something in it has a time
	alarm   *time.Timer // nil until it is needed first
	alarmAt int64       // 0: not set

	dead       []casualty
	burying    bool      // somebody is sending dead
	room       sync.Cond // in dead, or nobody is sending
	record     store.Record
	unreadable bool // the head cannot be read, and the log says so
}

func newQueue(e *Engine, id uint32, d queueargs.Declaration, set settings) *Queue {
	q := &Queue{
		e: e, id: id, name: d.Name, durable: d.Durable, auto: d.AutoDelete, args: d.Args,
		set: set, lanes: make([]lane, set.lanes),
	}
	for i := range q.lanes {
		q.lanes[i].id = id + uint32(i)
		q.lanes[i].next = 1
	}
	q.room.L = &q.mu
	q.roster.single = set.single
	q.timed = set.expires > 0
	q.idleSince = e.now()
	return q
}

// lane returns the lane of a message's priority.
func (q *Queue) lane(priority uint8) *lane {
	return &q.lanes[min(int(priority), len(q.lanes)-1)]
}

// head returns the first message that is ready of the highest priority.
func (q *Queue) head() (*lane, uint64, *entry) {
	for i := len(q.lanes) - 1; i >= 0; i-- {
		if l := &q.lanes[i]; l.ready > 0 {
			seq, ent := l.head()
			return l, seq, ent
		}
	}
	return nil, 0, nil
}

// arrival is a message on its way into queues.
type arrival struct {
	msg      *message
	keep     bool // in memory, though it is on disk
	priority uint8
	ttl      int64 // the message's own, in microseconds; -1: none
	now      int64
}

// push puts a message in and gives it, or those before it, to consumers. If nobody
// takes it at once and its time is up, it goes as it came.
func (q *Queue) push(a *arrival, loc store.Loc) {
	l := q.lane(a.priority)
	ent := entry{loc: loc, size: uint32(len(a.msg.body)), expires: q.expiry(a)}
	if a.keep || loc.IsZero() {
		ent.msg = a.msg
		q.inMemory++
		q.e.hold(a.msg)
	}
	if !loc.IsZero() {
		q.disk++
	}
	q.timed = q.timed || ent.expires != 0
	seq := l.add(ent)
	q.ready++
	q.bytes += int64(ent.size)
	q.dispatch(a.now, fresh{l, seq, a.msg})
	q.trim(a.now)
}

// take removes the head from what is ready.
func (q *Queue) take(l *lane, seq uint64, ent *entry, to state) {
	size := int64(ent.size)
	q.ready--
	q.bytes -= size
	if to == out {
		q.unacked++
		q.outBytes += size
	}
	if to == gone {
		q.settled(l, seq, ent)
	}
	l.leave(seq, ent, to)
}

// settled tells the store and the accounts that an entry is about to go.
func (q *Queue) settled(l *lane, seq uint64, ent *entry) {
	if ent.onDisk() {
		q.e.store.Ack(store.Ref{Queue: l.id, Seq: seq}, ent.loc)
	}
	q.dropped(ent)
}

// dropped is settled when the store has been told already.
func (q *Queue) dropped(ent *entry) {
	if ent.onDisk() {
		q.disk--
	}
	q.forgetMessage(ent)
}

func (q *Queue) forgetMessage(ent *entry) {
	if ent.msg != nil {
		q.inMemory--
		q.e.release(ent.msg)
		ent.msg = nil
	}
}

// comeBack makes a message that was delivered ready again, in its place.
func (q *Queue) comeBack(l *lane, seq uint64, ent *entry) {
	q.unacked--
	q.outBytes -= int64(ent.size)
	q.ready++
	q.bytes += int64(ent.size)
	l.giveBack(seq, ent)
}

// forget removes a message that was delivered.
func (q *Queue) forget(l *lane, seq uint64, ent *entry) {
	q.unacked--
	q.outBytes -= int64(ent.size)
	q.settled(l, seq, ent)
	l.remove(seq)
}

// purge drops what is ready and returns how much that was.
func (q *Queue) purge() int {
	n := q.ready
	for i := range q.lanes {
		l := &q.lanes[i]
		for len(l.back) > 0 {
			seq, ent := l.head()
			q.take(l, seq, ent, gone)
		}
		if l.ready == 0 {
			continue
		}
		first, _ := l.head()
		q.ackRange(l, first, func(e *entry) bool { return e.state() == ready })
		for l.ready > 0 {
			seq, ent := l.head()
			q.dropped(ent)
			l.leave(seq, ent, gone)
		}
	}
	q.ready, q.bytes = 0, 0
	return n
}

// ackRange tells the store that what keep accepts is gone, from first on.
func (q *Queue) ackRange(l *lane, first uint64, keep func(*entry) bool) {
	if q.e.store != nil && q.disk > 0 && l.next > first {
		q.e.store.AckRange(l.id, first, l.next-1, l.locs(keep))
	}
}

// clear drops everything, for a queue that is deleted, but what is dead: who
// buries it is going to call interred.
func (q *Queue) clear() {
	for i := range q.lanes {
		l := &q.lanes[i]
		alive := func(e *entry) bool { return e.state() != dead }
		q.ackRange(l, 1, alive)
		for _, ent := range l.all() {
			if alive(ent) {
				q.dropped(ent)
				*ent = entry{}
			}
		}
		l.ready, l.back = 0, nil
	}
	q.ready, q.unacked, q.bytes, q.outBytes = 0, 0, 0, 0
}
