//go:build !unix

package spool

import (
	"errors"
	"os"
)

// Without flock nothing keeps two processes from one segment.
func lock(*os.File) error { return errors.ErrUnsupported }

func isFull(error) bool { return false }
