package store

import (
	"fmt"
	"iter"
	"maps"
	"sync"
	"testing"
)

// memIndex is an index as the engine's: what is live, where, how often it was
// delivered. It follows the contract of Index and nothing else.
type memIndex struct {
	mu   sync.Mutex
	live map[Ref]entry
	meta map[string]string
	seen int // calls of Message
}

type entry struct {
	loc   Loc
	count uint32
	body  string
}

func newIndex() *memIndex {
	return &memIndex{live: map[Ref]entry{}, meta: map[string]string{}}
}

func (x *memIndex) Meta(key string, value []byte) error {
	x.meta[key] = string(value)
	return nil
}

func (x *memIndex) Message(m *Record, refs []Ref, loc Loc) {
	x.seen++
	for _, r := range refs {
		x.live[r] = entry{loc: loc, count: x.live[r].count, body: string(m.Body)}
	}
}

func (x *memIndex) Acked(queue uint32, first, last uint64) {
	if last-first > uint64(len(x.live)) {
		for r := range x.live {
			if r.Queue == queue && first <= r.Seq && r.Seq <= last {
				delete(x.live, r)
			}
		}
		return
	}
	for seq := first; seq <= last; seq++ {
		delete(x.live, Ref{queue, seq})
	}
}

func (x *memIndex) Redelivered(ref Ref, count uint32) {
	if e, ok := x.live[ref]; ok {
		e.count = count
		x.live[ref] = e
	}
}

func (x *memIndex) Locs() iter.Seq[Loc] {
	return func(yield func(Loc) bool) {
		for _, e := range x.live {
			if !yield(e.loc) {
				return
			}
		}
	}
}

func (x *memIndex) Live(ref Ref, loc Loc) (uint32, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e, ok := x.live[ref]
	return e.count, ok && e.loc == loc
}

func (x *memIndex) Moved(ref Ref, from, to Loc) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	e, ok := x.live[ref]
	if !ok || e.loc != from {
		return false
	}
	e.loc = to
	x.live[ref] = e
	return true
}

// put appends a message and puts it into the index.
func (x *memIndex) put(s *Store, body string, w Waiter, refs ...Ref) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	loc, err := s.Append(&Record{Time: 7, Exchange: "ex", Key: "some.key", Props: []byte{0x10, 0, 2}, Body: []byte(body)}, refs, w)
	if err == nil {
		for _, r := range refs {
			x.live[r] = entry{loc: loc, body: body}
		}
	}
	return err
}

// ack takes a message away, if it is there.
func (x *memIndex) ack(s *Store, ref Ref) bool {
	x.mu.Lock()
	e, ok := x.live[ref]
	delete(x.live, ref)
	x.mu.Unlock()
	if ok {
		s.Ack(ref, e.loc)
	}
	return ok
}

func (x *memIndex) redeliver(s *Store, ref Ref) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e, ok := x.live[ref]; ok {
		e.count++
		x.live[ref] = e
		s.Redelivered(ref, e.count)
	}
}

// bodies is what is live, without where.
func (x *memIndex) bodies() map[Ref]string {
	x.mu.Lock()
	defer x.mu.Unlock()
	m := map[Ref]string{}
	for r, e := range x.live {
		m[r] = fmt.Sprintf("%s x%d", e.body, e.count)
	}
	return m
}

func (x *memIndex) refs() []Ref {
	x.mu.Lock()
	defer x.mu.Unlock()
	refs := make([]Ref, 0, len(x.live))
	for r := range maps.Keys(x.live) {
		refs = append(refs, r)
	}
	return refs
}

func open(t testing.TB, o Options) (*Store, *memIndex) {
	t.Helper()
	x := newIndex()
	s, err := Open(o, x)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, x
}

func closeStore(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

func flush(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Sync(t.Context()); err != nil {
		t.Fatalf("sync: %v", err)
	}
}
