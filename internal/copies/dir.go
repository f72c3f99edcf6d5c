package copies

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

const (
	maxSocket = 107 // bytes in the path of a unix socket
	dirPrefix = "magne-copies-"
	lockName  = "lock" // in a directory; held as long as its Group lives
)

// Dir is a directory for the sockets of the copies, which only this user may enter.
type Dir struct {
	Path string
	lock *os.File
}

// MakeDir makes a Dir in the first of the directories where that is possible and a
// path is not too long for a socket. It removes there what programs have left that
// were killed.
func MakeDir(in ...string) (*Dir, error) {
	err := errors.New("no directory to make it in")
	for _, base := range in {
		if !filepath.IsAbs(base) {
			continue
		}
		removeStale(base)
		var d *Dir
		if d, err = makeDir(base); err == nil {
			return d, nil
		}
	}
	return nil, err
}

func makeDir(base string) (*Dir, error) {
	path, err := os.MkdirTemp(base, dirPrefix)
	if err != nil {
		return nil, err
	}
	d := &Dir{Path: path}
	if n := len(socketPath(path, 1000)); n > maxSocket {
		err = fmt.Errorf("%s: a socket in it would have a path of %d bytes, and %d are possible", base, n, maxSocket)
	} else {
		err = d.hold()
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// hold marks the directory as one that is used. Until the lock has its name nobody
// takes the directory for an old one.
func (d *Dir) hold() (err error) {
	name := filepath.Join(d.Path, lockName)
	if d.lock, err = os.Create(name + ".new"); err != nil {
		return err
	}
	if err := flock(d.lock); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// Close removes the directory with all that is in it.
func (d *Dir) Close() error {
	err := os.RemoveAll(d.Path)
	if d.lock != nil {
		err = errors.Join(err, d.lock.Close())
	}
	return err
}

// removeStale removes directories of programs that are dead. What cannot be opened
// is another user's.
func removeStale(base string) {
	list, _ := filepath.Glob(filepath.Join(base, dirPrefix+"*", lockName))
	for _, name := range list {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if flock(f) == nil {
			_ = os.RemoveAll(filepath.Dir(name)) // the next start tries again
		}
		_ = f.Close()
	}
}

func socketPath(dir string, number int) string {
	return filepath.Join(dir, strconv.Itoa(number)+".sock")
}
