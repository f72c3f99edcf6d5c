//go:build !linux

package osproc

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"
)

// Host starts processes.
type Host struct{}

// New returns an error that wraps ErrNotSupported.
func New(Options) (*Host, error) { return nil, fmt.Errorf("osproc: %w", ErrNotSupported) }

// Start returns an error that wraps ErrNotSupported.
func (*Host) Start(context.Context, Spec) (*Proc, error) {
	return nil, fmt.Errorf("osproc: %w", ErrNotSupported)
}

// Close does nothing.
func (*Host) Close() {}

// DelegatedCgroup returns an error that wraps ErrNotSupported.
func DelegatedCgroup() (string, error) { return "", fmt.Errorf("osproc: %w", ErrNotSupported) }

// Proc is a process. There are none on this system.
type Proc struct {
	In, Out, Stdin *os.File
}

// PID returns 0.
func (*Proc) PID() int { return 0 }

// Scope returns ScopeAuto.
func (*Proc) Scope() Scope { return ScopeAuto }

// Done returns nil.
func (*Proc) Done() <-chan struct{} { return nil }

// Exit returns the zero Exit.
func (*Proc) Exit() Exit { return Exit{} }

// Dropped returns 0.
func (*Proc) Dropped() int64 { return 0 }

// Signal returns an error that wraps ErrNotSupported.
func (*Proc) Signal(syscall.Signal) error { return fmt.Errorf("osproc: %w", ErrNotSupported) }

// Terminate does nothing.
func (*Proc) Terminate(Ladder) {}

// Kill does nothing.
func (*Proc) Kill() {}

// Stat returns an error that wraps ErrNotSupported.
func (*Proc) Stat() (Stat, error) { return Stat{}, fmt.Errorf("osproc: %w", ErrNotSupported) }

func statSelf() (Stat, error) { return Stat{}, fmt.Errorf("osproc: %w", ErrNotSupported) }

// TreeRSS returns an error that wraps ErrNotSupported.
func (*Proc) TreeRSS() (int64, error) { return 0, fmt.Errorf("osproc: %w", ErrNotSupported) }

// Wchan returns "".
func (*Proc) Wchan() string { return "" }

// Waited returns 0.
func (*Proc) Waited() time.Duration { return 0 }

// Tail returns nil.
func (*Proc) Tail() []Line { return nil }

func rlimitNumber(string) (int, bool) { return 0, false }

func signalName(s syscall.Signal) string { return s.String() }
