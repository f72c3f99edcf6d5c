//go:build unix

package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const lockName = "lock"

// lockDir takes the directory for this process. The kernel gives it back when
// the process is gone, however it went; the file stays.
func lockDir(dir string) (io.Closer, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("store: lock: %w", err)
	}
	if err := flock(f, dir, syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	pid := strconv.Itoa(os.Getpid()) + "\n"
	if err := errors.Join(f.Truncate(0), writeString(f, pid)); err != nil && !isFull(err) {
		// A full disk is no reason not to start: the lock holds without the number.
		f.Close()
		return nil, fmt.Errorf("store: lock: %w", err)
	}
	return f, nil
}

// lockShared keeps a process that writes from starting, and changes nothing.
func lockShared(dir string) (io.Closer, error) {
	f, err := os.Open(filepath.Join(dir, lockName))
	if errors.Is(err, os.ErrNotExist) {
		return io.NopCloser(nil), nil
	}
	if err != nil {
		return nil, fmt.Errorf("store: lock: %w", err)
	}
	if err := flock(f, dir, syscall.LOCK_SH); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func flock(f *os.File, dir string, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			text, _ := io.ReadAll(io.LimitReader(f, 32))
			pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
			return &LockedError{Dir: dir, PID: pid}
		default:
			return fmt.Errorf("store: lock %s: %w", dir, err)
		}
	}
}

func writeString(f io.WriterAt, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}
