package engine

import (
	"encoding/binary"
	"errors"
	"iter"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/queueargs"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/routing"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/store"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// index is what the store knows of the queues.
type index struct {
	e        *Engine
	bindings []routing.Binding // from the journal, until all of it is read

	// What the log has for numbers that no queue has, until all of it is read.
	nobody *Queue
	lost   map[uint32]*lane
}

// laneRef is where a number of the store leads.
type laneRef struct {
	q *Queue
	l *lane
}

func (e *Engine) openStore() error {
	x := &index{e: e, nobody: &Queue{e: e}, lost: make(map[uint32]*lane)}
	s, err := store.Open(store.Options{
		Dir: e.options.Dir, Interval: e.options.Fsync, SegmentBytes: e.options.SegmentBytes, Fault: e.options.Fault, Logger: e.options.Logger,
		OnChange: e.diskChanged,
	}, x)
	if err != nil {
		return err
	}
	e.store = s
	if n := x.nobody.ready; n > 0 {
		e.log.Warn("the log has messages of queues that are not in the journal; they are dropped", "messages", n)
	}
	x.nobody, x.lost = nil, nil
	for _, b := range x.bindings {
		t, _, err := e.table.Load().Bind(b, nil)
		if err != nil {
			// The journal is written key by key, so that a loss of the process can leave a
			// binding of what is deleted.
			e.log.Warn("a binding leads nowhere; it is deleted", "exchange", b.Source, "destination", b.Destination)
			e.deleteMeta(bindingKey(b), &journaled{})
		}
		e.table.Store(t)
	}
	for _, q := range e.table.Load().Queues() {
		for _, at := range q.worn() {
			q.mu.Lock()
			q.wornOut(at)
			q.unlock()
		}
		q.mu.Lock()
		q.run(e.now())
		q.unlock()
	}
	return nil
}

// worn returns what was delivered too often before the process ended.
func (q *Queue) worn() (all []handout) {
	if q.set.deliveryLimit < 0 {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.lanes {
		l := &q.lanes[i]
		for seq, ent := range l.all() {
			if ent.state() == ready && int64(ent.count()) > q.set.deliveryLimit {
				all = append(all, handout{l: l, seq: seq})
			}
		}
	}
	return all
}

// wornOut kills one of those, wherever in the queue it is, if it is still there.
func (q *Queue) wornOut(at handout) {
	ent := at.l.at(at.seq)
	if ent == nil || ent.state() != ready {
		return
	}
	size := int64(ent.size)
	q.ready--
	q.bytes -= size
	q.unacked++
	q.outBytes += size
	at.l.ready--
	ent.setState(out) // kill takes only the head from what is ready
	q.kill(at.l, at.seq, ent, deliveryLimit)
}

func (e *Engine) diskChanged(err error) {
	switch {
	case err == nil:
		e.pressure.set(lowDisk, false)
	case errors.Is(err, store.ErrFull):
		e.pressure.set(lowDisk, true)
	default:
		e.log.Error("the store has failed; nothing persistent is taken until a restart", "err", err)
		e.pressure.set(diskFailed, true)
	}
}

func (x *index) lane(number uint32) (laneRef, bool) {
	v, ok := x.e.lanes.Load(number)
	if !ok {
		return laneRef{}, false
	}
	return v.(laneRef), true
}

// replayed is lane for what the log says, which is true also of a queue that the
// journal has lost: its number must not be used again.
func (x *index) replayed(number uint32) laneRef {
	if at, ok := x.lane(number); ok {
		return at
	}
	if number >= x.e.nextID {
		x.e.nextID = number + 1
	}
	l := x.lost[number]
	if l == nil {
		l = &lane{id: number, next: 1}
		x.lost[number] = l
	}
	return laneRef{x.nobody, l}
}

// Meta implements store.Index.
func (x *index) Meta(key string, value []byte) error { return x.restore(key, value) }

// Message implements store.Index.
func (x *index) Message(m *store.Record, refs []store.Ref, loc store.Loc) {
	for _, ref := range refs {
		at := x.replayed(ref.Queue)
		if ent := at.l.at(ref.Seq); ent != nil {
			ent.loc = loc
			continue
		}
		a := arrival{ttl: ownTTL(m.Props), now: min(m.Time, x.e.now())} // it has come before now, whatever the clock was then
		at.q.restored(at.l, ref.Seq, entry{loc: loc, size: uint32(len(m.Body)), expires: at.q.expiry(&a)})
	}
}

func (q *Queue) restored(l *lane, seq uint64, ent entry) {
	l.put(seq, ent)
	q.ready++
	q.disk++
	q.bytes += int64(ent.size)
	q.timed = q.timed || ent.expires != 0
}

// ownTTL returns the TTL in the properties of a message, in microseconds, or -1. Most
// have none, and then only the flags are read.
func ownTTL(props []byte) int64 {
	if len(props) < 2 || wire.Property(binary.BigEndian.Uint16(props))&wire.PropExpiration == 0 {
		return -1
	}
	view, err := wire.ViewProperties(props)
	if err != nil {
		return -1
	}
	ttl, err := queueargs.Expiration(view.Expiration)
	if err != nil {
		return -1
	}
	return ttl.Microseconds()
}

// Acked implements store.Index.
func (x *index) Acked(queue uint32, first, last uint64) {
	at := x.replayed(queue)
	l, q := at.l, at.q
	l.next = max(l.next, last+1)
	for seq := max(first, l.base); seq <= last && len(l.chunks) > 0 && seq < l.base+uint64(len(l.chunks))*chunkLen; seq++ {
		ent := l.at(seq)
		if ent == nil {
			continue
		}
		q.ready--
		q.disk--
		q.bytes -= int64(ent.size)
		l.ready--
		l.remove(seq)
	}
}

// Redelivered implements store.Index.
func (x *index) Redelivered(ref store.Ref, count uint32) {
	if at, ok := x.lane(ref.Queue); ok {
		if ent := at.l.at(ref.Seq); ent != nil {
			ent.setCount(max(ent.count(), count))
		}
	}
}

// Locs implements store.Index.
func (x *index) Locs() iter.Seq[store.Loc] {
	return func(yield func(store.Loc) bool) {
		x.e.lanes.Range(func(_, v any) bool {
			for _, ent := range v.(laneRef).l.all() {
				if !yield(ent.loc) {
					return false
				}
			}
			return true
		})
	}
}

// Live implements store.Index.
func (x *index) Live(ref store.Ref, loc store.Loc) (count uint32, ok bool) {
	at, ok := x.lane(ref.Queue)
	if !ok {
		return 0, false
	}
	at.q.mu.Lock()
	defer at.q.mu.Unlock()
	ent := at.l.at(ref.Seq)
	if ent == nil || ent.loc != loc {
		return 0, false
	}
	count = ent.count()
	if ent.state() == out {
		count++ // see begun
	}
	return count, true
}

// Moved implements store.Index.
func (x *index) Moved(ref store.Ref, from, to store.Loc) bool {
	at, ok := x.lane(ref.Queue)
	if !ok {
		return false
	}
	at.q.mu.Lock()
	defer at.q.mu.Unlock()
	ent := at.l.at(ref.Seq)
	if ent == nil || ent.loc != from {
		return false
	}
	ent.loc = to
	return true
}

var _ store.Index = (*index)(nil)
