//go:build !linux

package sdnotify

// monotonic is not known where there is no systemd.
func monotonic() (usec int64, ok bool) { return 0, false }
