//go:build unix

package config

import "syscall"

// dumpSignals are those that timeout.dump_signal can name.
func dumpSignals() map[string]syscall.Signal {
	return map[string]syscall.Signal{"QUIT": syscall.SIGQUIT, "ABRT": syscall.SIGABRT, "USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2}
}
