//go:build !unix

package config

import "syscall"

// dumpSignals is empty: processes are supervised on Linux only.
func dumpSignals() map[string]syscall.Signal { return nil }
