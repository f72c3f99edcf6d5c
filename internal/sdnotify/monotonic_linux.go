package sdnotify

import "golang.org/x/sys/unix"

// monotonic is systemd's clock in microseconds.
func monotonic() (usec int64, ok bool) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0, false
	}
	return ts.Nano() / 1000, true
}
