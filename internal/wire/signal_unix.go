//go:build unix

package wire

import "syscall"

// CancelSignal follows a cancel frame to a worker with CapCancelSignal.
const CancelSignal = syscall.SIGUSR1
