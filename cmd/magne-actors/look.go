package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/magne-actors/magne-actors/config"
	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/internal/treeview"
	"github.com/magne-actors/magne-actors/supervisor"
)

// watchEvery is how often -w looks.
const watchEvery = time.Second

const healthText = "Exit status: 0 healthy, 1 degraded, 2 failed, 3 no instance answers."

// looker is a command that shows a running instance.
type looker struct {
	*env
	socket  func() (string, error)
	watch   *bool // nil: it has no -w
	plain   *bool // no colours
	appends bool  // what -w prints follows what it has printed
	client  control.Client
}

// look makes cmd one that calls once, and with -w every second.
func (e *env) look(cmd *cobra.Command, once func(ctx context.Context, l *looker, args []string) error) *looker {
	l := &looker{env: e, socket: addSocketFlags(cmd), plain: cmd.Flags().Bool("no-color", false, "no colours on a terminal, as with NO_COLOR")}
	addForms(e, cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path, err := l.socket()
		if err != nil {
			return err
		}
		l.client = control.Client{Socket: path}
		if l.watch == nil || !*l.watch {
			return noInstance(once(cmd.Context(), l, args))
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return l.repeat(ctx, watchEvery, func() error { return noInstance(once(ctx, l, args)) })
	}
	return l
}

// watched gives the command the flag -w.
func (l *looker) watched(cmd *cobra.Command) {
	l.watch = cmd.Flags().BoolP("watch", "w", false, "show it again every second, until interrupted or the instance ends")
}

// repeat calls once every so often until ctx ends or once fails, and returns what
// it returned last. A health that is not good is no failure.
func (l *looker) repeat(ctx context.Context, every time.Duration, once func() error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var last error
	for {
		if isTerminal(l.stdout) && !l.json() && !l.appends {
			_, _ = l.stdout.Write([]byte("\x1b[H\x1b[2J")) // the print after it fails as well
		}
		err := once()
		if ctx.Err() != nil {
			return last
		}
		if s, ok := errors.AsType[*statusError](err); err != nil && !(ok && s.err == nil) {
			return err
		}
		last = err
		select {
		case <-tick.C:
		case <-ctx.Done():
			return last
		}
	}
}

// noInstance gives the errors of the control socket their exit status.
func noInstance(err error) error {
	if errors.Is(err, control.ErrUnreachable) {
		return failed(exitUnreachable, err, "is `magne-actors run` running? --socket or -c says where it listens")
	}
	return err
}

// options are those of the terminal that is written to.
func (l *looker) options() treeview.Options {
	o := treeview.Options{Version: version()}
	if f, ok := l.stdout.(*os.File); ok && isTerminal(f) {
		o.Color = os.Getenv("NO_COLOR") == "" && !*l.plain
		o.Width, _, _ = term.GetSize(int(f.Fd())) // 0, no limit, where it cannot be told
	}
	return o
}

// healthStatus ends the program with the status that a health has.
func healthStatus(h control.Health) error {
	switch h {
	case control.Failed:
		return silent(exitFailed)
	case control.Degraded:
		return silent(exitDegraded)
	case control.Healthy:
	}
	return nil
}

// node finds a node of a tree by its id.
func node(root *supervisor.Node, id string) (*supervisor.Node, error) {
	if n := treeview.Find(root, id); n != nil {
		return n, nil
	}
	return nil, noNode(root, id)
}

// noNode says that no node has the id, and which are like it.
func noNode(root *supervisor.Node, id string) error {
	var near []string
	for _, n := range treeview.Flat(root) {
		if strings.Contains(n.ID, id) && len(near) < 5 {
			near = append(near, n.ID)
		}
	}
	hint := "magne-actors ps lists the nodes"
	if id != "" && len(near) > 0 {
		hint = "did you mean " + strings.Join(near, ", ") + "?"
	}
	return usageError(errors.New("no node has the id "+printable(id)), "%s", hint)
}

// addSocketFlags adds the flags that find a running instance.
func addSocketFlags(cmd *cobra.Command) func() (string, error) {
	socket := cmd.Flags().String("socket", "", "control socket of the instance (default: as run with the same -c)")
	file := addConfigFlag(cmd)
	return func() (string, error) {
		if *socket != "" {
			return *socket, nil
		}
		f, err := config.Load(*file)
		switch {
		case f != nil: // its mistakes are the business of check and run
			return socketOf(f), nil
		case errors.Is(err, fs.ErrNotExist) && !cmd.Flags().Changed("config"):
			return control.DefaultSocket(os.Getenv), nil
		}
		return "", usageError(err, "--socket names the control socket, -c the configuration it is in")
	}
}
