package store

import (
	"fmt"
	"iter"
)

// Ref names a message in a queue. Queue is the caller's number for the queue,
// never used again for another one. Seq rises with each message of the queue.
type Ref struct {
	Queue uint32
	Seq   uint64
}

// Loc is where a message is in the log. The zero Loc is nowhere.
type Loc struct {
	Segment uint32
	Offset  uint32
}

// IsZero reports whether l is nowhere.
func (l Loc) IsZero() bool { return l == Loc{} }

// String returns segment:offset.
func (l Loc) String() string { return fmt.Sprintf("%d:%d", l.Segment, l.Offset) }

// Record is a message as it is stored.
type Record struct {
	Time     int64  // when it entered its queues, in the caller's unit; TTLs count from here
	Exchange string // at most 255 bytes
	Key      string // routing key, at most 255 bytes
	Props    []byte // content header, as received
	Body     []byte

	buf []byte // what Props and Body point into, after Read
}

// Index is the caller's knowledge of what is in the queues.
//
// Open calls Meta for each key, then the methods from Message to Redelivered in
// the order of the log, then Locs once. The index must not call the store before
// Open has returned. Live and Moved are called by the committer afterwards.
type Index interface {
	// Meta is the last value of a key that was not deleted. An error ends Open.
	// The value is the index's to keep.
	Meta(key string, value []byte) error

	// Message is in the queues of refs, at loc. The slices of m, and refs, are
	// valid until it returns; strings stay. Refs of queues that do not exist are to
	// be ignored. Seq rises within a queue, with one exception: a message that was
	// copied to the end of the log comes where the copy is. If the index already
	// has such a Ref, from the place it was copied from, loc replaces the old one.
	Message(m *Record, refs []Ref, loc Loc)

	// Acked means that the messages first to last of the queue are gone. It may
	// name messages that the index has never seen.
	Acked(queue uint32, first, last uint64)

	// Redelivered sets the delivery count of a message, if there is one.
	Redelivered(ref Ref, count uint32)

	// Locs yields the Loc of each live Ref: for a message in two queues, twice.
	Locs() iter.Seq[Loc]

	// Live reports whether ref is still in its queue, at loc, and its delivery
	// count. Once it has said no, it must never say yes.
	Live(ref Ref, loc Loc) (count uint32, ok bool)

	// Moved says that ref is now at to. The index takes to for its Loc and returns
	// true, or returns false if ref is gone: then Ack was or will be called
	// with from.
	Moved(ref Ref, from, to Loc) bool
}

// Waiter is told what became of a record.
type Waiter interface {
	// Stored is called once, by the committer; see the package's guarantees. It
	// must not wait.
	Stored(err error)
}

// WaiterFunc makes a function a Waiter.
type WaiterFunc func(error)

// Stored calls f.
func (f WaiterFunc) Stored(err error) { f(err) }
