//go:build !unix

package store

import (
	"errors"
	"fmt"
	"io"
)

// Without flock nothing keeps two processes from one directory.
func lockDir(dir string) (io.Closer, error) {
	return nil, fmt.Errorf("store: lock %s: %w", dir, errors.ErrUnsupported)
}

func lockShared(dir string) (io.Closer, error) { return lockDir(dir) }
