package store

import (
	"fmt"
	"io"
	"path/filepath"
)

// locker takes a directory.
type locker func(dir string) (io.Closer, error)

// damagedSuffix is appended to the name of a file that Repair replaces.
const damagedSuffix = ".damaged"

// Repair makes a directory readable for Open by giving up what cannot be read,
// and returns what that was. Messages in it are lost; messages that were
// acknowledged in it are live again. A file without a usable header is kept,
// under its name with ".damaged" behind it. Make a copy first.
func Repair(dir string) (Report, error) {
	return check(&checker{fs: osFS{}, dir: dir, fix: true}, lockDir)
}

// giveUp makes a damaged part of a file one record that says so.
func (w *walker) giveUp(f file, d damage) error {
	if d.from == d.to {
		return nil
	}
	if d.to-d.from < recHeader || w.ended {
		if err := f.Truncate(d.from); err != nil {
			return fmt.Errorf("store: repair: %w", err)
		}
		return syncFile(f, "what was repaired")
	}
	b := make([]byte, d.to-d.from)
	if _, err := f.ReadAt(b, d.from); err != nil {
		return fmt.Errorf("store: repair: %w", err)
	}
	b[8] = recLost
	endRecord(b, 0, w.salt)
	if _, err := f.WriteAt(b[:recHeader], d.from); err != nil {
		return fmt.Errorf("store: repair: %w", err)
	}
	return syncFile(f, "what was repaired")
}

// endSegment gives a closed segment the end that it lacks.
func endSegment(f file, salt, n uint32) error {
	size, err := f.size()
	if err != nil {
		return fmt.Errorf("store: repair: %w", err)
	}
	if _, err := f.WriteAt(appendEnd(nil, salt, n+1), size); err != nil {
		return fmt.Errorf("store: repair: %w", err)
	}
	return syncFile(f, segmentName(n))
}

// emptySegment makes one in the place of a segment that is missing.
func (c *checker) emptySegment(n uint32) error {
	if !c.fix {
		return nil
	}
	salt := newSalt()
	f, err := createFile(c.fs, c.dir, segmentName(n), header{kind: kindSegment, number: n, salt: salt})
	if err != nil {
		return err
	}
	defer f.Close()
	return endSegment(f, salt, n)
}

// emptyJournal makes one in the place of a journal that is missing.
func (c *checker) emptyJournal() error {
	if !c.fix {
		return nil
	}
	j := journal{fs: c.fs, dir: c.dir}
	if err := j.rewrite(); err != nil {
		return err
	}
	return j.f.Close()
}

// setAside renames a file that has no usable header.
func (c *checker) setAside(name string) error {
	if !c.fix {
		return nil
	}
	path := filepath.Join(c.dir, name)
	if err := c.fs.rename(path, path+damagedSuffix); err != nil {
		return fmt.Errorf("store: repair: %w", err)
	}
	return syncDir(c.fs, c.dir)
}
