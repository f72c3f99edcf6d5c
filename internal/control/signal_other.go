//go:build !unix

package control

import (
	"errors"
	"syscall"
)

// ParseSignal returns an error: this system has no signals.
func ParseSignal(string) (syscall.Signal, error) {
	return 0, errors.New("this system has no signals")
}
