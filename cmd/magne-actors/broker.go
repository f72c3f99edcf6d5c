package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/config"
	"github.com/magne-actors/magne-actors/internal/ballast"
	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/supervisor"
)

func newBrokerCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "broker",
		Short: "Run the embedded broker alone",
		Long: "broker runs the broker that is embedded in run as a program of its own, for several instances on one\n" +
			"machine or for publishers that must not wait for run. It speaks AMQP 0-9-1; `magne-actors run` uses it\n" +
			"with broker.url: amqp://guest:guest@127.0.0.1:5672/. Users, TLS and limits are those of broker.embedded\n" +
			"in the configuration that -c names. It is one process on one machine: beyond that use RabbitMQ.\n\n" +
			"Signals: TERM or INT closes the connections, writes everything to the disk and ends with exit status 0.",
		Example: "  magne-actors broker --listen 127.0.0.1:5672 --dir ./magne-data\n  magne-actors broker -c magne.yaml",
		Args:    noSuchCommand,
	}
	f := addBrokerFlags(cmd)
	level := addLogLevel(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		log, err := e.logger(cmd, *level)
		if err != nil {
			return err
		}
		return e.runBroker(cmd.Context(), f, log)
	}
	cmd.AddCommand(newBrokerStatusCmd(e), newBrokerFsckCmd(e), newBrokerHashCmd(e))
	return cmd
}

// brokerFlags are the flags of broker. Those that are not given are as the
// configuration has them.
type brokerFlags struct {
	file, listen, dir, socket string
	fsync                     time.Duration
	given                     func(flag string) bool
}

func addBrokerFlags(cmd *cobra.Command) *brokerFlags {
	f := &brokerFlags{given: cmd.Flags().Changed}
	fs := cmd.Flags()
	fs.StringVarP(&f.file, "config", "c", "", "configuration `file` whose broker.embedded counts (default: none)")
	fs.StringVar(&f.listen, "listen", "127.0.0.1:5672", "`address` to listen at")
	fs.StringVar(&f.dir, "dir", "./magne-data", "`directory` of its queues and messages")
	fs.DurationVar(&f.fsync, "fsync", 0, "how long a confirmed message may wait for the disk; 0 confirms after that")
	fs.StringVar(&f.socket, "socket", "", "control socket (default: broker.sock in the directory)")
	return f
}

// variables are the flags as the environment variables of their keys: these are
// read and checked already, and win over the file.
func (f *brokerFlags) variables() map[string]string {
	all := map[string]string{"listen": f.listen, "dir": f.dir, "fsync": f.fsync.String()}
	given := map[string]string{}
	for flag, value := range all {
		if f.given(flag) {
			given[flag] = value
		}
	}
	return given
}

const brokerVariables = "MAGNE_BROKER_EMBEDDED_"

// load reads the configuration of the broker; its errors name flags where those
// are what is wrong.
func (f *brokerFlags) load(e *env) (*config.File, error) {
	var environ []string
	for _, kv := range os.Environ() {
		if f.file != "" || strings.HasPrefix(kv, brokerVariables) {
			environ = append(environ, kv)
		}
	}
	for flag, value := range f.variables() {
		if value == "" {
			return nil, usageError(fmt.Errorf("--%s is empty", flag), "leave it out for its default")
		}
		environ = append(environ, brokerVariables+strings.ToUpper(flag)+"="+value)
	}
	file, err := f.parse(e, environ)
	list, ok := errors.AsType[config.Errors](err)
	for _, each := range list {
		if flag := strings.ToLower(strings.TrimPrefix(each.Source, brokerVariables)); ok && each.Line == 0 && f.variables()[flag] != "" {
			each.Source = "--" + flag
		}
	}
	if err != nil {
		return nil, usageError(err, "`magne-actors init -` shows every key")
	}
	return file, nil
}

func (f *brokerFlags) parse(e *env, environ []string) (*config.File, error) {
	switch f.file {
	case "":
		return config.ParseBroker(strings.NewReader("version: 1"), "defaults", environ)
	case "-":
		return config.ParseBroker(e.stdin, name(f.file), environ)
	}
	in, err := os.Open(f.file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	return config.ParseBroker(in, f.file, environ)
}

// runBroker runs the broker until it is told to stop.
func (e *env) runBroker(ctx context.Context, f *brokerFlags, log *slog.Logger) error {
	defer ballast.Program()()
	logs := control.NewLogs(log.Handler())
	log = slog.New(logs.Handler())
	file, err := f.load(e)
	if err != nil {
		return err
	}
	e.warn(file)
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)() // a second signal ends it at once: the log bears that
	own, err := openBroker(ctx, file, log)
	if err != nil {
		return err
	}
	socket := f.socket
	if socket == "" {
		socket = soloSocket(file.Broker.Embedded.Dir)
	}
	log.Info("broker listening", "version", version(), "pid", os.Getpid(), "address", own.address, "dir", own.Status().Dir, "control", socket)
	err = own.serveAlone(ctx, socket, logs)
	if closing := own.close(); err == nil && closing != nil {
		err = fmt.Errorf("close the embedded broker: %w", closing)
	}
	if err == nil {
		log.Info("stopped")
	}
	return err
}

// serveAlone serves AMQP and the control socket until ctx ends or one of them
// fails.
func (o *ownBroker) serveAlone(ctx context.Context, socket string, logs *control.Logs) error {
	if err := control.Check(socket); err != nil {
		return failed(exitError, err, "--socket names another path")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	started := time.Now()
	source := control.Source{
		Version: version(), Logs: logs, Broker: func() any { return o.Status() },
		Tree: func() *supervisor.Node { return soloTree(started) },
	}
	ended := make(chan error, 2)
	go func() { ended <- o.serve(ctx) }()
	go func() { ended <- control.Serve(ctx, socket, source, slog.New(logs.Handler())) }()
	first := <-ended
	cancel()
	return errors.Join(first, <-ended)
}

// soloTree is the tree of a process that is a broker and nothing else.
func soloTree(started time.Time) *supervisor.Node {
	node := func(id, kind string, children ...*supervisor.Node) *supervisor.Node {
		if children == nil {
			children = []*supervisor.Node{}
		}
		return &supervisor.Node{ID: id, Kind: kind, State: "up", Restarts: new(int64(0)), Since: &started, Children: children}
	}
	root := node("root", "root", node(embeddedID, "broker"), node("control", "control"))
	root.PID = new(os.Getpid())
	return root
}
