package spool

import (
	"errors"
	"fmt"
	"os"
	"time"
)

const (
	// maxBatch bounds what is written before one fsync, in bytes.
	maxBatch = 4 << 20
	// maxSegment is where the next segment begins, in bytes. A message that cannot
	// be published keeps its whole segment on the disk.
	maxSegment = 4 << 20
)

// commit is the goroutine that changes the files. It ends after Close. Should it
// end otherwise, whoever waits is answered.
func (s *Spool) commit() {
	defer close(s.done)
	defer s.giveUp()
	for {
		<-s.wake
		for {
			puts, marks, orphans, closed := s.take()
			if len(puts)+len(marks) == 0 && !orphans {
				if closed {
					return
				}
				break
			}
			if orphans {
				s.seek()
			}
			s.writePuts(puts)
			s.writeMarks(marks)
			s.count()
		}
	}
}

// take returns what is to be written next.
func (s *Spool) take() (puts []*put, marks []*entry, orphans, closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for bytes := 0; n < len(s.puts) && (n == 0 || bytes < maxBatch); n++ {
		bytes += len(s.puts[n].payload)
	}
	puts, s.puts = s.puts[:n:n], s.puts[n:]
	marks, s.marks = s.marks, nil
	closed = s.failure != nil
	orphans, s.orphans = s.orphans && !closed, false
	return puts, marks, orphans, closed
}

// giveUp is the end of the committer, by Close or by a panic.
func (s *Spool) giveUp() {
	r := recover() // of a function that somebody gave to Put
	err := ErrClosed
	if r != nil {
		err = fmt.Errorf("%w: %v", ErrClosed, r)
		s.o.Logger.Error("the spool has failed", "dir", s.o.Dir, "err", err)
	}
	s.mu.Lock()
	if s.failure == nil {
		s.failure = err
	}
	puts := s.puts
	s.puts = nil
	s.mu.Unlock()
	for _, p := range puts {
		p.done(nil, err)
	}
	for g := range s.segments {
		if g.open == 0 {
			s.retire(g)
		} else {
			_ = g.file.Close() // all that counts was fsynced
		}
	}
}

// room is how many bytes may still be written.
func (s *Spool) room() int64 {
	segments, damaged, err := segmentsOf(s.o.Dir)
	if err != nil {
		return 0
	}
	return s.o.MaxBytes - sizeOf(segments, damaged)
}

// count notes the size of the directory.
func (s *Spool) count() {
	used := s.o.MaxBytes - s.room()
	s.mu.Lock()
	s.stats.Bytes = used
	s.mu.Unlock()
}

// writePuts makes messages durable, as many as there is room for, and answers.
func (s *Spool) writePuts(puts []*put) {
	if len(puts) == 0 {
		return
	}
	room, fit := s.room()-int64(segmentHead), 0
	for ; fit < len(puts); fit++ {
		if room -= int64(recordHead + len(puts[fit].payload)); room < 0 {
			break
		}
	}
	entries, err := s.write(puts[:fit])
	for i, p := range puts {
		switch {
		case err != nil:
			s.refuse(p, err)
		case i >= fit:
			s.refuse(p, fmt.Errorf("%w: %d bytes are its bound", ErrFull, s.o.MaxBytes))
		default:
			s.accept(p, entries[i])
		}
	}
}

// write appends messages to the active segment and fsyncs it.
func (s *Spool) write(puts []*put) ([]*entry, error) {
	if len(puts) == 0 {
		return nil, nil
	}
	if err := s.activate(); err != nil {
		return nil, explain(err)
	}
	g, start := s.active, s.active.end
	var text []byte
	entries := make([]*entry, len(puts))
	for i, p := range puts {
		from := len(text)
		text = g.seed.appendRecord(text, kindPut, func(b []byte) []byte { return append(b, p.payload...) })
		entries[i] = &entry{in: g, at: start + int64(from), size: int64(len(text) - from), put: p.at}
	}
	err := g.append(text, s.disk)
	if err == nil {
		if err = s.disk.sync(g.file); err != nil {
			// What the kernel could not write it may forget: this file is trusted no
			// more. Nothing of text is accepted.
			err = errors.Join(err, g.file.Truncate(start))
			g.end = start
		}
	}
	if err != nil {
		s.seal()
		return nil, explain(err)
	}
	g.open += len(entries)
	return entries, nil
}

// activate makes sure that there is a segment for the next message.
func (s *Spool) activate() error {
	if s.active != nil && s.active.end >= maxSegment {
		s.seal()
	}
	if s.active != nil {
		return nil
	}
	g, err := create(s.o.Dir, time.Now(), s.disk)
	if err != nil {
		return err
	}
	s.active = g
	s.segments[g] = struct{}{}
	return nil
}

// seal has the next message begin a new segment.
func (s *Spool) seal() {
	g := s.active
	s.active = nil
	if g.open == 0 {
		s.retire(g)
	}
}

func explain(err error) error {
	if isFull(err) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return fmt.Errorf("spool: %w", err)
}

func (s *Spool) accept(p *put, e *entry) {
	s.mu.Lock()
	s.add(e)
	s.held++
	s.stats.Accepted++
	s.mu.Unlock()
	p.done(s.release(e), nil)
}

func (s *Spool) refuse(p *put, err error) {
	s.mu.Lock()
	s.stats.Refused++
	s.mu.Unlock()
	p.done(nil, err)
}

// writeMarks says on the disk which messages are done, and removes the segments
// that have no other. There is no fsync: a mark that is lost costs a copy.
func (s *Spool) writeMarks(marks []*entry) {
	texts := map[*segment][]byte{}
	for _, e := range marks {
		e.in.damaged = e.in.damaged || e.lost
		e.in.open--
		texts[e.in] = e.in.mark(texts[e.in], e.at)
	}
	for g, text := range texts {
		switch {
		case g.open == 0 && g == s.active:
			s.seal()
		case g.open == 0:
			s.retire(g)
		case !g.damaged:
			if err := g.append(text, s.disk); err != nil {
				s.o.Logger.Warn("what is published cannot be marked in the spool: after a crash it is published again", "file", g.path, "err", err)
			}
		}
	}
}

func (s *Spool) retire(g *segment) {
	delete(s.segments, g)
	if err := g.retire(); err != nil {
		s.o.Logger.Warn("cannot remove a segment of the spool: what is in it is published again by the next start", "file", g.path, "err", err)
	}
}

// seek is adopt beside the running work.
func (s *Spool) seek() {
	if err := s.adopt(); err != nil {
		s.o.Logger.Warn("cannot take over what another process has left in the spool", "err", err)
	}
}

// adopt takes over the segments that nobody owns.
func (s *Spool) adopt() error {
	paths, _, err := segmentsOf(s.o.Dir)
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	for _, path := range paths {
		g, found, err := adopt(path)
		if errors.Is(err, errOwned) || errors.Is(err, os.ErrNotExist) {
			continue
		}
		if errors.Is(err, errForeign) {
			s.ignore(path)
			continue
		}
		if err != nil {
			return fmt.Errorf("spool: take over %s: %w", path, err)
		}
		s.takeOver(g, &found)
	}
	s.clear()
	s.count()
	return nil
}

func (s *Spool) takeOver(g *segment, found *survey) {
	s.segments[g] = struct{}{}
	if found.damaged > 0 {
		s.o.Logger.Error("a segment of the spool is damaged: what can be read of it is published, the file is kept",
			"file", g.path, "damaged_bytes", found.damaged, "readable", g.open)
	}
	s.mu.Lock()
	s.stats.Damaged += found.damaged
	for _, f := range found.puts {
		if !f.done {
			e := &entry{in: g, at: f.at, size: f.size, put: f.put}
			s.add(e)
			s.enlist(e)
		}
	}
	s.mu.Unlock()
	if g.open == 0 {
		s.retire(g)
	}
}
