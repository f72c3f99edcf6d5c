//go:build !linux

package child

import "os"

func pipes(getenv func(string) string) (in, out *os.File, err error) {
	return nil, nil, ErrNotSupported
}
