package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Open takes the directory, made if it is missing, replays what is in it into
// index and starts the committer. It returns a *LockedError if another process
// has the directory, a *CorruptError or *VersionError if it cannot be read; then
// nothing in it was changed.
func Open(o Options, index Index) (*Store, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	if err := o.fs.makeDir(o.Dir); err != nil {
		return nil, fmt.Errorf("store: make directory: %w", err)
	}
	lock, err := o.fs.lock(o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Store{
		opts: o, index: index, lock: lock,
		wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
	s.journal = &journal{fs: o.fs, dir: o.Dir, min: o.journalMin, live: map[string][]byte{}}
	if err := s.recover(); err != nil {
		s.closeFiles()
		return nil, err
	}
	go s.run()
	return s, nil
}

// layout is the names in a directory, sorted out.
type layout struct {
	segments []uint32 // in order
	journal  bool
}

func readLayout(fsys fsys, dir string) (layout, error) {
	names, err := fsys.list(dir)
	if err != nil {
		return layout{}, fmt.Errorf("store: %w", err)
	}
	var l layout
	for _, name := range names {
		if n, ok := segmentNumber(name); ok {
			l.segments = append(l.segments, n)
		}
		l.journal = l.journal || name == journalName
	}
	slices.Sort(l.segments)
	return l, nil
}

// check finds files that are missing. Those before the first segment are not:
// they were deleted.
func (l layout) check() error {
	if !l.journal && len(l.segments) > 0 {
		return &CorruptError{File: journalName, Reason: "file is missing"}
	}
	for i, n := range l.segments {
		if want := l.segments[0] + uint32(i); n != want {
			return corrupt(want, 0, "file is missing")
		}
	}
	return nil
}

// recover reads everything and makes the committer's state.
func (s *Store) recover() error {
	l, err := readLayout(s.opts.fs, s.opts.Dir)
	if err != nil {
		return err
	}
	if err := l.check(); err != nil {
		return err
	}
	cuts, err := s.replayJournal(l.journal)
	if err != nil {
		return err
	}
	more, err := s.replaySegments(l.segments)
	if err != nil {
		return err
	}
	for loc := range s.index.Locs() {
		seg := s.segs.get(loc.Segment)
		if seg == nil {
			return fmt.Errorf("store: the index has a message at %s, where there is no segment", loc)
		}
		seg.live++
	}
	// Only now is it clear that all can be read, so that it may be changed.
	for _, cut := range append(cuts, more...) {
		if err := s.cut(cut); err != nil {
			return err
		}
	}
	return s.ready()
}

// cut is the torn end of a file.
type cut struct {
	f      file // nil: the file has not even a header and goes as a whole
	name   string
	damage damage
}

func (s *Store) cut(c cut) error {
	s.stats.Torn += c.damage.to - c.damage.from
	s.opts.Logger.Warn("cut off the end of an interrupted write", "file", c.name, "offset", c.damage.from,
		"bytes", c.damage.to-c.damage.from, "err", c.damage.reason)
	if c.f == nil {
		if err := s.opts.fs.remove(filepath.Join(s.opts.Dir, c.name)); err != nil {
			return fmt.Errorf("store: remove the torn file: %w", err)
		}
		return syncDir(s.opts.fs, s.opts.Dir)
	}
	if err := c.f.Truncate(c.damage.from); err != nil {
		return fmt.Errorf("store: cut %s: %w", c.name, err)
	}
	return nil
}

// ready syncs what was read, names included: it may be what a process left that
// died before its fsync, and neither what the index makes of it nor a newer segment
// may be on disk before it. Then it makes the files that are missing.
func (s *Store) ready() error {
	if s.journal.f != nil {
		if err := syncFile(s.journal.f, journalName); err != nil {
			return err
		}
	}
	for _, seg := range s.segs.list {
		if seg.file != nil && seg.number+1 >= s.segs.list[len(s.segs.list)-1].number {
			if err := syncFile(seg.file, segmentName(seg.number)); err != nil {
				return err
			}
		}
	}
	if err := syncDir(s.opts.fs, s.opts.Dir); err != nil {
		return err
	}
	if err := s.makeFiles(); err != nil {
		return err
	}
	s.journal.synced, s.synced = s.journal.size, s.active.size
	s.journal.setLimit()
	s.begin(s.active.number, s.active.salt, uint32(s.active.size))
	return nil
}

func (s *Store) makeFiles() error {
	if s.journal.f == nil {
		if err := s.journal.rewrite(); err != nil {
			return err
		}
	}
	if err := s.opts.fs.remove(filepath.Join(s.opts.Dir, journalNew)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("store: remove %s: %w", journalNew, err)
	}
	if s.active == nil {
		s.active = s.segs.need(1, newSalt())
	}
	a := s.active
	if a.file != nil {
		return nil
	}
	f, err := createFile(s.opts.fs, s.opts.Dir, segmentName(a.number), header{kind: kindSegment, number: a.number, salt: a.salt})
	if err != nil {
		return err
	}
	a.file, a.size = f, fileHeader
	return nil
}

// openLog opens a file of the store and reads its header.
func openLog(fsys fsys, dir, name string, kind uint16, number uint32) (file, header, int64, error) {
	f, err := fsys.open(filepath.Join(dir, name), os.O_RDWR)
	if err != nil {
		return nil, header{}, 0, fmt.Errorf("store: open: %w", err)
	}
	h, size, err := readHeader(f, name, kind, number)
	if err != nil {
		f.Close()
		return nil, header{}, size, err
	}
	return f, h, size, nil
}

func readHeader(f file, name string, kind uint16, number uint32) (header, int64, error) {
	size, err := f.size()
	if err != nil {
		return header{}, 0, fmt.Errorf("store: open: %w", err)
	}
	b := make([]byte, min(size, fileHeader))
	if _, err := f.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
		return header{}, 0, fmt.Errorf("store: read %s: %w", name, err)
	}
	h, err := parseHeader(b, name)
	if err == nil && (h.kind != kind || kind == kindSegment && h.number != number) {
		err = fmt.Errorf("header is that of another file, %d.%d", h.kind, h.number)
	}
	if _, ok := errors.AsType[*VersionError](err); err != nil && !ok {
		err = &CorruptError{File: name, Segment: number, Reason: err.Error()}
	}
	return h, size, err
}

func (s *Store) replayJournal(exists bool) ([]cut, error) {
	if !exists {
		return nil, nil
	}
	j := s.journal
	f, h, size, err := openLog(s.opts.fs, s.opts.Dir, journalName, kindMeta, 0)
	if err != nil {
		return nil, err
	}
	j.f, j.header = f, h
	r := replay{file: journalName, f: f, mark: markState{end: -1}}
	w := walker{
		scanner: scanner{f: f, size: size, salt: h.salt, off: fileHeader}, kind: kindMeta, newest: true,
		record: func(kind byte, p []byte, off int64) error { return r.journal(j, kind, p, off) }, damage: r.damage,
	}
	if j.size, err = w.walk(); err != nil {
		return nil, err
	}
	j.groups, j.clean = r.mark.group, r.mark.clean(j.size)
	for _, key := range slices.Sorted(maps.Keys(j.live)) {
		if err := s.index.Meta(key, slices.Clone(j.live[key])); err != nil {
			return nil, fmt.Errorf("store: key %q: %w", key, err)
		}
	}
	return r.cuts, nil
}

func (s *Store) replaySegments(numbers []uint32) ([]cut, error) {
	r := replay{index: s.index}
	headless, err := s.headless(numbers)
	if err != nil {
		return nil, err
	}
	if headless != nil {
		r.cuts = append(r.cuts, *headless)
		numbers = numbers[:len(numbers)-1]
	}
	for i, n := range numbers {
		if err := s.replaySegment(&r, n, i == len(numbers)-1); err != nil {
			return nil, err
		}
	}
	s.groups = r.mark.group
	return r.cuts, nil
}

// headless returns the newest segment if it was not finished making. Nothing is
// written to one before its header is on disk, so there is nothing in it, and the
// one before it may still be the newest.
func (s *Store) headless(numbers []uint32) (*cut, error) {
	if len(numbers) == 0 {
		return nil, nil
	}
	n := numbers[len(numbers)-1]
	f, _, size, err := openLog(s.opts.fs, s.opts.Dir, segmentName(n), kindSegment, n)
	if err == nil {
		return nil, f.Close()
	}
	if bad, ok := errors.AsType[*CorruptError](err); ok && size <= fileHeader {
		return &cut{name: bad.File, damage: damage{to: size, reason: bad.Reason}}, nil
	}
	return nil, err
}

func (s *Store) replaySegment(r *replay, n uint32, newest bool) error {
	name := segmentName(n)
	f, h, size, err := openLog(s.opts.fs, s.opts.Dir, name, kindSegment, n)
	if err != nil {
		return err
	}
	seg := s.segs.need(n, h.salt)
	seg.file = f
	r.file, r.seg, r.f, r.mark.end = name, seg, f, -1
	w := walker{
		scanner: scanner{f: f, size: size, salt: h.salt, off: fileHeader, buf: r.buf}, kind: kindSegment, newest: newest,
		record: r.segment, damage: r.damage,
	}
	if seg.size, err = w.walk(); err != nil {
		return err
	}
	r.buf = w.buf[:0]
	s.active, s.clean = seg, r.mark.clean(seg.size)
	if w.ended && newest {
		s.active, s.clean = s.segs.need(n+1, newSalt()), false
	}
	return nil
}
