package store

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// fsys is what the store asks of a file system; the tests lose power below it.
// What a file holds is durable after sync, what a directory names after syncDir.
type fsys interface {
	open(name string, flag int) (file, error)
	rename(from, to string) error
	remove(name string) error
	syncDir(dir string) error
	list(dir string) ([]string, error)
	makeDir(dir string) error // with its parents, durable
	lock(dir string) (io.Closer, error)
}

type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	size() (int64, error)
	sync() error
	allocate(size int64) error // like writing zeros: the space is there or there is an error
}

// isFull reports whether an operation failed because there is no space.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

type osFS struct{}

type osFile struct{ *os.File }

func (osFS) open(name string, flag int) (file, error) {
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) lock(dir string) (io.Closer, error) { return lockDir(dir) }

func (osFS) rename(from, to string) error { return os.Rename(from, to) }
func (osFS) remove(name string) error     { return os.Remove(name) }

func (osFS) syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (osFS) list(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

func (o osFS) makeDir(dir string) error {
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
		}
		return nil
	}
	parent := filepath.Dir(dir)
	if err := o.makeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return o.syncDir(parent)
}

func (f osFile) size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f osFile) sync() error               { return datasync(f.File) }
func (f osFile) allocate(size int64) error { return allocate(f.File, size) }

// writeZeros takes space on file systems that cannot allocate it.
func writeZeros(f io.WriterAt, size int64) error {
	zeros := make([]byte, min(size, 1<<20))
	for off := int64(0); off < size; off += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-off)], off); err != nil {
			return err
		}
	}
	return nil
}

// faultFS asks before each operation that changes the disk.
type faultFS struct {
	fsys
	fault func(Op, string) error
}

type faultFile struct {
	file
	name  string
	fault func(Op, string) error
}

func (f faultFS) open(name string, flag int) (file, error) {
	base := filepath.Base(name)
	if flag&os.O_CREATE != 0 {
		if err := f.fault(OpCreate, base); err != nil {
			return nil, err
		}
	}
	inner, err := f.fsys.open(name, flag)
	if err != nil {
		return nil, err
	}
	return faultFile{inner, base, f.fault}, nil
}

func (f faultFS) rename(from, to string) error {
	if err := f.fault(OpRename, filepath.Base(to)); err != nil {
		return err
	}
	return f.fsys.rename(from, to)
}

func (f faultFS) remove(name string) error {
	if err := f.fault(OpRemove, filepath.Base(name)); err != nil {
		return err
	}
	return f.fsys.remove(name)
}

func (f faultFS) syncDir(dir string) error {
	if err := f.fault(OpSyncDir, filepath.Base(dir)); err != nil {
		return err
	}
	return f.fsys.syncDir(dir)
}

func (f faultFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.fault(OpWrite, f.name); err != nil {
		// Half of it arrives, as on a disk that fills up.
		n, _ := f.file.WriteAt(p[:len(p)/2], off)
		return n, err
	}
	return f.file.WriteAt(p, off)
}

func (f faultFile) Truncate(size int64) error {
	if err := f.fault(OpTruncate, f.name); err != nil {
		return err
	}
	return f.file.Truncate(size)
}

func (f faultFile) sync() error {
	if err := f.fault(OpSync, f.name); err != nil {
		return err
	}
	return f.file.sync()
}

func (f faultFile) allocate(size int64) error {
	if err := f.fault(OpAllocate, f.name); err != nil {
		return err
	}
	return f.file.allocate(size)
}
