//go:build !unix

package wire

import "syscall"

// CancelSignal is none: processes are supervised on Linux only.
const CancelSignal syscall.Signal = 0
