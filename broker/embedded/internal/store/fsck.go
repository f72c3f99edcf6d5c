package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Report is what Fsck found.
type Report struct {
	Files    int
	Bytes    int64
	Segments int
	Keys     int // in the journal
	Messages int // in segments, copies and dead ones too
	Live     int // refs

	// Torn is what Open would cut off: ends of interrupted writes. No promise was
	// made for what is there.
	Torn []Problem
	// Problems are what keeps Open from reading the directory.
	Problems []Problem
}

// Problem is a part of a file that cannot be read.
type Problem struct {
	File   string
	Offset int64
	Bytes  int64 // 0: unknown, or something that should follow is missing
	Reason string
}

// String returns file, offset and reason.
func (p Problem) String() string {
	return fmt.Sprintf("%s: offset %d, %d bytes: %s", p.File, p.Offset, p.Bytes, p.Reason)
}

// Fsck reads a whole directory and changes nothing. It needs memory for the live
// messages. The error is a *LockedError if a process uses the directory, or what
// kept Fsck from reading; what is wrong with the contents is in the report.
func Fsck(dir string) (Report, error) { return check(&checker{fs: osFS{}, dir: dir}, lockShared) }

// checker goes through the files of a directory.
type checker struct {
	fs     fsys
	dir    string
	report Report
	live   map[Ref]struct{}
	keys   map[string]struct{}
	fix    bool // Repair
}

// check goes through all files, the journal last.
func check(c *checker, lock locker) (Report, error) {
	if _, err := c.fs.list(c.dir); err != nil {
		return Report{}, fmt.Errorf("store: %w", err)
	}
	l, err := lock(c.dir)
	if err != nil {
		return Report{}, err
	}
	defer l.Close()
	layout, err := readLayout(c.fs, c.dir)
	if err != nil {
		return Report{}, err
	}
	c.live, c.keys = map[Ref]struct{}{}, map[string]struct{}{}
	for i, n := range layout.segments {
		if err := c.gap(layout.segments, i); err != nil {
			return Report{}, err
		}
		if err := c.segment(n, i == len(layout.segments)-1); err != nil {
			return Report{}, err
		}
	}
	if err := c.journal(layout); err != nil {
		return Report{}, err
	}
	c.report.Live, c.report.Keys = len(c.live), len(c.keys)
	return c.report, nil
}

// gap reports the segments that are missing before the i-th.
func (c *checker) gap(numbers []uint32, i int) error {
	if i == 0 {
		return nil
	}
	for n := numbers[i-1] + 1; n < numbers[i]; n++ {
		c.problem(Problem{File: segmentName(n), Reason: "file is missing"})
		if err := c.emptySegment(n); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) problem(p Problem) { c.report.Problems = append(c.report.Problems, p) }

func (c *checker) journal(l layout) error {
	if !l.journal {
		if len(l.segments) > 0 {
			c.problem(Problem{File: journalName, Reason: "file is missing"})
			return c.emptyJournal()
		}
		return nil
	}
	w, f, err := c.open(journalName, kindMeta, 0, true)
	if err != nil {
		return err
	}
	if w == nil {
		return c.emptyJournal()
	}
	defer f.Close()
	w.record = func(kind byte, p []byte, _ int64) error {
		switch kind {
		case recPut:
			key, _ := parsePut(p)
			c.keys[key] = struct{}{}
		case recDelete:
			delete(c.keys, string(p))
		}
		return nil
	}
	_, err = w.walk()
	return err
}

func (c *checker) segment(n uint32, newest bool) error {
	name := segmentName(n)
	w, f, err := c.open(name, kindSegment, n, newest)
	if err != nil {
		return err
	}
	if w == nil {
		if newest {
			return nil
		}
		return c.emptySegment(n)
	}
	defer f.Close()
	c.report.Segments++
	w.record = func(kind byte, p []byte, _ int64) error { return c.record(kind, p) }
	if _, err := w.walk(); err != nil {
		return err
	}
	if c.fix && !newest && !w.ended {
		return endSegment(f, w.salt, n)
	}
	return nil
}

// open returns nil for a file with a bad header, which is reported.
func (c *checker) open(name string, kind uint16, n uint32, newest bool) (*walker, file, error) {
	flag := os.O_RDONLY
	if c.fix {
		flag = os.O_RDWR
	}
	f, err := c.fs.open(filepath.Join(c.dir, name), flag)
	if err != nil {
		return nil, nil, fmt.Errorf("store: open: %w", err)
	}
	h, size, err := readHeader(f, name, kind, n)
	c.report.Files++
	c.report.Bytes += size
	if bad, ok := errors.AsType[*CorruptError](err); ok {
		f.Close()
		p := Problem{File: name, Bytes: size, Reason: bad.Reason}
		if kind == kindSegment && newest && size <= fileHeader {
			c.report.Torn = append(c.report.Torn, p)
			return nil, nil, nil
		}
		c.problem(p)
		return nil, nil, c.setAside(name)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	w := &walker{scanner: scanner{f: f, size: size, salt: h.salt, off: fileHeader}, kind: kind, newest: newest}
	w.damage = func(d damage) error {
		p := Problem{File: name, Offset: d.from, Bytes: d.to - d.from, Reason: d.reason}
		if d.torn {
			c.report.Torn = append(c.report.Torn, p)
			return nil
		}
		c.problem(p)
		if c.fix {
			return w.giveUp(f, d)
		}
		return nil
	}
	return w, f, nil
}

func (c *checker) record(kind byte, p []byte) error {
	switch kind {
	case recMessage, recCopy:
		raw, err := parseMessage(kind, p)
		if err != nil {
			return err // not possible: the scanner has checked it
		}
		c.report.Messages++
		for b := raw.refs; len(b) > 0; b = b[refSize(kind):] {
			c.live[parseRef(b)] = struct{}{}
		}
	case recAcks:
		for ; len(p) > 0; p = p[runBytes:] {
			c.acked(parseRef(p), le.Uint64(p[refBytes:]))
		}
	}
	return nil
}

// acked goes through the shorter one: a range may be longer than all there is.
func (c *checker) acked(first Ref, last uint64) {
	if last-first.Seq >= uint64(len(c.live)) {
		for r := range c.live {
			if r.Queue == first.Queue && first.Seq <= r.Seq && r.Seq <= last {
				delete(c.live, r)
			}
		}
		return
	}
	for i := range last - first.Seq + 1 {
		delete(c.live, Ref{first.Queue, first.Seq + i})
	}
}
