package spool

import (
	"cmp"
	"container/list"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/internal/ladder"
)

// DefaultMaxBytes is the default of Options.MaxBytes.
const DefaultMaxBytes = 256 << 20

// Options configures a Spool. Dir is needed.
type Options struct {
	// Dir is the directory; it is made, for this user alone, when it is missing.
	Dir string
	// MaxBytes bounds all files of the directory together. Default: 256 MiB.
	MaxBytes int64
	// Logger gets what is damaged. Default: none.
	Logger *slog.Logger
}

var (
	// ErrFull: there is no room for the message, in the bounds or on the disk.
	ErrFull = errors.New("the spool is full")
	// ErrClosed: the Spool was closed, or has failed for good.
	ErrClosed = errors.New("the spool is closed")
)

// Spool is this process's part of a directory of messages. All methods are safe
// for concurrent use.
type Spool struct {
	o    Options
	disk disk
	wake chan struct{} // capacity 1: there is something to commit
	done chan struct{} // closed when the committer has ended

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when a message is ready
	failure error         // why nothing is accepted any more
	puts    []*put        // to be written
	marks   []*entry      // done, to be marked as such
	orphans bool          // others may have left segments
	ready   list.List     // of *entry, the oldest first
	later   waiters       // tried, and to be tried again
	held    int
	flying  int // with the broker, unconfirmed
	stats   broker.SpoolStats
	entries map[*entry]struct{} // all that are not done, for their age

	way ladder.Way // of delayed messages

	active   *segment              // the committer's: takes the next message
	foreign  map[string]bool       // the committer's: files that were named once
	segments map[*segment]struct{} // the committer's
}

var _ broker.Spool = (*Spool)(nil)

// put is a message that waits to be written.
type put struct {
	payload []byte
	at      time.Time
	done    func(func(bool), error)
}

// entry is a message on the disk.
type entry struct {
	in       *segment
	at, size int64
	put      time.Time
	tries    int
	due      time.Time // after a failed try
	lost     bool      // it could not be read
}

// Open opens a directory and takes over what processes that are gone have left in
// it. Close it.
func Open(o Options) (*Spool, error) {
	o.MaxBytes = cmp.Or(o.MaxBytes, DefaultMaxBytes)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Dir == "" || o.MaxBytes < minBytes {
		return nil, fmt.Errorf("spool: want a directory and at least %d bytes", minBytes)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	s := &Spool{
		o: o, disk: realDisk(), wake: make(chan struct{}, 1), done: make(chan struct{}),
		changed: make(chan struct{}), entries: map[*entry]struct{}{}, segments: map[*segment]struct{}{},
		foreign: map[string]bool{},
	}
	if err := s.adopt(); err != nil {
		return nil, err
	}
	go s.commit()
	return s, nil
}

// minBytes is the least bound that makes sense.
const minBytes = 64 << 10

// Put writes p to the disk and calls done once: with an error, which may wrap
// [ErrFull], [ErrClosed] or [broker.ErrInvalid], or with release, when p is durable.
// Nobody publishes it before release was called, once: with true when p shall be
// published, with false when it shall not. Put does not block; done is called on a
// goroutine of the Spool and must not block. p must not be changed until then.
func (s *Spool) Put(p *broker.Publication, done func(release func(keep bool), err error)) {
	now := time.Now()
	payload, err := encode(p, now)
	if err == nil {
		err = amqp.Check(p)
	}
	if err == nil && len(payload) > maxPayload {
		err = fmt.Errorf("%w: a message of %d bytes", broker.ErrInvalid, len(payload))
	}
	if err != nil {
		done(nil, fmt.Errorf("spool: %w", err))
		return
	}
	s.mu.Lock()
	failure := s.failure
	if failure == nil {
		s.puts = append(s.puts, &put{payload, now, done})
	}
	s.mu.Unlock()
	if failure != nil {
		done(nil, failure)
		return
	}
	s.poke()
}

// poke wakes the committer.
func (s *Spool) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Pending is how many messages of this process wait to be published or confirmed,
// those that are held back not among them.
func (s *Spool) Pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready.Len() + len(s.later) + s.flying
}

// Behind reports whether messages wait that were not tried yet: what is published
// beside them would overtake them, and fare no better.
func (s *Spool) Behind() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready.Len() > 0
}

// Stats does not touch the disk.
func (s *Spool) Stats() broker.SpoolStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.MaxBytes = s.o.MaxBytes
	st.Messages, st.Held, st.Retrying = len(s.entries), s.held, len(s.later)
	for e := range s.entries {
		if st.Oldest.IsZero() || e.put.Before(st.Oldest) {
			st.Oldest = e.put
		}
	}
	return st
}

// Close writes what it was told and gives the segments back, for the next one who
// opens the directory. What Put was given before is accepted or refused when it
// returns; Flush ends. What is confirmed later is published again by the next one:
// so close the session first.
func (s *Spool) Close() error {
	s.fail(ErrClosed)
	<-s.done
	return nil
}

// fail has nothing more accepted.
func (s *Spool) fail(err error) {
	s.mu.Lock()
	if s.failure == nil {
		s.failure = err
	}
	s.mu.Unlock()
	s.poke()
}

// add makes e one of ours. The mutex is held.
func (s *Spool) add(e *entry) {
	s.entries[e] = struct{}{}
}

// enlist has e published. The mutex is held.
func (s *Spool) enlist(e *entry) {
	s.ready.PushBack(e)
	s.changedLocked()
}

func (s *Spool) changedLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// release is what Put's done gets.
func (s *Spool) release(e *entry) func(bool) {
	var once sync.Once
	return func(keep bool) {
		once.Do(func() {
			s.mu.Lock()
			s.held--
			if keep {
				s.enlist(e)
			} else {
				s.stats.Withdrawn++
				s.markLocked(e)
			}
			s.mu.Unlock()
			s.poke()
		})
	}
}

// markLocked says that e is done.
func (s *Spool) markLocked(e *entry) {
	delete(s.entries, e)
	s.marks = append(s.marks, e)
}
