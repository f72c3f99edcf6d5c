package store

import (
	"errors"
	"io"
)

// How much of a segment one group of compaction copies at most, and reads.
const (
	moveBytes = 1 << 20
	moveScan  = 8 << 20
)

// mover is compaction on its way through the oldest segment. It belongs to the
// committer and works between the groups, so nothing that it asks the index
// about is acknowledged behind its back in the log: an Ack before Live is
// answered by Live, one after it is written behind the copy.
type mover struct {
	seg  *segment // nil: nothing to do
	scan scanner
	buf  []byte // what the moves of one group point into
}

// move is a message that is copied to the end of the log.
type move struct {
	refs  []Ref
	from  Loc
	to    Loc // set when its group is taken
	bytes []byte
}

// plan decides whether there is something to compact and reports it.
func (s *Store) plan() bool {
	if s.moving.seg != nil && !s.moving.seg.gone {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	seg := s.segs.victim(s.active.number, s.full)
	if seg != nil && s.full && seg.liveBytes() > s.opts.ReserveBytes/4 {
		seg = nil // the reserve is for acknowledgements
	}
	if seg == nil {
		s.moving = mover{}
		return false
	}
	s.moving = mover{
		seg:  seg,
		scan: scanner{f: seg.file, size: seg.size, salt: seg.salt, off: fileHeader},
	}
	return true
}

// prepareMoves returns the copies for the next group, encoded for its place.
func (s *Store) prepareMoves() []move {
	m := &s.moving
	if m.seg == nil || m.seg.gone {
		return nil
	}
	s.mu.Lock()
	salt := s.next.salt
	s.mu.Unlock()
	var moves []move
	m.buf = m.buf[:0]
	for limit := m.scan.off + moveScan; m.scan.off < limit && len(m.buf) < moveBytes; {
		off := m.scan.off
		kind, payload, err := m.scan.next()
		if err != nil {
			s.endMove(err)
			break
		}
		if kind != recMessage && kind != recCopy {
			continue
		}
		if mv, ok := s.copyLive(kind, payload, Loc{m.seg.number, uint32(off)}, salt); ok {
			moves = append(moves, mv)
		}
	}
	return moves
}

// endMove marks the segment: all that is live in it has been copied, once the
// next group is written. What is left is acknowledgements on their way, or
// damage; then the segment stays, and nothing is lost.
func (s *Store) endMove(err error) {
	seg := s.moving.seg
	if !errors.Is(err, io.EOF) {
		s.opts.Logger.Error("cannot compact", "file", segmentName(seg.number), "offset", s.moving.scan.off, "err", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	seg.stuck = true
	s.moving.seg = nil
}

// copyLive encodes a copy of a message for those of its refs that are live.
func (s *Store) copyLive(kind byte, payload []byte, from Loc, salt uint32) (move, bool) {
	raw, err := parseMessage(kind, payload)
	if err != nil {
		return move{}, false // not possible: the scanner has checked it
	}
	mv := move{from: from}
	counts := []uint32{}
	each := refSize(kind)
	for b := raw.refs; len(b) > 0; b = b[each:] {
		ref := parseRef(b)
		if n, ok := s.index.Live(ref, from); ok {
			mv.refs = append(mv.refs, ref)
			counts = append(counts, n)
		}
	}
	if len(mv.refs) == 0 {
		return move{}, false
	}
	start := len(s.moving.buf)
	m := Record{Time: raw.time, Exchange: string(raw.exchange), Key: string(raw.key), Props: raw.props, Body: raw.body}
	s.moving.buf = appendMessage(s.moving.buf, salt, &m, mv.refs, counts)
	mv.bytes = s.moving.buf[start:len(s.moving.buf):len(s.moving.buf)]
	return mv, true
}

// moved tells the index, after the copies are on disk. A ref that is gone by now
// has been, or will be, counted off in the old segment: its copy was never live.
func (s *Store) moved(moves []move) {
	for _, mv := range moves {
		n := 0
		for _, ref := range mv.refs {
			if s.index.Moved(ref, mv.from, mv.to) {
				n++
			}
		}
		s.mu.Lock()
		s.segs.get(mv.from.Segment).live -= int64(n)
		s.segs.appended(mv.to.Segment, len(mv.refs), len(mv.bytes))
		s.segs.get(mv.to.Segment).live -= int64(len(mv.refs) - n)
		s.stats.Copied++
		s.mu.Unlock()
	}
}
