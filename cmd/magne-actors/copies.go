package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/magne-actors/magne-actors/actors"
	"github.com/magne-actors/magne-actors/config"
	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/internal/copies"
	"github.com/magne-actors/magne-actors/internal/health"
	"github.com/magne-actors/magne-actors/internal/metrics"
	"github.com/magne-actors/magne-actors/internal/sdnotify"
	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/supervisor/process"
)

// copyGrace is how much longer than `shutdown` a copy may take to stop.
const copyGrace = 5 * time.Second

// several is an instance of several processes: this one, and the copies that it
// starts of itself, each of which is an instance of its own.
type several struct {
	*instance
	group     *copies.Group
	options   copies.Options
	collector *metrics.Collector
	notify    *sdnotify.Notifier
}

// runSeveral runs as many copies as the configuration says until they have stopped.
func (e *env) runSeveral(ctx context.Context, in *instance, burst bool, socket string, tcp control.TCP) error {
	if in.file == "-" {
		return usageError(fmt.Errorf("processes: %d, and the configuration comes from stdin", in.config.Processes), "each copy reads it: -c names a file")
	}
	host, err := process.NewHost(process.HostOptions{Logger: in.log, ReapStrays: true})
	if err != nil {
		return failed(exitError, err, "processes: 1 runs everything in one process")
	}
	defer host.Close()
	dir, err := copies.MakeDir(os.Getenv("XDG_RUNTIME_DIR"), os.TempDir(), "/tmp")
	if err != nil {
		return failed(exitError, fmt.Errorf("directory for the sockets of the copies: %w", err), "TMPDIR names a directory that may be written to")
	}
	defer func() { _ = dir.Close() }() // the next start removes it otherwise
	s := &several{instance: in, options: copies.Options{
		N: in.config.Processes, Environ: os.Environ(), Dir: dir.Path, Host: host, Burst: burst,
		Grace: in.config.Shutdown + copyGrace,
		Root:  *in.instanceRoot(), Copies: *in.instanceRoot(), Logger: in.log,
	}}
	if s.options.Command, err = copyCommand(ctx, in.file, burst, in.log); err != nil {
		return err
	}
	closeBroker, err := s.broker(ctx)
	if err != nil {
		return err
	}
	s.api = newKeeper(ctx)
	err = s.serve(ctx, socket, tcp)
	if err == nil {
		err = e.untilSignalled(ctx, s.signalled())
	}
	if closing := closeBroker(); err == nil && closing != nil {
		err = fmt.Errorf("close the embedded broker: %w", closing)
	}
	return s.stopped(err)
}

// instanceRoot is supervision.root, which the copies are restarted by, too.
func (in *instance) instanceRoot() *supervisor.Spec { return in.options.Root }

// copyCommand is this program again.
func copyCommand(ctx context.Context, file string, burst bool, log *slog.Logger) ([]string, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program, to start copies of it: %w", err)
	}
	command := []string{program, "run", "-c", file, "-o", "json", "--log-level", leastLevel(ctx, log)}
	if burst {
		command = append(command, "--burst")
	}
	return command, nil
}

// leastLevel is the --log-level of a logger.
func leastLevel(ctx context.Context, log *slog.Logger) string {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn} {
		if log.Enabled(ctx, level) {
			return level.String()
		}
	}
	return slog.LevelError.String()
}

// broker opens the embedded broker, if it is to be, as a child that the copies
// need. They connect to its listener.
func (s *several) broker(ctx context.Context) (closeBroker func() error, err error) {
	if !s.config.Broker.IsEmbedded() {
		return func() error { return nil }, nil
	}
	own, err := openBroker(ctx, s.config, s.log)
	if err != nil {
		return nil, err
	}
	s.source.Broker = func() any { return own.Status() }
	s.options.Before = append(s.options.Before, s.child(embeddedID, "broker", own.serve))
	return own.close, nil
}

func (s *several) child(id, kind string, run func(context.Context) error) supervisor.Child {
	return supervisor.Child{ID: id, Kind: kind, Producer: supervisor.Service(s.log, run)}
}

// serve makes the Group, and what shows it to others.
func (s *several) serve(ctx context.Context, socket string, tcp control.TCP) (err error) {
	after := func(id string, run func(context.Context) error) {
		s.options.After = append(s.options.After, s.child(id, "control", run))
	}
	s.source.Events = new(control.Events)
	s.options.Events = s.source.Events
	s.collector = metrics.New(metrics.Source{Version: version(), Tree: func() *supervisor.Node { return s.group.Own() }})
	s.options.Observe = func(e supervisor.Event) {
		s.source.Events.Add(e)
		s.collector.Observe(e)
	}
	pages := func(ctx context.Context) map[int][]byte { return s.group.Metrics(ctx) }
	figures := metrics.MergedHandler(s.collector, pages, s.log) //nolint:contextcheck // a scrape has a context of its own
	s.source.Metrics = figures
	s.notify = sdnotify.New(sdnotify.Options{
		Up: func() bool { return s.group.Up() }, Alive: s.alive, Logger: s.log,
		Status: func() string { return copies.Summary(s.group.Tree()) }, //nolint:contextcheck // Tree bounds itself
	})
	after(controlID, s.api.keep(func(ctx context.Context) error { return control.Serve(ctx, socket, s.source, s.log) }))
	if tcp.Address != "" {
		after(tcpID, s.api.keep(func(ctx context.Context) error { return control.ServeTCP(ctx, tcp, s.source, s.log) }))
	}
	if address := s.config.Metrics.Listen; address != "" {
		m, err := metrics.Listen(ctx, address, metrics.Routes{Metrics: figures, Live: livez(s.alive), Ready: http.HandlerFunc(s.readyz)}, s.log)
		if err != nil {
			return failed(exitError, err, "metrics.listen must be a free address of this machine")
		}
		after(metricsID, m.Run)
	}
	if s.notify.Enabled() {
		after(notifyID, s.notify.Run)
	}
	if s.group, err = copies.New(s.options); err != nil {
		return err
	}
	s.reloads = s.reloader()
	s.offer()
	return nil
}

// alive returns nil when the root has handled a message, and nothing above the
// copies hangs in one.
func (s *several) alive(ctx context.Context) error {
	if err := s.group.Ping(ctx); err != nil {
		return err
	}
	return health.Stuck(s.group.Own(), time.Now(), stuckAfter)
}

func (s *several) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), liveTimeout)
	defer cancel()
	s.group.Report(ctx).ServeHTTP(w, r)
}

// offer fills the source with what the copies can do.
func (s *several) offer() {
	src, g := &s.source, s.group
	src.Tree, src.Inspect, src.Tasks = g.Tree, g.Inspect, g.Tasks
	src.Report = func(ctx context.Context) (any, error) {
		r := g.Report(ctx)
		return r, r.Err()
	}
	src.Restart = func(ctx context.Context, id string) error {
		if isControl(id) {
			return errOwnEnd
		}
		return g.Restart(ctx, id)
	}
	src.Scale, src.Limit, src.Pause, src.Resume, src.Cancel = g.Scale, g.Limit, g.Pause, g.Resume, g.Cancel
	src.Signal, src.Recycle, src.Kill = g.Signal, g.Recycle, g.Kill
	src.Reload, src.Diff = s.reloads.reload, s.diff
}

// reloader reads the configuration first, so that a wrong one reaches no copy.
func (s *several) reloader() *reloader {
	r := &reloader{
		log: s.log, begin: s.notify.Reloading, asked: make(chan chan<- outcome, 1), first: s.config,
		read: func() (*config.File, error) { return readAgain(s.file) },
	}
	r.do = func(ctx context.Context) (o outcome) {
		next, _, err := r.next(r.read())
		if err != nil {
			return outcome{err: err}
		}
		for _, w := range next.Warnings() {
			r.log.Warn("configuration", "warning", w.Error())
		}
		o.changes = byHand(s.config, next)
		for _, c := range o.changes {
			r.log.Warn("a reload cannot change this", "change", c.Text)
		}
		list, err := s.group.Reload(ctx)
		o.changes, o.err = append(o.changes, list...), err
		return o
	}
	return r
}

// diff says what a reload of a text would change.
func (s *several) diff(ctx context.Context, yaml []byte) ([]control.Change, error) {
	next, _, err := s.reloads.next(config.Parse(bytes.NewReader(yaml), name("-"), os.Environ()))
	if err != nil {
		return nil, err
	}
	list, err := s.group.Diff(ctx, yaml)
	return append(byHand(s.config, next), list...), err
}

// byHand is what only a restart of the program changes.
func byHand(old, next *config.File) []control.Change {
	var all []control.Change
	for _, c := range config.Diff(old, next) {
		if c.Pool == "" {
			all = append(all, shownChange(c))
		}
	}
	return all
}

// signalled is what signals do.
func (s *several) signalled() signalled {
	return signalled{
		run: s.api.around(s.group.Run), tree: s.group.Tree, reloads: s.reloads, stopping: s.notify.Stopping, log: s.log,
		abort: func(sig os.Signal) {
			cold := syscall.SIGINT // to a copy that is stopping
			if sig == syscall.SIGQUIT {
				cold = syscall.SIGQUIT // it has a dump of its own
			}
			s.api.stop()
			s.group.Abort(cold)
		},
	}
}

// stopped gives the end of the copies its exit status.
func (s *several) stopped(err error) error {
	if exit, ok := errors.AsType[*copies.ExitError](err); ok {
		return failed(exit.Code, exit, "%s", exit.Hint)
	}
	if errors.Is(err, copies.ErrAborted) {
		err = actors.ErrAborted
	}
	if err == nil {
		s.log.Info("stopped")
	}
	return stopped(err)
}
