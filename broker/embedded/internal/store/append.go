package store

import (
	"errors"
	"fmt"
	"iter"
)

// maxPending is how much may wait for the disk. It keeps offsets in 32 bits: a
// segment is at most its size, a group being written and one that fills.
const maxPending = 1 << 30

// pending is what waits for the next group. The committer takes it whole.
type pending struct {
	segment uint32
	salt    uint32
	base    uint32 // offset in the segment of buf[0]
	buf     []byte // room for the mark, then messages
	waiters []Waiter

	runs   []run
	counts []count

	journal []metaOp
	syncs   []chan error
}

// urgent reports whether somebody waits.
func (p *pending) urgent() bool {
	return len(p.buf) > markBytes || len(p.journal) > 0 || len(p.syncs) > 0
}

func (p *pending) lazy() bool { return len(p.runs) > 0 || len(p.counts) > 0 }

// Append buffers a message for all of refs, of which there is at least one, and
// returns where it will be. The message is copied: m and refs may be reused. w,
// unless nil, is told when it is durable. Append does not wait for the disk.
//
// Each ref is to be given to Ack or AckRange exactly once, also if w is told of
// an error. If Append itself returns one (ErrFull, ErrBacklog, ErrTooBig,
// ErrClosed, or what made the store fail), nothing is stored and w is not called.
func (s *Store) Append(m *Record, refs []Ref, w Waiter) (Loc, error) {
	n := messageBytes(m, len(refs), refBytes)
	if len(m.Exchange) > maxName || len(m.Key) > maxName || n > maxRecord {
		return Loc{}, fmt.Errorf("%w: %d bytes", ErrTooBig, n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refuses(); err != nil {
		return Loc{}, err
	}
	p := &s.next
	if len(p.buf)+n > maxPending {
		return Loc{}, ErrBacklog
	}
	loc := Loc{Segment: p.segment, Offset: p.base + uint32(len(p.buf))}
	p.buf = appendMessage(p.buf, p.salt, m, refs, nil)
	if w != nil {
		p.waiters = append(p.waiters, w)
	}
	s.segs.appended(loc.Segment, len(refs), n)
	s.wakeLocked(true)
	return loc, nil
}

// refuses says why nothing new is taken.
func (s *Store) refuses() error {
	switch {
	case s.err != nil:
		return s.err
	case s.closing:
		return ErrClosed
	case s.full:
		return ErrFull
	}
	return nil
}

// Ack says that a message is gone from its queue: settled, expired, dropped. It
// is written with the next group. After Close, or when the store has failed, it does
// nothing: the message is delivered again after the next Open.
func (s *Store) Ack(ref Ref, loc Loc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || s.closing {
		return
	}
	s.segs.acked(loc.Segment)
	s.next.ack(ref.Queue, ref.Seq, ref.Seq)
	s.wakeLocked(false)
}

// AckRange is Ack for the messages first to last of a queue, and for each of
// them in locs. It takes 20 bytes in the log, however many they are.
func (s *Store) AckRange(queue uint32, first, last uint64, locs iter.Seq[Loc]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || s.closing {
		return
	}
	for loc := range locs {
		s.segs.acked(loc.Segment)
	}
	s.next.ack(queue, first, last)
	s.wakeLocked(false)
}

// ack adds to the newest run if it goes on there. A queue with one consumer
// that acknowledges in order needs one run in a group.
func (p *pending) ack(queue uint32, first, last uint64) {
	if len(p.runs) > 0 {
		r := &p.runs[len(p.runs)-1]
		if r.queue == queue && r.last+1 == first && first != 0 {
			r.last = last
			return
		}
	}
	p.runs = append(p.runs, run{queue: queue, first: first, last: last})
}

// Redelivered sets the delivery count of a message, which only rises. It is
// written with the next group.
func (s *Store) Redelivered(ref Ref, n uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || s.closing {
		return
	}
	s.next.counts = append(s.next.counts, count{ref: ref, n: n})
	s.wakeLocked(false)
}

// PutMeta sets a key of the journal: a queue, an exchange, a binding. Key and
// value are copied. w, unless nil, is told when it is durable. If PutMeta returns
// an error (as Append does), nothing is stored and w is not called.
func (s *Store) PutMeta(key string, value []byte, w Waiter) error {
	if n := len(key) + len(value); n > maxRecord/2 {
		return fmt.Errorf("%w: %d bytes", ErrTooBig, n)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refuses(); err != nil {
		return err
	}
	s.next.journal = append(s.next.journal, metaOp{key: key, value: append([]byte{}, value...), w: w})
	s.wakeLocked(true)
	return nil
}

// DeleteMeta removes a key of the journal. Unlike PutMeta it goes on when the
// disk is full.
func (s *Store) DeleteMeta(key string, w Waiter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refuses(); err != nil && !errors.Is(err, ErrFull) {
		return err
	}
	s.next.journal = append(s.next.journal, metaOp{key: key, w: w})
	s.wakeLocked(true)
	return nil
}

// wakeLocked makes the committer look, at most once for each kind of work until
// it takes the group. A signal that it has not yet received will do as well.
func (s *Store) wakeLocked(urgent bool) {
	if s.woken || !urgent && s.dozing {
		return
	}
	s.woken, s.dozing = urgent, true
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
