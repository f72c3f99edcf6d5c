package store_test

import (
	"fmt"
	"iter"
	"os"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/store"
)

// queue is an index with one queue, in order.
type queue []message

type message struct {
	seq  uint64
	loc  store.Loc
	body string
}

func (q *queue) Meta(string, []byte) error { return nil }

func (q *queue) Message(m *store.Record, refs []store.Ref, loc store.Loc) {
	*q = append(*q, message{refs[0].Seq, loc, string(m.Body)})
}

func (q *queue) Acked(_ uint32, first, last uint64) {
	for len(*q) > 0 && first <= (*q)[0].seq && (*q)[0].seq <= last {
		*q = (*q)[1:]
	}
}

func (q *queue) Redelivered(store.Ref, uint32) {}

func (q *queue) Locs() iter.Seq[store.Loc] {
	return func(yield func(store.Loc) bool) {
		for _, m := range *q {
			if !yield(m.loc) {
				return
			}
		}
	}
}

func (q *queue) Live(store.Ref, store.Loc) (uint32, bool)        { return 0, false }
func (q *queue) Moved(store.Ref, store.Loc, store.Loc) (ok bool) { return false }

func Example() {
	dir, err := os.MkdirTemp("", "store")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	var q queue
	s, err := store.Open(store.Options{Dir: dir}, &q)
	if err != nil {
		fmt.Println(err)
		return
	}
	stored := make(chan error, 1)
	for i, body := range []string{"first", "second"} {
		ref := store.Ref{Queue: 1, Seq: uint64(i)}
		loc, err := s.Append(&store.Record{Body: []byte(body)}, []store.Ref{ref}, store.WaiterFunc(func(err error) { stored <- err }))
		fmt.Println(body, err, <-stored) // on disk: the publisher gets its confirm
		q = append(q, message{ref.Seq, loc, body})
	}
	s.Ack(store.Ref{Queue: 1, Seq: 0}, q[0].loc) // the consumer is done
	fmt.Println(s.Close())

	q = nil
	if s, err = store.Open(store.Options{Dir: dir}, &q); err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	fmt.Println(len(q), q[0].body)
	// Output:
	// first <nil> <nil>
	// second <nil> <nil>
	// <nil>
	// 1 second
}
