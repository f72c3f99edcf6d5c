package store

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

const (
	journalName = "journal"
	journalNew  = "journal.new"

	// The journal is rewritten when it is twice what is in it, and worth it.
	defaultJournalMin = 1 << 20
)

// metaOp sets a key, or deletes it if value is nil.
type metaOp struct {
	key   string
	value []byte
	w     Waiter
}

func newSalt() uint32 { return rand.Uint32() }

// journal is the file of what PutMeta and DeleteMeta did. It is small, and all
// of it is in memory for the next rewrite.
type journal struct {
	fs  fsys
	dir string

	f      file
	header header
	size   int64
	synced int64
	groups uint64
	clean  bool
	limit  int64 // rewrite beyond it
	min    int64 // but not before

	live      map[string][]byte
	liveBytes int64
}

// write appends a group. If it fails for want of space, the file is as before,
// on disk too.
func (j *journal) write(ops []metaOp) error {
	buf := appendMark(nil, j.header.salt, j.groups+1, uint32(j.synced))
	for _, op := range ops {
		if op.value == nil {
			buf = appendDelete(buf, j.header.salt, op.key)
		} else {
			buf = appendPut(buf, j.header.salt, op.key, op.value)
		}
	}
	if _, err := j.f.WriteAt(buf, j.size); err != nil {
		if err := j.takeBack(); err != nil {
			return err
		}
		return fmt.Errorf("store: write the journal: %w", err)
	}
	j.groups++
	j.size += int64(len(buf))
	j.clean = false
	for _, op := range ops {
		j.set(op.key, op.value)
	}
	return nil
}

func (j *journal) takeBack() error {
	if err := j.f.Truncate(j.size); err != nil {
		return fmt.Errorf("store: truncate the journal: %v", err) //nolint:errorlint // no going on, see syncFile
	}
	if err := syncFile(j.f, journalName); err != nil {
		return err
	}
	j.synced = j.size
	return nil
}

// set does to the map what a record does.
func (j *journal) set(key string, value []byte) {
	if old, ok := j.live[key]; ok {
		j.liveBytes -= putBytes(key, old)
		delete(j.live, key)
	}
	if value != nil {
		j.live[key] = value
		j.liveBytes += putBytes(key, value)
	}
}

func putBytes(key string, value []byte) int64 {
	return recHeader + 4 + int64(len(key)) + int64(len(value))
}

// crowded reports whether a rewrite is worth it.
func (j *journal) crowded() bool { return j.size > j.limit }

// rewrite replaces the file by one with the live keys alone. The old one stays
// in force until the new one, whole and on disk, has its name.
func (j *journal) rewrite() error {
	h := header{kind: kindMeta, number: j.header.number + 1, salt: newSalt()}
	buf := appendMark(nil, h.salt, j.groups+1, fileHeader)
	for _, key := range slices.Sorted(maps.Keys(j.live)) {
		buf = appendPut(buf, h.salt, key, j.live[key])
	}
	size := fileHeader + int64(len(buf))
	buf = appendMark(buf, h.salt, j.groups+2, uint32(size))
	f, err := createFile(j.fs, j.dir, journalNew, h)
	if err != nil {
		return err
	}
	if err := j.replace(f, buf); err != nil {
		f.Close()
		return err
	}
	if j.f != nil {
		j.f.Close()
	}
	j.f, j.header, j.clean = f, h, true
	j.groups += 2
	j.size = fileHeader + int64(len(buf))
	j.synced = j.size
	j.setLimit()
	return nil
}

func (j *journal) setLimit() { j.limit = max(j.min, 2*j.liveBytes) }

func (j *journal) replace(f file, buf []byte) error {
	if _, err := f.WriteAt(buf, fileHeader); err != nil {
		return fmt.Errorf("store: rewrite the journal: %w", err)
	}
	if err := syncFile(f, journalNew); err != nil {
		return err
	}
	if err := j.fs.rename(filepath.Join(j.dir, journalNew), filepath.Join(j.dir, journalName)); err != nil {
		return fmt.Errorf("store: rewrite the journal: %w", err)
	}
	return syncDir(j.fs, j.dir)
}

// createFile makes a file with a header, durable in its directory. A full disk
// leaves nothing behind.
func createFile(fs fsys, dir, name string, h header) (file, error) {
	path := filepath.Join(dir, name)
	f, err := fs.open(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return nil, fmt.Errorf("store: create: %w", err)
	}
	if _, err := f.WriteAt(h.append(nil), 0); err != nil {
		f.Close()
		if rerr := fs.remove(path); rerr != nil {
			return nil, fmt.Errorf("store: remove %s after %w: %w", name, err, rerr)
		}
		return nil, fmt.Errorf("store: create %s: %w", name, err)
	}
	if err := syncFile(f, name); err != nil {
		f.Close()
		return nil, err
	}
	if err := syncDir(fs, dir); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// syncDir, as syncFile, cannot be a full disk to go on from.
func syncDir(fs fsys, dir string) error {
	if err := fs.syncDir(dir); err != nil {
		return fmt.Errorf("store: sync directory: %v", err) //nolint:errorlint // see syncFile
	}
	return nil
}
