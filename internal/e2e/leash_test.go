//go:build !linux

package e2e_test

import "syscall"

// leash would make a process end with the test binary; only Linux can.
func leash() *syscall.SysProcAttr { return nil }
