package store

import (
	"path/filepath"
	"syscall"
	"testing"
)

// TestFullFileSystem fills a real file system.
func TestFullFileSystem(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("cannot mount a file system of 1 MiB: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	fullDisk(t, Options{Dir: filepath.Join(dir, "store"), SegmentBytes: 64 << 10, ReserveBytes: 128 << 10})
}
