package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/magne-actors/magne-actors/actors"
	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/config"
	"github.com/magne-actors/magne-actors/internal/ballast"
	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/internal/copies"
	"github.com/magne-actors/magne-actors/supervisor"
)

func newRunCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Consume tasks and run them",
		Long: "run consumes the queues of a configuration and runs their tasks until it is told to stop.\n" +
			"With `processes` above 1 it runs so many copies of itself, and shows them as one instance.\n" +
			"The log goes to stderr: text on a terminal, JSON lines otherwise, or as -o says.\n\n" +
			"Signals: TERM or INT stops warm (no new deliveries, running tasks may finish for `shutdown`,\n" +
			"the rest returns to its queue, exit 0); a second one stops cold (everything is cancelled and\n" +
			"handed back, exit 1 within 2 s); QUIT stops cold at once with a dump of the tree and the goroutines;\n" +
			"HUP reads the configuration again, as `magne-actors reload` does.\n\n" +
			"Without broker.url the broker is embedded in this process: it keeps its queues in broker.embedded.dir,\n" +
			"listens at broker.embedded.listen for other programs, and ends last. With broker.url, a broker that is\n" +
			"not there yet is waited for; one that refuses the credentials ends run.",
		Example: "  magne-actors run -c magne.yaml\n  MAGNE_BROKER_URL=amqp://mq:5672/ magne-actors run -o json",
		Args:    noFile,
	}
	file := addConfigFlag(cmd)
	level := addLogLevel(cmd)
	burst := cmd.Flags().Bool("burst", false, "end with exit status 0 when the queues are empty and nothing is running")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		log, err := e.logger(cmd, *level)
		if err != nil {
			return err
		}
		return e.runSystem(cmd.Context(), *file, *burst, log)
	}
	return cmd
}

// addLogLevel adds the flag of the commands that log.
func addLogLevel(cmd *cobra.Command) *string {
	level := cmd.Flags().String("log-level", "info", "least level that is logged: debug|info|warn|error")
	complete(cmd, "log-level", []string{"debug", "info", "warn", "error"})
	return level
}

// logger writes to stderr: text on a terminal, JSON lines otherwise, or as -o says.
func (e *env) logger(cmd *cobra.Command, word string) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(word)); err != nil {
		return nil, usageError(err, "--log-level takes debug, info, warn or error")
	}
	asJSON := e.json() || !cmd.Flags().Changed("output") && !isTerminal(e.stderr)
	return newLogger(e.stderr, asJSON, level), nil
}

// isTerminal reports whether a reader or writer is one.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func newLogger(w io.Writer, asJSON bool, level slog.Level) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if asJSON {
		// Durations as "1m30s": nanoseconds without a unit help nobody.
		o.ReplaceAttr = func(_ []string, a slog.Attr) slog.Attr {
			if a.Value.Kind() == slog.KindDuration {
				a.Value = slog.StringValue(a.Value.Duration().String())
			}
			return a
		}
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

func (e *env) runSystem(ctx context.Context, file string, burst bool, log *slog.Logger) error {
	defer ballast.Program()()
	logs := control.NewLogs(log.Handler())
	log = slog.New(logs.Handler())
	f, err := e.load(file)
	if err != nil {
		return err
	}
	if !isCopy() { // who has started it has said so
		e.warn(f)
	}
	o, err := f.Options(log, nil)
	if err != nil {
		return err
	}
	socket, tcp := socketOf(f), tcpOf(f)
	if err := checkControl(ctx, socket, tcp); err != nil {
		return err
	}
	log.Info("starting", "version", version(), "pid", os.Getpid(), "config", file, "broker", f.Broker.Address(), "control", socket)
	source := control.Source{Version: version(), Logs: logs}
	if f.Processes > 1 {
		in := &instance{file: file, config: f, options: o, source: source, log: log}
		return e.runSeveral(ctx, in, burst, socket, tcp)
	}
	closeBroker := func() error { return nil }
	if f.Broker.IsEmbedded() && !isCopy() {
		own, err := openBroker(ctx, f, log)
		if err != nil {
			return err
		}
		closeBroker = own.close
		source.Broker = func() any { return own.Status() }
		o.Services = append(o.Services, own.service())
		if o.Dialer, err = inProcess(f, own, log); err != nil {
			return errors.Join(err, own.close())
		}
	}
	if burst {
		untilEmpty(f, &o)
	}
	closeSpool, err := spoolFor(f, &o, log)
	if err != nil {
		return errors.Join(err, closeBroker())
	}
	defer closeSpool()
	w, err := newWatch(ctx, f, &o, log)
	if err != nil {
		return errors.Join(err, closeBroker())
	}
	err = e.runActors(ctx, &instance{file: file, config: f, options: o, source: source, watch: w, log: log}, socket, tcp)
	// Last of all: what was settled while the actors stopped is flushed here.
	if closing := closeBroker(); err == nil && closing != nil {
		err = fmt.Errorf("close the embedded broker: %w", closing)
	}
	if err == nil {
		log.Info("stopped")
	}
	return stopped(err)
}

// checkControl finds out before anything is started whether the control API can be
// served.
func checkControl(ctx context.Context, socket string, tcp control.TCP) error {
	if err := control.Check(socket); err != nil {
		return failed(exitError, err, "stop the other instance, or set control.socket to another path")
	}
	if tcp.Address == "" {
		return nil
	}
	if err := control.CheckTCP(ctx, tcp); err != nil {
		return failed(exitError, err, "control.listen must be a free address of this machine, and control.tls a certificate with its key")
	}
	return nil
}

// inProcess reaches the broker of this process without a socket.
func inProcess(f *config.File, own *ownBroker, log *slog.Logger) (broker.Dialer, error) {
	d, err := f.AMQP(log)
	d.NetDial, d.TLS = own.dialNet, nil
	d.URL = "amqp://guest:guest@" + f.Broker.Embedded.Listen + "/"
	return d, err
}

// stopped gives the end of a System its exit status.
func stopped(err error) error {
	if _, ok := errors.AsType[*supervisor.ExhaustedError](err); ok {
		return failed(exitGaveUp, err, "the log above says what kept failing; deliveries in flight return to their queues")
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, actors.ErrAborted):
		return failed(exitError, err, "what was running returns to its queue")
	case errors.Is(err, broker.ErrDenied):
		return failed(exitUnreachable, err, "check user, password and virtual host of broker.url")
	}
	return err
}

// signalled is what runs, as signals see it.
type signalled struct {
	run      func(ctx context.Context) error // blocks; the end of ctx is a warm stop
	abort    func(sig os.Signal)             // a cold one
	tree     func() *supervisor.Node
	reloads  *reloader
	stopping func() // told when the stop begins
	log      *slog.Logger
}

func (in *instance) signalled() signalled {
	return signalled{
		run: in.api.around(in.system.Run), tree: in.system.Tree,
		abort: func(os.Signal) {
			in.api.stop() // or a request that takes long would add its second to those of the stop
			in.system.Abort()
		},
		reloads: in.reloads, stopping: in.watch.notify.Stopping, log: in.log,
	}
}

// untilSignalled runs s, and stops it as the signals say.
func (e *env) untilSignalled(ctx context.Context, s signalled) error {
	life, over := context.WithCancel(context.WithoutCancel(ctx))
	defer over()
	s.reloads.start(life)
	ctx, warm := context.WithCancel(ctx)
	defer warm()
	defer context.AfterFunc(ctx, s.stopping)()
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP)
	ended := make(chan struct{})
	// What is said about a signal is said elsewhere: stderr may be a pipe that
	// nobody reads, and the next signal must be answered all the same.
	said := make(chan func(), cap(signals))
	spoken := make(chan struct{})
	go func() {
		defer close(spoken)
		for say := range said {
			say()
		}
	}()
	go func() {
		defer close(said)
		for {
			select {
			case sig := <-signals:
				say := e.onSignal(ctx, sig, s, warm)
				select {
				case said <- say:
				default: // it stopped listening long ago
				}
			case <-ended:
				return
			}
		}
	}()
	err := s.run(ctx)
	signal.Stop(signals)
	close(ended)
	select {
	case <-spoken:
	case <-time.After(dumpTimeout):
	}
	return err
}

// dumpTimeout is how long the end of run waits for its last words.
const dumpTimeout = time.Second

// onSignal does what the signal asks for, and returns how to say so.
func (e *env) onSignal(ctx context.Context, sig os.Signal, s signalled, warm func()) func() {
	log := s.log
	switch {
	case sig == syscall.SIGHUP:
		s.reloads.signal()
		return func() { log.Info("reloading", "signal", sig.String()) }
	case sig == syscall.SIGQUIT:
		tree, stacks := s.tree(), new(bytes.Buffer)
		_ = pprof.Lookup("goroutine").WriteTo(stacks, 2) // into memory
		s.abort(sig)
		return func() {
			log.Warn("stopping cold with a dump", "signal", sig.String())
			e.dump(tree, stacks)
		}
	case ctx.Err() != nil && sig == syscall.SIGTERM && isCopy():
		return func() {} // whoever ends a whole group of processes sends it a second one
	case ctx.Err() != nil:
		s.abort(sig)
		return func() { log.Warn("stopping cold", "signal", sig.String()) }
	default:
		warm()
		return func() { log.Info("stopping warm, the same signal again stops cold", "signal", sig.String()) }
	}
}

// dump writes the tree and the stacks of all goroutines to stderr. If that fails
// there is nobody to tell.
func (e *env) dump(tree *supervisor.Node, stacks *bytes.Buffer) {
	enc := json.NewEncoder(e.stderr)
	enc.SetIndent("", "  ")
	_ = enc.Encode(tree)
	_, _ = stacks.WriteTo(e.stderr)
}

// isCopy reports whether this process is one of the copies of an instance of several
// processes, which has its own broker, listens for all of them, and watches it.
func isCopy() bool { return copies.Number() > 0 }

// socketOf is where an instance with this configuration listens.
func socketOf(f *config.File) string {
	if f.Control.Socket != "" {
		return f.Control.Socket
	}
	return control.DefaultSocket(os.Getenv)
}
