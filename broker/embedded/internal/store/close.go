package store

import (
	"fmt"
	"time"
)

// finish writes the rest, and that it was written: no later damage can then be
// taken for an interrupted write.
func (s *Store) finish() error {
	now := time.Now()
	for {
		if err := s.commit(now, nil); err != nil {
			return err
		}
		if s.stalled {
			return ErrFull
		}
		if !s.pendingAnything() {
			break
		}
	}
	if err := s.sync(); err != nil {
		return err
	}
	if s.journal.clean && s.clean {
		return nil
	}
	if err := s.writeCleanMarks(); err != nil && !isFull(err) {
		return err
	}
	return s.sync()
}

func (s *Store) pendingAnything() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next.urgent() || s.next.lazy()
}

func (s *Store) writeCleanMarks() error {
	if !s.journal.clean {
		if err := s.journal.write(nil); err != nil {
			return err
		}
	}
	if s.clean {
		return nil
	}
	mark := appendMark(nil, s.active.salt, s.groups+1, uint32(s.active.size))
	if _, err := s.active.file.WriteAt(mark, s.active.size); err != nil {
		return fmt.Errorf("store: write %s: %w", segmentName(s.active.number), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active.size += int64(len(mark))
	return nil
}

// closeFiles ends reading too. Whoever reads at the moment may finish.
func (s *Store) closeFiles() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = ErrClosed
	}
	for _, seg := range s.segs.list {
		seg.gone = true
		if seg.file != nil && seg.readers == 0 {
			seg.file.Close()
		}
	}
	s.segs.list = nil
	if s.journal.f != nil {
		s.journal.f.Close()
	}
	s.lock.Close()
}
