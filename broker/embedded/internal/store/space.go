package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const reserveName = "reserve"

// tidyAtOnce is how many segments are deleted between two groups: each takes an
// fsync of the directory.
const tidyAtOnce = 4

// withRoom does something that writes. If the disk is full it gives up the
// reserve and does it again; so f must be repeatable.
func (s *Store) withRoom(f func() error, now time.Time) error {
	err := f()
	if !isFull(err) {
		return err
	}
	s.becomeFull(now)
	if !s.reserve {
		return err
	}
	s.reserve = false
	if rerr := s.opts.fs.remove(filepath.Join(s.opts.Dir, reserveName)); rerr != nil {
		return errors.Join(err, rerr)
	}
	return f()
}

func (s *Store) becomeFull(now time.Time) {
	s.mu.Lock()
	was := s.full
	s.full = true
	s.mu.Unlock()
	if s.probeDue.IsZero() {
		s.probeDue = now.Add(ProbeInterval)
	}
	if was {
		return
	}
	s.opts.Logger.Warn("disk is full: no messages are taken", "dir", s.opts.Dir)
	if s.opts.OnChange != nil {
		s.opts.OnChange(ErrFull)
	}
}

// refill allocates the reserve. That is also how a full disk is found to have
// room again: only when there is enough for the next time.
func (s *Store) refill(now time.Time) {
	s.probeDue = time.Time{}
	if err := s.allocateReserve(); err != nil {
		if isFull(err) {
			s.becomeFull(now)
		} else {
			s.opts.Logger.Warn("no reserve for a full disk", "err", err)
		}
		s.probeDue = now.Add(ProbeInterval)
		return
	}
	s.reserve, s.stalled = true, false
	s.mu.Lock()
	was := s.full
	s.full = false
	s.segs.list[0].stuck = false // compaction may have been, for want of space
	s.mu.Unlock()
	if !was {
		return
	}
	s.opts.Logger.Info("disk has room again", "dir", s.opts.Dir)
	if s.opts.OnChange != nil {
		s.opts.OnChange(nil)
	}
}

func (s *Store) allocateReserve() error {
	path := filepath.Join(s.opts.Dir, reserveName)
	f, err := s.opts.fs.open(path, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return err
	}
	if err = f.allocate(s.opts.ReserveBytes); err != nil {
		f.Close()
		return errors.Join(err, s.opts.fs.remove(path))
	}
	return f.Close()
}

// abandon gives up a group that does not fit on the disk, and the messages that
// were to stand behind it: they are refused. Acknowledgements, delivery counts
// and deletions wait for the next try, which has only them.
func (s *Store) abandon(g *group) {
	refused := &group{}
	s.mu.Lock()
	s.writing = nil
	next := s.next
	s.begin(s.active.number, s.active.salt, uint32(s.active.size))
	s.next.runs = append(g.runs, next.runs...)
	s.next.counts = append(g.counts, next.counts...)
	refused.waiters = append(g.waiters, next.waiters...)
	refused.syncs = append(g.syncs, next.syncs...)
	for _, op := range append(g.journal, next.journal...) {
		if op.value == nil {
			s.next.journal = append(s.next.journal, op)
		} else {
			refused.journal = append(refused.journal, op)
		}
	}
	if len(g.moves) > 0 { // not again before there is room
		s.segs.list[0].stuck, s.moving = true, mover{}
	}
	s.stalled = g.least()
	s.mu.Unlock()
	s.settle(refused, ErrFull)
}

// least reports whether a group had nothing that could be left out.
func (g *group) least() bool {
	for _, op := range g.journal {
		if op.value != nil {
			return false
		}
	}
	return !g.messages && len(g.moves) == 0
}

// tidy deletes what is dead, and finds out whether there is more to do.
func (s *Store) tidy(now time.Time) error {
	s.more = false
	if err := s.rollEarly(now); err != nil {
		return err
	}
	for i := range tidyAtOnce + 1 {
		s.mu.Lock()
		seg := s.segs.dead(s.active.number)
		s.mu.Unlock()
		if seg == nil {
			break
		}
		if i == tidyAtOnce {
			s.more = true
			break
		}
		if err := s.deleteSegment(seg); err != nil {
			return err
		}
		if s.Full() {
			s.refill(now)
		}
	}
	if s.journal.crowded() {
		if err := s.rewriteJournal(); err != nil {
			return err
		}
	}
	s.more = s.plan() || s.more
	return nil
}

// rollEarly closes the active segment before it has its size, when the disk is full
// and most of what is in it is dead: so it can be deleted, or what lives in it
// copied, which on a small disk is all there is to gain.
func (s *Store) rollEarly(now time.Time) error {
	s.mu.Lock()
	old, next := s.active, &s.next
	wanted := s.full && 2*old.liveBytes() < old.size && old.size > s.opts.ReserveBytes/8
	// On a full disk no messages come, so that there are none in next, unless they
	// were taken before, and then there is a next time.
	if !wanted || next.segment != old.number || len(next.buf) > markBytes {
		s.mu.Unlock()
		return nil
	}
	number := old.number + 1
	s.segs.need(number, newSalt())
	s.mu.Unlock()
	if err := s.withRoom(func() error { return s.roll(number) }, now); err != nil {
		if isFull(err) {
			return s.takeBack()
		}
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next.segment, s.next.salt, s.next.base = number, s.active.salt, fileHeader
	return nil
}

// deleteSegment removes the oldest segment. The directory is synced before the
// next one goes: what a newer segment says of an older one's messages must not
// vanish before them.
func (s *Store) deleteSegment(seg *segment) error {
	path := filepath.Join(s.opts.Dir, segmentName(seg.number))
	if err := s.opts.fs.remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("store: delete: %w", err)
	}
	if err := syncDir(s.opts.fs, s.opts.Dir); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.segs.list = s.segs.list[1:]
	seg.gone = true
	if seg.readers == 0 {
		seg.file.Close()
	}
	return nil
}

// rewriteJournal tries again later when there is no room.
func (s *Store) rewriteJournal() error {
	err := s.journal.rewrite()
	if isFull(err) {
		s.journal.limit = 2 * s.journal.size
		err = nil
		if rerr := s.opts.fs.remove(filepath.Join(s.opts.Dir, journalNew)); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = fmt.Errorf("store: rewrite the journal: %w", rerr)
		}
	}
	return err
}
