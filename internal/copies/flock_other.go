//go:build !unix

package copies

import (
	"fmt"
	"os"

	"github.com/magne-actors/magne-actors/internal/osproc"
)

// flock returns an error: there are no copies on this system.
func flock(*os.File) error { return fmt.Errorf("copies: %w", osproc.ErrNotSupported) }
