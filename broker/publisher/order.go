package publisher

import (
	"container/heap"
	"time"

	"github.com/magne-actors/magne-actors/broker"
)

// place is where a publication is.
type place uint8

const (
	aside   place = iota // nowhere: answered, or on its way to the spool
	waiting              // for its turn
	later                // refused, or suspect: for its next try
	sending              // handed to the sender, which may be blocked
	flying               // with the broker, unanswered
)

// stored is how far a publication is in the spool.
type stored uint8

const (
	notStored  stored = iota
	storing           // being written
	held              // on the disk, and held back: the broker may still confirm it
	unstorable        // the spool has refused it, or it does not belong there
)

// entry is one publication, until it is answered and nothing of it is under way.
type entry struct {
	pub     broker.Publication // of the sender alone; the body and the headers are the caller's
	delayed string             // the queue that it is for, if it is to wait on the broker
	receipt *Receipt
	seq     uint64      // order of acceptance
	heard   func(error) // gets the broker's answers
	done    func() bool // ends the watch over ctx

	place    place
	index    int       // in the heap of its place
	due      time.Time // while later
	stored   stored
	release  func(keep bool) // while held
	answered bool

	tries, refused, lost int
	strayed              bool  // it came back from the ladder
	maybe                bool  // an earlier try may have arrived
	ended                error // why it shall go no further, while it is with the sender
	last                 error // the newest answer that was no confirm
}

// bySeq are entries with the oldest first.
type bySeq []*entry

func (q bySeq) Len() int           { return len(q) }
func (q bySeq) Less(i, j int) bool { return q[i].seq < q[j].seq }
func (q bySeq) Swap(i, j int)      { swap(q, i, j) }
func (q *bySeq) Push(x any)        { *q = push(*q, x) }
func (q *bySeq) Pop() (x any)      { *q, x = pop(*q); return x }

// byDue are entries with what is due first at the top.
type byDue []*entry

func (q byDue) Len() int           { return len(q) }
func (q byDue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q byDue) Swap(i, j int)      { swap(q, i, j) }
func (q *byDue) Push(x any)        { *q = push(*q, x) }
func (q *byDue) Pop() (x any)      { *q, x = pop(*q); return x }

func swap(q []*entry, i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

func push(q []*entry, x any) []*entry {
	e, _ := x.(*entry)
	e.index = len(q)
	return append(q, e)
}

func pop(q []*entry) ([]*entry, any) {
	last := len(q) - 1
	e := q[last]
	q[last] = nil
	return q[:last], e
}

// wait puts e among those that wait for their turn.
func (b *book) wait(e *entry) {
	e.place = waiting
	heap.Push(&b.waiting, e)
}

// waitUntil puts e among those that wait for their next try.
func (b *book) waitUntil(e *entry, due time.Time) {
	e.place, e.due = later, due
	heap.Push(&b.later, e)
}

// take removes e from where it waits.
func (b *book) take(e *entry) {
	switch e.place {
	case waiting:
		heap.Remove(&b.waiting, e.index)
	case later:
		heap.Remove(&b.later, e.index)
	default:
		return
	}
	e.place = aside
}
