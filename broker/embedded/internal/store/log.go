package store

import (
	"fmt"
	"time"
)

// writeLog writes the log's part of a group, which was encoded for its place.
func (s *Store) writeLog(g *group, now time.Time) error {
	if g.segment != s.active.number {
		if err := s.withRoom(func() error { return s.roll(g.segment) }, now); err != nil {
			return err
		}
	}
	s.groups++
	copy(g.buf, appendMark(nil, g.salt, s.groups, uint32(s.synced)))
	err := s.withRoom(func() error {
		_, err := s.active.file.WriteAt(g.buf, int64(g.base))
		return err
	}, now)
	if err != nil {
		return fmt.Errorf("store: write %s: %w", segmentName(g.segment), err)
	}
	s.clean = false
	s.mu.Lock()
	s.active.size = int64(g.base) + int64(len(g.buf))
	s.stats.Groups++
	s.mu.Unlock()
	return nil
}

// takeBack removes what a write that failed has left in the active segment. It is
// on disk before the messages are refused: power loss does not bring them back.
func (s *Store) takeBack() error {
	if err := s.active.file.Truncate(s.active.size); err != nil {
		return fmt.Errorf("store: truncate %s: %w", segmentName(s.active.number), err)
	}
	if err := syncFile(s.active.file, segmentName(s.active.number)); err != nil {
		return err
	}
	s.synced = s.active.size
	s.countSyncs(1)
	return nil
}

// sync makes durable what was written.
func (s *Store) sync() error {
	s.syncDue = time.Time{}
	if err := s.syncJournal(); err != nil {
		return err
	}
	if s.synced == s.active.size {
		return nil
	}
	if err := syncFile(s.active.file, segmentName(s.active.number)); err != nil {
		return err
	}
	s.synced = s.active.size
	s.countSyncs(1)
	return nil
}

func (s *Store) syncJournal() error {
	if s.journal.synced == s.journal.size {
		return nil
	}
	if err := syncFile(s.journal.f, journalName); err != nil {
		return err
	}
	s.journal.synced = s.journal.size
	s.countSyncs(1)
	return nil
}

func (s *Store) countSyncs(n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Syncs += n
}

// syncFile hides what kind of error it was: after a failed fsync nobody knows
// what is on the disk, and no later one would tell, so there is no going on, not
// even from a full disk.
func syncFile(f file, name string) error {
	if err := f.sync(); err != nil {
		return fmt.Errorf("store: sync %s: %v", name, err) //nolint:errorlint // see above
	}
	return nil
}

// roll closes the active segment and makes the next one. The end is on disk
// before the new file is in the directory: only the newest segment can be torn.
func (s *Store) roll(number uint32) error {
	old := s.active
	end := appendEnd(nil, old.salt, number)
	if _, err := old.file.WriteAt(end, old.size); err != nil {
		return fmt.Errorf("store: write %s: %w", segmentName(old.number), err)
	}
	if err := syncFile(old.file, segmentName(old.number)); err != nil {
		return err
	}
	s.synced = old.size
	s.mu.Lock()
	next := s.segs.get(number)
	s.mu.Unlock()
	f, err := createFile(s.opts.fs, s.opts.Dir, segmentName(number), header{kind: kindSegment, number: number, salt: next.salt})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old.size += int64(len(end))
	next.file, next.size = f, fileHeader
	s.stats.Syncs += 2
	s.segs.list[0].stuck = false
	s.active, s.synced = next, fileHeader
	return nil
}
