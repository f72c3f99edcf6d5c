package sdnotify_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magne-actors/magne-actors/internal/sdnotify"
)

// world is what a notifier is told, and what it has told.
type world struct {
	*sdnotify.Notifier
	t          *testing.T
	up, hanged atomic.Bool
	status     atomic.Value
	asked      atomic.Int64 // for a sign of life
	log        bytes.Buffer // read after the end

	mu   sync.Mutex
	sent []string
}

// watched runs a notifier in a bubble.
func watched(t *testing.T, watchdog time.Duration, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t}
		w.status.Store("starting")
		w.Notifier = sdnotify.New(sdnotify.Options{
			Up: w.up.Load, Status: func() string { return w.status.Load().(string) }, Watchdog: watchdog,
			Logger: slog.New(slog.NewTextHandler(&w.log, nil)),
			Send: func(state string) (bool, error) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.sent = append(w.sent, strings.Split(state, "\n")...)
				return true, nil
			},
			Alive: func(ctx context.Context) error {
				w.asked.Add(1)
				if w.hanged.Load() {
					<-ctx.Done()
					return context.Cause(ctx)
				}
				return nil
			},
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.Run(ctx) }()
		test(w)
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: got %v, want nil", err)
		}
	})
}

// take returns what was sent in the time, and forgets it.
func (w *world) take(d time.Duration) []string {
	pass(d)
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	sent := w.sent
	w.sent = nil
	return sent
}

func (w *world) want(d time.Duration, want ...string) {
	w.t.Helper()
	if got := w.take(d); !slices.Equal(got, want) {
		w.t.Errorf("in %v: got %q, want %q", d, got, want)
	}
}

func TestReadyIsSaidOnceAndWhenItIsTrue(t *testing.T) {
	watched(t, -1, func(w *world) {
		w.want(10*time.Second, "STATUS=starting")
		w.up.Store(true)
		w.want(10*time.Second, "READY=1")
		w.status.Store("7/8 ready,\n3 in flight")
		w.want(10*time.Second, "STATUS=7/8 ready, 3 in flight")
		if w.asked.Load() != 0 {
			t.Error("asked for a sign of life that nobody wants")
		}
	})
}

func TestAReloadIsBetweenReloadingAndReady(t *testing.T) {
	watched(t, -1, func(w *world) {
		w.up.Store(true)
		w.take(time.Second)
		done := w.Reloading()
		got := w.take(time.Second)
		if len(got) != 2 || got[0] != "RELOADING=1" || !regexp.MustCompile(`^MONOTONIC_USEC=[1-9][0-9]*$`).MatchString(got[1]) {
			t.Errorf("got %q, want RELOADING=1 and the time", got)
		}
		done()
		w.want(time.Second, "READY=1")
	})
}

func TestAReloadDoesNotMakeAStartComplete(t *testing.T) {
	watched(t, -1, func(w *world) {
		w.Reloading()()
		if got := w.take(5 * time.Second); slices.Contains(got, "READY=1") {
			t.Errorf("got %q before it was up", got)
		}
		w.up.Store(true)
		w.want(time.Second, "READY=1")
	})
}

func TestTheWatchdogNeedsASignOfLife(t *testing.T) {
	const watchdog = 30 * time.Second
	watched(t, watchdog, func(w *world) {
		w.up.Store(true)
		if got := w.take(101 * time.Second); count(got, "WATCHDOG=1") != 11 {
			t.Errorf("%d watchdogs in 101 s, want the first at once and one each 10 s: %q", count(got, "WATCHDOG=1"), got)
		}
		w.hanged.Store(true)
		if got := w.take(time.Hour); count(got, "WATCHDOG=1") > 0 {
			t.Errorf("a hanging runtime was said to be alive: %q", got)
		}
		if got := strings.Count(w.log.String(), "does not make progress"); got != 1 {
			t.Errorf("said %d times in the log, want once: %s", got, w.log.String())
		}
		w.hanged.Store(false)
		if got := w.take(20 * time.Second); count(got, "WATCHDOG=1") == 0 {
			t.Error("it came back, and nobody was told")
		}
	})
}

func TestAStopThatMakesProgressMayTakeLonger(t *testing.T) {
	watched(t, -1, func(w *world) {
		w.up.Store(true)
		w.take(time.Second)
		w.Stopping()
		got := w.take(10*time.Second + time.Millisecond)
		if got[0] != "STOPPING=1" || count(got, "EXTEND_TIMEOUT_USEC=15000000") != 10 {
			t.Errorf("got %q", got)
		}
		w.hanged.Store(true)
		if got := w.take(time.Minute); len(got) > 0 {
			t.Errorf("a stop that hangs: got %q, want nothing", got)
		}
	})
}

func TestNothingIsReadyAfterStopping(t *testing.T) {
	watched(t, -1, func(w *world) {
		w.take(time.Second)
		done := w.Reloading()
		w.Stopping()
		done()
		w.up.Store(true)
		if got := w.take(5 * time.Second); count(got, "READY=1") > 0 {
			t.Errorf("got %q", got)
		}
	})
}

func count(list []string, line string) (n int) {
	for _, s := range list {
		if s == line {
			n++
		}
	}
	return n
}

// With a socket as systemd's.
func TestSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "600000000")
	t.Setenv("WATCHDOG_PID", "")
	n := sdnotify.New(sdnotify.Options{
		Up: func() bool { return true }, Alive: func(context.Context) error { return nil }, Status: func() string { return "1/1 ready" },
	})
	if !n.Enabled() || n.Watchdog() != 10*time.Minute {
		t.Errorf("enabled %v, watchdog %v, want that of the environment", n.Enabled(), n.Watchdog())
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	expect := func(want string) {
		t.Helper()
		if err := socket.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 4096)
		size, err := socket.Read(b)
		if err != nil || string(b[:size]) != want {
			t.Fatalf("got %q, %v, want %q", b[:size], err, want)
		}
	}
	expect("READY=1\nSTATUS=1/1 ready\nWATCHDOG=1")
	n.Stopping()
	expect("STOPPING=1")
	expect("EXTEND_TIMEOUT_USEC=15000000")
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run: got %v", err)
	}
}

func TestASystemdThatIsGoneIsNoFailure(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		n := sdnotify.New(sdnotify.Options{
			Up: func() bool { return true }, Alive: func(context.Context) error { return errors.New("not asked") },
			Logger: slog.New(slog.NewTextHandler(&log, nil)), Watchdog: -1,
			Status: func() string { return time.Now().String() }, // says something each second
		})
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if err := n.Run(ctx); err != nil {
			t.Errorf("Run: got %v", err)
		}
		if got := strings.Count(log.String(), "cannot tell systemd"); got != 1 {
			t.Errorf("said %d times, want once: %s", got, log.String())
		}
	})
}

func TestWithoutSystemdNothingHappens(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	n := sdnotify.New(sdnotify.Options{Up: func() bool { t.Error("asked"); return false }})
	if n.Enabled() || n.Watchdog() != 0 {
		t.Errorf("enabled %v, watchdog %v", n.Enabled(), n.Watchdog())
	}
	for range 100 {
		n.Reloading()()
		n.Stopping()
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := n.Run(ctx); err != nil {
		t.Errorf("Run: got %v", err)
	}
}

// pass lets time pass in a bubble.
func pass(d time.Duration) { <-time.After(d) }
