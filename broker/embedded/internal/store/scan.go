package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// What can be wrong with the bytes of a record.
var (
	errShort    = errors.New("record is cut off")
	errChecksum = errors.New("checksum does not match")
)

// checkRecord takes a record apart that begins at b[0]; b may go on behind it.
func checkRecord(b []byte, salt uint32) (kind byte, payload []byte, err error) {
	if len(b) < recHeader {
		return 0, nil, errShort
	}
	n := uint64(le.Uint32(b[4:]))
	if n > uint64(len(b)-recHeader) {
		return 0, nil, errShort
	}
	end := recHeader + int(n)
	if checksum(salt, b[4:end]) != le.Uint32(b) {
		return 0, nil, errChecksum
	}
	payload = b[recHeader:end:end]
	return b[8], payload, checkPayload(b[8], payload)
}

// scanner reads the records of a file one after the other.
type scanner struct {
	f    io.ReaderAt
	size int64
	salt uint32

	off int64 // of the next record

	buf   []byte // what was read of the file
	start int64  // where in the file buf begins
}

const scanBuffer = 1 << 20

// fill returns at least n bytes from s.off on, fewer only at the end of the file.
func (s *scanner) fill(n int64) ([]byte, error) {
	if have := s.start + int64(len(s.buf)) - s.off; s.off < s.start || have < min(n, s.size-s.off) {
		if err := s.load(max(n, scanBuffer)); err != nil {
			return nil, err
		}
	}
	return s.buf[s.off-s.start:], nil
}

// load reads n bytes from s.off on into buf.
func (s *scanner) load(n int64) error {
	n = min(n, s.size-s.off)
	if int64(cap(s.buf)) < n {
		s.buf = make([]byte, n)
	}
	s.buf, s.start = s.buf[:n], s.off
	if _, err := s.f.ReadAt(s.buf, s.off); err != nil {
		s.buf = s.buf[:0]
		return fmt.Errorf("read at %d: %w", s.off, err)
	}
	return nil
}

// badRecordError: what is at the scanner's offset is not a record.
type badRecordError struct{ reason error }

func (e *badRecordError) Error() string { return e.reason.Error() }

// next returns the record at s.off and goes on behind it. The payload is valid
// until the following call. The error is io.EOF, a *badRecordError, or of the disk.
func (s *scanner) next() (kind byte, payload []byte, err error) {
	if s.off >= s.size {
		return 0, nil, io.EOF
	}
	b, err := s.fill(recHeader)
	if err != nil {
		return 0, nil, err
	}
	if len(b) >= recHeader {
		if n := recHeader + int64(le.Uint32(b[4:])); n > int64(len(b)) && n <= s.size-s.off {
			if b, err = s.fill(n); err != nil {
				return 0, nil, err
			}
		}
	}
	kind, payload, err = checkRecord(b, s.salt)
	if err != nil {
		return 0, nil, &badRecordError{err}
	}
	s.off += recHeader + int64(len(payload))
	return kind, payload, nil
}

// markAfter returns where the first mark at or behind from begins that says that
// more than synced bytes of the file were once on disk; -1 if there is none.
func (s *scanner) markAfter(from, synced int64) (int64, error) {
	pattern := []byte{markBytes - recHeader, 0, 0, 0, recMark} // length and kind
	back := s.off
	defer func() { s.off = back }()
	for s.off = from; s.off+markBytes <= s.size; {
		b, err := s.fill(markBytes)
		if err != nil {
			return -1, err
		}
		i := bytes.Index(b[4:], pattern)
		if i < 0 {
			s.off += int64(len(b)) - 4 - int64(len(pattern)) + 1
			continue
		}
		s.off += int64(i)
		if b, err = s.fill(markBytes); err != nil {
			return -1, err
		}
		if kind, p, err := checkRecord(b, s.salt); err == nil && kind == recMark && int64(le.Uint32(p[8:])) > synced {
			return s.off, nil
		}
		s.off++
	}
	return -1, nil
}

// damage is a part of a file that is not records.
type damage struct {
	from, to int64
	reason   string
	torn     bool // nothing says that it was ever on disk
}

// walker reads a whole file.
type walker struct {
	scanner
	kind   uint16 // of file
	newest bool   // it may end in an interrupted write
	ended  bool   // set by walk: it has its end record

	record func(kind byte, payload []byte, off int64) error
	damage func(damage) error // nil to go on behind it
}

// walk calls record for each record. It returns where the file's good part ends.
func (w *walker) walk() (int64, error) {
	for {
		off := w.off
		kind, payload, err := w.nextOwn()
		bad, isBad := errors.AsType[*badRecordError](err)
		switch {
		case errors.Is(err, io.EOF):
			return off, w.eof()
		case isBad:
			torn, err := w.skip(bad.reason.Error())
			if err != nil || torn {
				return off, err
			}
			continue
		case err != nil:
			return off, err
		}
		if w.ended {
			if err := w.damage(damage{from: off, to: w.size, reason: "segment goes on behind its end"}); err != nil {
				return off, err
			}
			return off, nil
		}
		w.ended = kind == recEnd
		if err := w.record(kind, payload, off); err != nil {
			return off, err
		}
	}
}

// nextOwn is next for records that may be in such a file. Another one is only
// there if a program with an error wrote it.
func (w *walker) nextOwn() (byte, []byte, error) {
	off := w.off
	kind, payload, err := w.next()
	if err == nil && !belongs(w.kind, kind) {
		w.off = off
		err = &badRecordError{fmt.Errorf("record of kind %d does not belong here", kind)}
	}
	return kind, payload, err
}

func belongs(file uint16, record byte) bool {
	switch record {
	case recMark, recLost:
		return true
	case recPut, recDelete:
		return file == kindMeta
	default:
		return file == kindSegment
	}
}

func (w *walker) eof() error {
	if w.newest || w.ended {
		return nil
	}
	return w.damage(damage{from: w.size, to: w.size, reason: "segment is cut off: it has no end"})
}

// skip decides what the bad record at w.off is, and goes behind it.
func (w *walker) skip(reason string) (torn bool, err error) {
	d := damage{from: w.off, to: w.size, reason: reason}
	mark, err := w.markAfter(d.from, d.from)
	if err != nil {
		return false, err
	}
	if w.newest && mark < 0 {
		d.torn = true
		return true, w.damage(d)
	}
	if d.to, err = w.resync(); err != nil {
		return false, err
	}
	if err := w.damage(d); err != nil {
		return false, err
	}
	w.off = d.to
	return false, nil
}

// resync finds where records begin again behind the bad one at w.off: at the end
// that its length gives, if there is a record, else at the next mark.
func (w *walker) resync() (int64, error) {
	bad := w.off
	defer func() { w.off = bad }()
	if b, err := w.fill(recHeader); err != nil {
		return 0, err
	} else if len(b) >= recHeader {
		w.off += recHeader + int64(le.Uint32(b[4:]))
		if _, _, err := w.next(); err == nil {
			return bad + recHeader + int64(le.Uint32(b[4:])), nil
		}
		w.off = bad
	}
	mark, err := w.markAfter(bad+recHeader, -1)
	if mark < 0 {
		mark = w.size
	}
	return mark, err
}
