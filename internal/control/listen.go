package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// ErrInUse says that another process answers on the socket.
var ErrInUse = errors.New("another instance is listening there")

// probeTimeout bounds how long a connection attempt to an existing socket may
// take. A live server accepts in the kernel, so only a full backlog waits.
const probeTimeout = time.Second

// Check says whether Serve could listen at path now, and makes the socket's
// directory when only its last element is missing. It lets a second instance, or
// a wrong path, fail with a plain error before any actor is started. The error
// wraps ErrInUse when somebody answers there.
func Check(path string) error {
	if err := checkPath(path); err != nil {
		return err
	}
	if err := prepareDir(path); err != nil {
		return err
	}
	_, err := stale(path)
	return err
}

// socket is a listening unix socket and the identity of its file, so that its
// owner removes its own file at the end and nobody else's.
type socket struct {
	*net.UnixListener
	path string
	file fs.FileInfo
}

// listen makes the socket at path. Two processes that start at the same moment
// exclude each other by a lock on the directory while they look at the path and
// bind: else both might remove the same stale file, the second one after the
// first had bound its own.
func listen(ctx context.Context, path string) (*socket, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	if err := prepareDir(path); err != nil {
		return nil, err
	}
	unlock, err := lockDir(ctx, path)
	if err != nil {
		return nil, err
	}
	defer unlock()

	old, err := stale(path)
	if err != nil {
		return nil, err
	}
	if old {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("control: remove stale socket: %w", err)
		}
	}
	return bind(ctx, path)
}

// bind creates the socket file with mode 0600.
func bind(ctx context.Context, path string) (*socket, error) {
	lc := net.ListenConfig{Control: closeToOthers}
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("control: listen on %q: %w", path, err)
	}
	ul := l.(*net.UnixListener)
	ul.SetUnlinkOnClose(false) // by name only; remove looks at the inode
	s := &socket{UnixListener: ul, path: path}
	// For systems where closeToOthers has no effect, and for a umask that took
	// more than it should.
	if err = os.Chmod(path, 0o600); err == nil {
		s.file, err = os.Lstat(path)
	}
	if err != nil {
		_ = ul.Close()
		return nil, fmt.Errorf("control: protect socket: %w", err)
	}
	return s, nil
}

// closeToOthers sets the mode of the socket before it is bound. Linux gives the
// file the mode of the socket's inode less the umask (unix_bind in
// net/unix/af_unix.c), so there is no moment at which it is open to others,
// and the process-wide umask stays alone.
func closeToOthers(_, _ string, c syscall.RawConn) error {
	if runtime.GOOS != "linux" {
		return nil
	}
	var err error
	if e := c.Control(func(fd uintptr) { err = protect(fd) }); e != nil {
		return e
	}
	return err
}

// stale reports whether a socket without a listener is at path. It returns an
// error when there is anything else than that or nothing.
func stale(path string) (bool, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("control: socket: %w", err)
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return false, fmt.Errorf("control: socket %q: a file that is not a socket is there", path)
	}
	conn, err := net.DialTimeout("unix", path, probeTimeout)
	switch {
	case err == nil:
		_ = conn.Close()
		return false, fmt.Errorf("control: socket %q: %w", path, ErrInUse)
	case errors.Is(err, syscall.ECONNREFUSED):
		return true, nil
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, os.ErrDeadlineExceeded):
		// The backlog is full: somebody listens, who does not get to accept.
		return false, fmt.Errorf("control: socket %q: %w, but does not answer", path, ErrInUse)
	case errors.Is(err, fs.ErrNotExist):
		return false, nil // its owner removed it between our two looks
	}
	return false, fmt.Errorf("control: probe socket %q: %w", path, err)
}

// lockDir takes an exclusive advisory lock on the directory of path. It waits
// no longer than two seconds, because in a shared directory anybody may hold
// such a lock.
func lockDir(ctx context.Context, path string) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("control: socket %q: %w", path, err)
	}
	retry := time.NewTicker(10 * time.Millisecond)
	defer retry.Stop()
	for {
		err = flock(dir)
		if err == nil {
			return func() { _ = dir.Close() }, nil // closing releases the lock
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			break
		}
		select {
		case <-retry.C:
			continue
		case <-ctx.Done():
		}
		break
	}
	_ = dir.Close()
	return nil, fmt.Errorf("control: lock the directory of socket %q: %w", path, err)
}

// remove closes the listener and removes the socket file if it is still ours.
func (s *socket) remove() {
	if now, err := os.Lstat(s.path); err == nil && os.SameFile(s.file, now) {
		_ = os.Remove(s.path)
	}
	_ = s.Close()
}
