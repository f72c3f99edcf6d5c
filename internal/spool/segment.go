package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/broker"
)

const (
	segmentSuffix = ".seg"
	damagedSuffix = ".damaged"
	newSuffix     = ".new" // of a segment that is being made
)

// errOwned: another process has the segment.
var errOwned = errors.New("another process owns the segment")

// segment is a file of the spool that this process owns. Only the committer
// changes it; open, which counts its messages that are not done, is the Spool's.
type segment struct {
	path string
	file *os.File
	seed seed
	end  int64 // where the next record goes
	open int

	damaged bool // takes no marks either, and is kept when all of its messages are done
}

// segmentName is unique as long as a process has one clock, and sorts by age.
func segmentName(at time.Time, pid int) string {
	return fmt.Sprintf("%019d-%d%s", at.UnixNano(), pid, segmentSuffix)
}

// ownerOf is the pid in a segment's name, for people.
func ownerOf(path string) int {
	_, rest, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), segmentSuffix), "-")
	pid, _ := strconv.Atoi(rest)
	return pid
}

// segmentsOf lists the segments of a directory, the oldest first, and what was
// kept of damaged ones.
func segmentsOf(dir string) (segments, damaged []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		switch filepath.Ext(e.Name()) {
		case segmentSuffix:
			segments = append(segments, filepath.Join(dir, e.Name()))
		case damagedSuffix:
			damaged = append(damaged, filepath.Join(dir, e.Name()))
		}
	}
	slices.Sort(segments)
	return segments, damaged, nil
}

// sizeOf is how many bytes files have together. One that is gone by now has none.
func sizeOf(files ...[]string) (n int64) {
	for _, file := range slices.Concat(files...) {
		if info, err := os.Stat(file); err == nil {
			n += info.Size()
		}
	}
	return n
}

// create makes an empty segment and makes its name durable.
func create(dir string, now time.Time, d disk) (*segment, error) {
	path := filepath.Join(dir, segmentName(now, os.Getpid()))
	fresh := path + newSuffix // a name that nobody looks at until it is locked
	f, err := os.OpenFile(fresh, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	head := append(make([]byte, 0, segmentHead), magic...)
	head = binary.BigEndian.AppendUint64(head, rand.Uint64())
	if err = lock(f); err == nil {
		_, err = d.writeAt(f, head, 0)
	}
	if err == nil {
		err = os.Rename(fresh, path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		_, _ = os.Remove(fresh), os.Remove(path) // one of them is there
		return nil, errors.Join(err, f.Close())
	}
	return &segment{path: path, file: f, seed: seedOf(head), end: int64(segmentHead)}, nil
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// adopt takes a segment over whose owner is gone, with what is in it. The error is
// errOwned when it is not, errForeign when nobody's spool has written it.
func adopt(path string) (*segment, survey, error) {
	if err := readable(path); err != nil {
		return nil, survey{}, err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, survey{}, err
	}
	if err := lockSame(f, path); err != nil {
		return nil, survey{}, errors.Join(err, f.Close())
	}
	text, err := os.ReadFile(path)
	if err == nil && !isOurs(path, text) {
		err = errForeign
	}
	if err != nil {
		return nil, survey{}, errors.Join(err, f.Close())
	}
	s := read(text)
	g := &segment{path: path, file: f, seed: seedOf(text[:min(segmentHead, len(text))]), end: s.end, open: s.open(), damaged: s.damaged > 0}
	if !g.damaged && s.end >= int64(segmentHead) && s.end < int64(len(text)) {
		err = f.Truncate(s.end)
	}
	if err == nil {
		mine := filepath.Join(filepath.Dir(path), renamed(path))
		if err = os.Rename(path, mine); err == nil {
			g.path = mine
		}
	}
	if err != nil {
		return nil, survey{}, errors.Join(err, f.Close())
	}
	return g, s, nil
}

// renamed is the name of a segment that is ours now.
func renamed(path string) string {
	at, _, _ := strings.Cut(filepath.Base(path), "-")
	return fmt.Sprintf("%s-%d%s", at, os.Getpid(), segmentSuffix)
}

// lockSame locks f, which was opened as path, and makes sure that it still is
// that: its owner may have removed it, or somebody else taken it, in between.
func lockSame(f *os.File, path string) error {
	if err := lock(f); err != nil {
		return err
	}
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	there, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(mine, there) {
		return errOwned
	}
	return err
}

// append writes records. After an error the segment is as it was before.
func (g *segment) append(b []byte, d disk) error {
	if _, err := d.writeAt(g.file, b, g.end); err != nil {
		_ = g.file.Truncate(g.end) // what stays there is cut short, or overwritten by the next record
		return err
	}
	g.end += int64(len(b))
	return nil
}

// mark appends the record that says that the message at a place is done.
func (g *segment) mark(b []byte, at int64) []byte {
	return g.seed.appendRecord(b, kindDone, func(b []byte) []byte { return binary.BigEndian.AppendUint64(b, uint64(at)) })
}

// read returns the message that begins at a place.
func (g *segment) read(at, size int64) (*broker.Publication, error) {
	b := make([]byte, size)
	if _, err := g.file.ReadAt(b, at); err != nil {
		return nil, err
	}
	kind, payload, _, err := g.seed.parse(b)
	if err == nil && kind != kindPut {
		err = fmt.Errorf("a record of kind %q", kind)
	}
	if err != nil {
		return nil, err
	}
	p, _, err := decode(payload)
	return p, err
}

// retire ends a segment whose messages are all done.
func (g *segment) retire() error {
	var err error
	if g.damaged {
		err = os.Rename(g.path, strings.TrimSuffix(g.path, segmentSuffix)+damagedSuffix)
	} else {
		err = os.Remove(g.path)
	}
	return errors.Join(err, g.file.Close())
}

// disk is how the bytes get there; tests have theirs.
type disk struct {
	writeAt func(f *os.File, b []byte, at int64) (int, error)
	sync    func(*os.File) error
}

func realDisk() disk { return disk{(*os.File).WriteAt, (*os.File).Sync} }
