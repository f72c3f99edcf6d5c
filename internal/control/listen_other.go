//go:build !unix

package control

import "os"

// flock does nothing: two instances that start at the same moment with one socket
// are told apart by the bind alone.
func flock(*os.File) error { return nil }

// protect does nothing: closeToOthers is for Linux.
func protect(uintptr) error { return nil }
