package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
)

// Defaults and fixed times.
const (
	DefaultSegmentBytes = 64 << 20
	DefaultReserveBytes = 16 << 20
	MinSegmentBytes     = 4 << 10
	MaxSegmentBytes     = 1 << 30

	AckDelay      = 10 * time.Millisecond // an Ack waits at most this long for company
	ProbeInterval = time.Second           // between looks for space on a full disk
)

// Options configure a store. Only Dir is needed.
type Options struct {
	Dir string // made if missing, with mode 0700

	// Interval is how long a record may be confirmed before it is on disk. 0: never.
	Interval time.Duration

	SegmentBytes int64 // a segment that has as much is closed; DefaultSegmentBytes
	ReserveBytes int64 // kept for a full disk; DefaultReserveBytes

	// OnChange is called with ErrFull when the disk is full, with nil when there is
	// room again, and with the error that made the store refuse everything from
	// then on. It must not wait.
	OnChange func(err error)

	// Fault, for tests, is called before each operation that changes the disk, with
	// the name of the file in Dir. If it returns an error, the operation fails
	// with it: syscall.ENOSPC is a full disk.
	Fault func(op Op, file string) error

	Logger *slog.Logger // nil: none

	fs         fsys  // nil: the operating system's
	journalMin int64 // the journal is not rewritten before; defaultJournalMin
}

// Op is an operation that changes the disk.
type Op string

// The operations that Options.Fault is asked for.
const (
	OpCreate   Op = "create"
	OpWrite    Op = "write"
	OpSync     Op = "sync"
	OpTruncate Op = "truncate"
	OpAllocate Op = "allocate"
	OpRename   Op = "rename"
	OpRemove   Op = "remove"
	OpSyncDir  Op = "syncdir"
)

func (o Options) withDefaults() Options {
	o.SegmentBytes = cmp.Or(o.SegmentBytes, DefaultSegmentBytes)
	o.ReserveBytes = cmp.Or(o.ReserveBytes, DefaultReserveBytes)
	o.journalMin = cmp.Or(o.journalMin, defaultJournalMin)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.fs == nil {
		o.fs = osFS{}
	}
	if o.Fault != nil {
		o.fs = faultFS{o.fs, o.Fault}
	}
	return o
}

func (o Options) validate() error {
	var errs []error
	if o.Dir == "" {
		errs = append(errs, errors.New("store: no directory"))
	}
	if o.Interval < 0 {
		errs = append(errs, fmt.Errorf("store: interval %v is negative", o.Interval))
	}
	if o.SegmentBytes < MinSegmentBytes || o.SegmentBytes > MaxSegmentBytes {
		errs = append(errs, fmt.Errorf("store: segments of %d bytes, want %d to %d", o.SegmentBytes, int64(MinSegmentBytes), int64(MaxSegmentBytes)))
	}
	if o.ReserveBytes < 0 {
		errs = append(errs, fmt.Errorf("store: reserve of %d bytes is negative", o.ReserveBytes))
	}
	return errors.Join(errs...)
}

// Store is an open store. Close ends it.
type Store struct {
	opts  Options
	index Index
	lock  io.Closer

	mu      sync.Mutex
	next    pending // fills
	writing *group  // the committer's, for Read; nil between groups
	segs    segments
	woken   bool // wake has been sent for somebody who waits
	dozing  bool // wake has been sent for acknowledgements
	closing bool
	full    bool
	err     error // the store has failed, or is closed
	stats   Stats

	wake chan struct{} // to the committer; room for one
	quit chan struct{} // closed by Close
	done chan struct{} // closed by the committer at its end

	committer
}

// Stats is what a store has and did since Open.
type Stats struct {
	Segments     int
	Bytes        int64 // of the log, without what is pending
	Live         int64 // refs
	PendingBytes int   // waiting for the disk
	Full         bool

	Groups uint64 // written
	Syncs  uint64 // fsyncs of the log and the journal
	Copied uint64 // messages moved by compaction
	Torn   int64  // bytes cut off by Open
}

// Stats returns a snapshot.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Full = s.full
	st.PendingBytes = max(0, len(s.next.buf)-markBytes)
	if s.writing != nil {
		st.PendingBytes += len(s.writing.buf)
	}
	st.Segments = len(s.segs.list)
	for _, seg := range s.segs.list {
		st.Bytes += seg.size
		st.Live += seg.live
	}
	return st
}

// Full reports whether the disk is full and Append would return ErrFull.
func (s *Store) Full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.full
}

// Err returns what made the store fail, ErrClosed after Close, or nil.
func (s *Store) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Sync waits until all that was handed over before is on disk, whatever
// Options.Interval says. It returns ErrFull if some of it did not fit on the disk.
func (s *Store) Sync(ctx context.Context) error {
	done := make(chan error, 1)
	s.mu.Lock()
	if s.err != nil || s.closing {
		err := cmp.Or(s.err, ErrClosed)
		s.mu.Unlock()
		return err
	}
	s.next.syncs = append(s.next.syncs, done)
	s.wakeLocked(true)
	s.mu.Unlock()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close writes what is pending, calls the waiters and gives the directory back.
// It returns what kept it from writing. A second Close returns the same.
func (s *Store) Close() error {
	s.mu.Lock()
	if !s.closing {
		s.closing = true
		close(s.quit)
	}
	s.mu.Unlock()
	<-s.done
	return s.closeErr
}
