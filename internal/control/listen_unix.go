//go:build unix

package control

import (
	"os"
	"syscall"
)

// flock takes the lock of an open directory, or fails at once with EWOULDBLOCK.
func flock(dir *os.File) error {
	return syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// protect makes a socket its owner's alone.
func protect(fd uintptr) error { return syscall.Fchmod(int(fd), 0o600) }
