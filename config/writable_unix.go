//go:build unix

package config

import "syscall"

// writable reports whether this user may make files in dir.
func writable(dir string) bool {
	const write, search = 2, 1
	return syscall.Access(dir, write|search) == nil
}
