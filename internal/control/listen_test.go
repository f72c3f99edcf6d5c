package control

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func mustListen(t *testing.T, path string) *socket {
	t.Helper()
	s, err := listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.remove)
	return s
}

func TestSocketMode(t *testing.T) {
	// No parallel tests in this package: the umask belongs to the process.
	defer syscall.Umask(syscall.Umask(0))
	path := filepath.Join(t.TempDir(), "sub", "s")
	mustListen(t, path)
	for name, want := range map[string]fs.FileMode{path: fs.ModeSocket | 0o600, filepath.Dir(path): fs.ModeDir | 0o700} {
		info, err := os.Lstat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("mode of %s: got %v, want %v", name, info.Mode(), want)
		}
	}
}

// TestSocketModeAtBirth holds the claim that nobody has a gap between bind and
// chmod: a socket that went through closeToOthers alone is not open either.
func TestSocketModeAtBirth(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	path := filepath.Join(t.TempDir(), "s")
	l, err := (&net.ListenConfig{Control: closeToOthers}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("mode after bind: got %v, want %v", got, fs.FileMode(0o600))
	}
}

// abandonSocket leaves what a process leaves that was killed: a socket file on
// which nobody listens.
func abandonSocket(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	abandonSocket(t, path)
	if err := Check(path); err != nil {
		t.Fatalf("Check on a stale socket: %v", err)
	}
	mustListen(t, path)
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("the new socket does not answer: %v", err)
	}
	_ = conn.Close()
}

func TestLiveSocketIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	mustListen(t, path)
	_, err := listen(t.Context(), path)
	for _, err := range []error{err, Check(path)} {
		if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), path) {
			t.Errorf("got %v, want ErrInUse with the path", err)
		}
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("the first socket was harmed: %v", err)
	}
	_ = conn.Close()
}

// TestOneOfMany: of several instances that start together over a stale socket
// exactly one gets the path, and it can be reached there.
func TestOneOfMany(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	abandonSocket(t, path)
	var wg sync.WaitGroup
	won := make(chan *socket, 8)
	for range cap(won) {
		wg.Go(func() {
			s, err := listen(t.Context(), path)
			if err == nil {
				won <- s
			} else if !errors.Is(err, ErrInUse) {
				t.Errorf("loser: got %v, want ErrInUse", err)
			}
		})
	}
	wg.Wait()
	close(won)
	var winners []*socket
	for s := range won {
		winners = append(winners, s)
		t.Cleanup(s.remove)
	}
	if len(winners) != 1 {
		t.Fatalf("%d instances got the socket, want 1", len(winners))
	}
	if err := Check(path); !errors.Is(err, ErrInUse) {
		t.Errorf("the winner cannot be reached: %v", err)
	}
}

func TestRemoveLeavesForeignSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s := mustListen(t, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	other := mustListen(t, path)
	s.remove()
	if err := Check(path); !errors.Is(err, ErrInUse) {
		t.Errorf("the other instance's socket is gone: %v", err)
	}
	other.remove()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("own socket is still there: %v", err)
	}
}

func TestRefusedPaths(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, path, want string }{
		{"empty", "", "no socket path"},
		{"abstract", "@magne", "abstract"},
		{"zero byte", "a\x00b", "zero byte"},
		{"too long", filepath.Join(dir, strings.Repeat("x", maxPath)), "may have 107"},
		{"a regular file", file, "not a socket"},
		{"below a file", filepath.Join(file, "s"), "not a directory"},
		{"directory missing two levels up", filepath.Join(dir, "a", "b", "s"), "make the directory"},
		{"directory open to all", filepath.Join(open, "s"), "every user may replace"},
	} {
		s, err := listen(t.Context(), tt.path)
		if err == nil {
			s.remove()
			t.Errorf("%s: accepted", tt.name)
		} else if !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %q, want it to contain %q", tt.name, err, tt.want)
		}
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "precious" {
		t.Errorf("the file that was in the way: %q, %v", data, err)
	}
}

func TestLongestPath(t *testing.T) {
	dir, err := os.MkdirTemp("", "m") //nolint:usetesting // t.TempDir's names leave little room
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, strings.Repeat("x", maxPath-len(dir)-1))
	mustListen(t, path)
	if err := Check(path); !errors.Is(err, ErrInUse) {
		t.Errorf("socket with a path of %d bytes: %v", len(path), err)
	}
}

func TestDirectoryLockIsNotWaitedForEver(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lockDir(t.Context(), filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := listen(ctx, filepath.Join(dir, "s")); err == nil || !strings.Contains(err.Error(), "lock") {
		t.Errorf("got %v, want an error about the lock", err)
	}
}

func TestDefaultSocket(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct{ xdg, want string }{
		{"", "magne.sock"},
		{"run", "magne.sock"},
		{filepath.Join(dir, "gone"), "magne.sock"},
		{dir, filepath.Join(dir, "magne-actors", "magne.sock")},
	} {
		got := DefaultSocket(func(key string) string {
			if key == "XDG_RUNTIME_DIR" {
				return tt.xdg
			}
			return ""
		})
		if got != tt.want {
			t.Errorf("XDG_RUNTIME_DIR=%q: got %q, want %q", tt.xdg, got, tt.want)
		}
	}
}
