package control

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxPath is the longest socket path in bytes: sockaddr_un.sun_path has 108 on
// Linux, the last of which is the terminating zero.
const maxPath = 107

// DefaultSocket is where an instance listens, and where a client looks, when
// neither the configuration nor the command line says so:
//
//	$XDG_RUNTIME_DIR/magne-actors/magne.sock   if XDG_RUNTIME_DIR is an absolute path of a directory
//	magne.sock                                 in the working directory otherwise
//
// A second instance of the same user needs a control.socket of its own; with
// the same one it refuses to start and names the path. getenv is os.Getenv
// outside tests.
func DefaultSocket(getenv func(string) string) string {
	dir := getenv("XDG_RUNTIME_DIR")
	if !filepath.IsAbs(dir) {
		return "magne.sock"
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "magne.sock" // left over from another login (sudo -E, su): nothing can be made there
	}
	return filepath.Join(dir, "magne-actors", "magne.sock")
}

// checkPath refuses what cannot be the path of a socket file, before the kernel
// does with "invalid argument".
func checkPath(path string) error {
	switch {
	case path == "":
		return errors.New("control: no socket path")
	case strings.HasPrefix(path, "@"):
		return fmt.Errorf("control: socket %q: an abstract socket has no file mode that protects it", path)
	case strings.ContainsRune(path, 0):
		return fmt.Errorf("control: socket %q: zero byte in the path", path)
	case len(path) > maxPath:
		return fmt.Errorf("control: socket %q: %w: %d bytes, a unix socket's path may have %d; choose a shorter control.socket",
			path, ErrAddress, len(path), maxPath)
	}
	return nil
}

// prepareDir makes the socket's directory when only its last element is
// missing, and refuses one in which other users could replace the socket.
func prepareDir(path string) error {
	dir := filepath.Dir(path)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("control: make the directory of socket %q: %w", path, err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("control: socket %q: %w", path, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("control: socket %q: %s is not a directory", path, dir)
	}
	if info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0 {
		return fmt.Errorf("control: socket %q: every user may replace files in %s; chmod o-w it or choose another control.socket", path, dir)
	}
	return nil
}
