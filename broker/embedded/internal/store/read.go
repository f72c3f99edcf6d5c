package store

import "fmt"

// readAhead is what Read asks for before it knows how much there is.
const readAhead = 4 << 10

// Read reads the message at loc into m, also if it is still on its way to the
// disk. Props and Body point into memory that the next Read into m reuses. It
// returns ErrMoved if compaction took the message away meanwhile: the index then
// has another Loc. Read waits for the disk.
func (s *Store) Read(loc Loc, m *Record) error {
	s.mu.Lock()
	if b := s.buffered(loc); b != nil {
		m.buf = append(m.buf[:0], b...)
		salt := s.segs.get(loc.Segment).salt
		s.mu.Unlock()
		return m.decode(loc, salt, m.buf)
	}
	seg := s.segs.get(loc.Segment)
	if seg == nil || seg.file == nil {
		err := s.err
		s.mu.Unlock()
		if err == nil {
			err = ErrMoved
		}
		return err
	}
	seg.readers++
	size := seg.size
	s.mu.Unlock()
	defer s.release(seg)
	return m.read(seg, loc, size)
}

// buffered returns the bytes of a record that is not yet written, with what
// follows it in its buffer.
func (s *Store) buffered(loc Loc) []byte {
	p := &s.next
	if s.writing != nil && (loc.Segment != p.segment || loc.Offset < p.base) {
		p = &s.writing.pending
	}
	if loc.Segment != p.segment || loc.Offset < p.base || uint64(loc.Offset)+recHeader > uint64(p.base)+uint64(len(p.buf)) {
		return nil
	}
	b := p.buf[loc.Offset-p.base:]
	return b[:min(uint64(len(b)), recHeader+uint64(le.Uint32(b[4:])))]
}

func (s *Store) release(seg *segment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	seg.readers--
	if seg.gone && seg.readers == 0 {
		seg.file.Close()
	}
}

func (m *Record) read(seg *segment, loc Loc, size int64) error {
	off := int64(loc.Offset)
	left := size - off
	if left < recHeader || off < fileHeader {
		return corrupt(seg.number, off, "no record begins here")
	}
	m.grow(min(readAhead, left))
	if _, err := seg.file.ReadAt(m.buf, off); err != nil {
		return fmt.Errorf("store: read %s: %w", loc, err)
	}
	n := recHeader + int64(le.Uint32(m.buf[4:]))
	if n > left {
		return corrupt(seg.number, off, "record is longer than the segment")
	}
	if have := int64(len(m.buf)); n > have {
		head := m.buf
		m.grow(n)
		copy(m.buf, head)
		if _, err := seg.file.ReadAt(m.buf[have:], off+have); err != nil {
			return fmt.Errorf("store: read %s: %w", loc, err)
		}
	}
	return m.decode(loc, seg.salt, m.buf[:n])
}

// grow makes m.buf n bytes long; what was in it may be lost.
func (m *Record) grow(n int64) {
	if int64(cap(m.buf)) < n {
		m.buf = make([]byte, n)
	}
	m.buf = m.buf[:n]
}

func (m *Record) decode(loc Loc, salt uint32, b []byte) error {
	kind, p, err := checkRecord(b, salt)
	if err != nil {
		return corrupt(loc.Segment, int64(loc.Offset), err.Error())
	}
	if kind != recMessage && kind != recCopy {
		return corrupt(loc.Segment, int64(loc.Offset), "not a message")
	}
	raw, err := parseMessage(kind, p)
	if err != nil {
		return corrupt(loc.Segment, int64(loc.Offset), err.Error())
	}
	m.Time, m.Exchange, m.Key = raw.time, string(raw.exchange), string(raw.key)
	m.Props, m.Body = raw.props, raw.body
	return nil
}

func corrupt(segment uint32, off int64, reason string) *CorruptError {
	return &CorruptError{File: segmentName(segment), Segment: segment, Offset: off, Reason: reason}
}
