//go:build unix

package copies

import (
	"os"
	"syscall"
)

// flock takes a lock that ends with the process; it does not wait.
func flock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
