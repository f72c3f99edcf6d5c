//go:build unix

package spool

import (
	"errors"
	"os"
	"syscall"
)

// lock takes the file for this process without waiting. The kernel gives it back
// when the process is gone, however it went.
func lock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			return errOwned
		default:
			return err
		}
	}
}

// isFull reports whether the disk, or what this user may have of it, is full.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}
