//go:build unix

package control

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ParseSignal reads the name of a signal, TERM or SIGTERM in any case, or its
// number.
func ParseSignal(text string) (syscall.Signal, error) {
	name := "SIG" + strings.TrimPrefix(strings.ToUpper(text), "SIG")
	if sig := unix.SignalNum(name); sig != 0 {
		return sig, nil
	}
	if n, err := strconv.Atoi(text); err == nil && n > 0 && unix.SignalName(syscall.Signal(n)) != "" {
		return syscall.Signal(n), nil
	}
	return 0, fmt.Errorf("there is no signal %q: TERM, INT, HUP, USR1, USR2, KILL, STOP and CONT are some", text)
}
