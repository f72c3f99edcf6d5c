package store

import "time"

// How large the buffers of a group may stay when it is written.
const (
	keepBuffer  = 4 << 20
	keepWaiters = 64 << 10
)

// committer is what only the committer touches, once Open has returned.
type committer struct {
	active  *segment // the newest that has a file
	journal *journal
	groups  uint64
	synced  int64 // bytes of active known to be on disk
	clean   bool  // the last thing in active is a mark that says so

	spare   []byte   // the buffer of the last group, for the next
	waiters []Waiter // as well
	reserve bool     // it is there to be given up
	moving  mover

	ackDue, syncDue, probeDue time.Time // zero: not waited for
	more                      bool      // there is work without waiting
	stalled                   bool      // not even acknowledgements fit: wait for the probe

	closeErr error
}

// group is what is written and synced at once.
type group struct {
	pending
	moves    []move
	messages bool // there are some
	force    bool // sync it, whatever the interval
}

// run is the committer: the one goroutine of a store, from Open to Close.
func (s *Store) run() {
	defer close(s.done)
	s.refill(time.Now())
	timer := time.NewTimer(0)
	defer timer.Stop()
	for s.wait(timer) {
		if err := s.step(time.Now()); err != nil {
			s.closeErr = err
			s.fail(err)
			<-s.quit
			s.closeFiles()
			return
		}
	}
	if err := s.finish(); err != nil {
		s.closeErr = err
		s.fail(err)
	}
	s.closeFiles()
}

// wait returns when there is something to do, false when that is to close.
func (s *Store) wait(timer *time.Timer) bool {
	for {
		at, ok := s.due(time.Now())
		d := time.Until(at)
		if ok && d <= 0 {
			select {
			case <-s.quit:
				return false
			default:
				return true
			}
		}
		var alarm <-chan time.Time
		if ok {
			timer.Reset(d)
			alarm = timer.C
		}
		select {
		case <-s.quit:
			return false
		case <-s.wake:
		case <-alarm:
		}
	}
}

// due returns when the next step is to be made, if anything waits for one.
func (s *Store) due(now time.Time) (at time.Time, ok bool) {
	s.mu.Lock()
	urgent, lazy := s.next.urgent(), s.next.lazy()
	s.mu.Unlock()
	if !s.stalled && (urgent || s.more) {
		return now, true
	}
	if lazy && s.ackDue.IsZero() {
		s.ackDue = now.Add(AckDelay)
	}
	times := []time.Time{s.syncDue, s.probeDue, s.ackDue}
	if s.stalled {
		times = times[:2]
	}
	for _, t := range times {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	return at, !at.IsZero()
}

// step writes what is pending and looks after space. An error ends the store.
func (s *Store) step(now time.Time) error {
	if !s.probeDue.IsZero() && !now.Before(s.probeDue) {
		s.refill(now)
	}
	if err := s.commit(now, s.prepareMoves()); err != nil {
		return err
	}
	if !s.syncDue.IsZero() && !now.Before(s.syncDue) {
		if err := s.sync(); err != nil {
			return err
		}
	}
	return s.tidy(now)
}

// commit writes one group and tells those who wait for it.
func (s *Store) commit(now time.Time, moves []move) error {
	g := s.take(moves)
	s.ackDue = time.Time{}
	err := s.write(g, now)
	if isFull(err) {
		if err = s.takeBack(); err == nil {
			s.abandon(g)
			return nil
		}
	}
	s.stalled = false
	s.mu.Lock()
	s.writing = nil
	s.mu.Unlock()
	s.settle(g, err)
	if 0 < cap(g.buf) && cap(g.buf) <= keepBuffer {
		s.spare = g.buf[:0]
	}
	if 0 < cap(g.waiters) && cap(g.waiters) <= keepWaiters {
		clear(g.waiters)
		s.waiters = g.waiters[:0]
	}
	return err
}

// take makes a group of what is pending: mark, messages, copies, delivery
// counts, acknowledgements. Behind it a new one begins to fill.
func (s *Store) take(moves []move) *group {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := &group{pending: s.next, moves: moves, force: len(moves) > 0 || len(s.next.syncs) > 0}
	g.messages = len(g.buf) > markBytes
	s.woken, s.dozing = false, false
	if len(g.buf) == markBytes && !g.lazy() && len(moves) == 0 {
		g.buf = nil // nothing for the log, so the buffer stays where it is
		s.next = pending{segment: g.segment, salt: g.salt, base: g.base, buf: s.next.buf}
		return g
	}
	for i := range g.moves {
		g.moves[i].to = Loc{Segment: g.segment, Offset: g.base + uint32(len(g.buf))}
		g.buf = append(g.buf, g.moves[i].bytes...)
	}
	g.buf = appendCounts(g.buf, g.salt, g.counts)
	g.buf = appendRuns(g.buf, g.salt, g.runs)
	s.writing = g
	s.begin(g.segment, g.salt, g.base+uint32(len(g.buf)))
	return g
}

// begin starts to fill a group that will stand at the given place, or at the
// beginning of the next segment if this one is full. s.mu is held.
func (s *Store) begin(number, salt, base uint32) {
	if int64(base) >= s.opts.SegmentBytes {
		number, base = number+1, fileHeader
		salt = s.segs.need(number, newSalt()).salt
	}
	s.next = pending{
		segment: number, salt: salt, base: base,
		buf: append(s.spare, make([]byte, markBytes)...), waiters: s.waiters,
	}
	s.spare, s.waiters = nil, nil
}

// write brings a group to the disk, first the journal's part. If the error is a
// full disk, nothing of what is still in the group is there.
func (s *Store) write(g *group, now time.Time) error {
	if len(g.journal) > 0 {
		if err := s.writeJournal(g, now); err != nil {
			return err
		}
	}
	if len(g.buf) > 0 {
		if err := s.writeLog(g, now); err != nil {
			return err
		}
	}
	if s.opts.Interval == 0 || g.force {
		return s.sync()
	}
	if s.syncDue.IsZero() && s.dirty() {
		s.syncDue = now.Add(s.opts.Interval)
	}
	return nil
}

// writeJournal also settles what it writes: from here on only the log can fail
// for want of space.
func (s *Store) writeJournal(g *group, now time.Time) error {
	if err := s.withRoom(func() error { return s.journal.write(g.journal) }, now); err != nil {
		return err
	}
	if s.opts.Interval == 0 || g.force {
		if err := s.syncJournal(); err != nil {
			return err
		}
	}
	written := &group{pending: pending{journal: g.journal}}
	g.journal = nil
	s.settle(written, nil)
	return nil
}

func (s *Store) dirty() bool { return s.synced < s.active.size || s.journal.synced < s.journal.size }

// settle tells everybody what became of a group that was written, or failed.
func (s *Store) settle(g *group, err error) {
	for _, w := range g.waiters {
		w.Stored(err)
	}
	for _, op := range g.journal {
		if op.w != nil {
			op.w.Stored(err)
		}
	}
	for _, done := range g.syncs {
		done <- err
	}
	if err == nil {
		s.moved(g.moves)
	}
}

// fail ends the store: everything pending is refused, and all that comes.
func (s *Store) fail(err error) {
	s.mu.Lock()
	s.err = err
	s.writing = nil
	g := &group{pending: s.next}
	s.next = pending{segment: g.segment, salt: g.salt, base: g.base}
	s.mu.Unlock()
	s.opts.Logger.Error("store failed", "err", err)
	if s.opts.OnChange != nil {
		s.opts.OnChange(err)
	}
	s.settle(g, err)
}
