package sdnotify

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

const (
	tick  = time.Second
	eager = 100 * time.Millisecond // until it is ready
	// extension is how much longer a stop may take, told anew each tick.
	extension = 15 * time.Second
	// extendAlive is how long Alive may take in a stop, without a watchdog.
	extendAlive = 5 * time.Second
)

// Options configure a Notifier. Up and Alive are needed.
type Options struct {
	Up     func() bool                     // whether the start is complete; asked until it is
	Alive  func(ctx context.Context) error // returns nil when the runtime has made progress; blocks until ctx ends otherwise
	Status func() string                   // one line for `systemctl status`; nil: none
	Logger *slog.Logger                    // nil: silent

	// Send sends one message of lines like "READY=1"; by default to the socket in
	// NOTIFY_SOCKET. It reports whether there is one.
	Send func(state string) (bool, error)
	// Watchdog is how long systemd waits for WATCHDOG=1; by default what
	// WATCHDOG_USEC says. Negative: no watchdog.
	Watchdog time.Duration
}

// Notifier tells systemd about one service. Make it with New.
type Notifier struct {
	o       Options
	enabled bool
	orders  chan order // Reloading and Stopping send, Run receives; never closed
	told    told       // Run's
}

// told is what systemd knows.
type told struct {
	ready, stopping bool
	status          string
	watchdog        time.Time // the last one
	silent          bool      // the one after that was left out
	deaf            bool      // the last message could not be sent
}

// order is what somebody else wants to be told.
type order struct {
	state    string
	stopping bool
}

// New reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID from the environment,
// where Options do not say otherwise. Nothing is sent before Run.
func New(o Options) *Notifier {
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	n := &Notifier{o: o, orders: make(chan order, 16)}
	n.enabled = o.Send != nil || os.Getenv("NOTIFY_SOCKET") != ""
	if o.Send == nil {
		n.o.Send = func(state string) (bool, error) { return daemon.SdNotify(false, state) }
	}
	if o.Watchdog == 0 {
		var err error
		if n.o.Watchdog, err = daemon.SdWatchdogEnabled(false); err != nil {
			o.Logger.Warn("no watchdog: systemd's WATCHDOG_USEC cannot be understood", "err", err)
		}
	}
	return n
}

// Enabled reports whether somebody wants to be told.
func (n *Notifier) Enabled() bool { return n.enabled }

// Watchdog is how often systemd wants to hear that the service is alive; 0: never.
func (n *Notifier) Watchdog() time.Duration { return max(n.o.Watchdog, 0) }

// Reloading says that the configuration is being read again; call done when that
// is over, whatever came of it. It does not block.
func (n *Notifier) Reloading() (done func()) {
	n.order(order{state: reloading()})
	return func() { n.order(order{state: daemon.SdNotifyReady}) }
}

// Stopping says that the service has begun to stop. It does not block.
func (n *Notifier) Stopping() { n.order(order{state: daemon.SdNotifyStopping, stopping: true}) }

func (n *Notifier) order(o order) {
	if !n.enabled {
		return
	}
	select {
	case n.orders <- o:
	default: // Run is not there to take it: then nobody waits for it either
	}
}

// reloading is the message for a reload that begins now. With MONOTONIC_USEC
// systemd tells it from the one before.
func reloading() string {
	state := daemon.SdNotifyReloading
	if usec, ok := monotonic(); ok {
		state += "\nMONOTONIC_USEC=" + strconv.FormatInt(usec, 10)
	}
	return state
}

// Run tells systemd until ctx ends, and returns nil. It is for one goroutine at a
// time; started again, it goes on.
func (n *Notifier) Run(ctx context.Context) error {
	if !n.enabled {
		<-ctx.Done()
		return nil
	}
	ticks := time.NewTicker(eager)
	defer ticks.Stop()
	for calm := false; ; {
		if !calm && (n.told.ready || n.told.stopping) {
			calm = true
			ticks.Reset(tick)
		}
		select {
		case <-ctx.Done():
			return nil
		case o := <-n.orders:
			n.obey(o)
		case <-ticks.C:
			n.tick(ctx)
		}
	}
}

func (n *Notifier) obey(o order) {
	switch {
	case o.stopping:
		n.told.stopping = true
		n.send(o.state)
	case n.told.stopping: // the end of a reload is no news any more
	case o.state == daemon.SdNotifyReady && !n.told.ready: // it was not, before the reload: tick will say when
	default:
		n.send(o.state)
	}
}

// tick says what has changed.
func (n *Notifier) tick(ctx context.Context) {
	var lines []string
	if !n.told.ready && !n.told.stopping && n.o.Up() {
		n.told.ready = true
		lines = append(lines, daemon.SdNotifyReady)
	}
	if n.o.Status != nil {
		// A line end would begin another assignment.
		if status := strings.ReplaceAll(n.o.Status(), "\n", " "); status != n.told.status {
			n.told.status = status
			lines = append(lines, "STATUS="+status)
		}
	}
	lines = append(lines, n.signs(ctx)...)
	if len(lines) > 0 {
		n.send(strings.Join(lines, "\n"))
	}
}

// signs are the messages that need a sign of life.
func (n *Notifier) signs(ctx context.Context) []string {
	watched := n.o.Watchdog > 0
	due := watched && time.Since(n.told.watchdog) >= n.o.Watchdog/3
	if !due && !n.told.stopping {
		return nil
	}
	limit := extendAlive
	if watched {
		limit = min(limit, n.o.Watchdog/3)
	}
	if err := n.alive(ctx, limit); err != nil {
		if ctx.Err() == nil && !n.told.silent {
			n.o.Logger.Error("no sign of life for systemd: the runtime does not make progress", "err", err, "watchdog", n.Watchdog())
		}
		n.told.silent = true
		return nil
	}
	n.told.silent = false
	var lines []string
	if due {
		n.told.watchdog = time.Now()
		lines = append(lines, daemon.SdNotifyWatchdog)
	}
	if n.told.stopping {
		lines = append(lines, fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", extension.Microseconds()))
	}
	return lines
}

func (n *Notifier) alive(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer in %v", limit))
	defer cancel()
	return n.o.Alive(ctx)
}

// send logs the first failure of a row: systemd will act on silence by itself.
func (n *Notifier) send(state string) {
	_, err := n.o.Send(state)
	if err != nil && !n.told.deaf {
		n.o.Logger.Warn("cannot tell systemd", "state", state, "err", err)
	}
	n.told.deaf = err != nil
}
