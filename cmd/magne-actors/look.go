package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/internal/treeview"
	"github.com/magne-actors/magne-actors/supervisor"
)

// -w looks at once when something has happened, but not more often than soonest,
// and after watchEvery in any case: the figures change without events.
const (
	watchEvery = time.Second
	soonest    = 100 * time.Millisecond
)

const healthText = "Exit status: 0 healthy, 1 degraded, 2 failed, 3 no instance answers."

// looker is a command that shows a running instance, or asks it for something.
type looker struct {
	*env
	instance func() (control.Client, error)
	watch    *bool // nil: it has no -w
	plain    *bool // no colours
	appends  bool  // what -w prints follows what it has printed, and once waits
	client   control.Client
}

// look makes cmd one that calls once, and with -w again and again.
func (e *env) look(cmd *cobra.Command, once func(ctx context.Context, l *looker, args []string) error) *looker {
	l := &looker{env: e, instance: addInstanceFlags(cmd), plain: cmd.Flags().Bool("no-color", false, "no colours on a terminal, as with NO_COLOR")}
	addForms(e, cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var err error
		if l.client, err = l.instance(); err != nil {
			return err
		}
		if l.watch == nil || !*l.watch {
			return noInstance(once(cmd.Context(), l, args))
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		return l.repeat(ctx, func() error { return noInstance(once(ctx, l, args)) })
	}
	return l
}

// watched gives the command the flag -w.
func (l *looker) watched(cmd *cobra.Command) {
	text := "show it again when something happens, and every second, until interrupted or the instance ends"
	if l.appends {
		text = "go on with what comes, until interrupted or the instance ends"
	}
	l.watch = cmd.Flags().BoolP("watch", "w", false, text)
}

// repeat calls once whenever there may be news, until ctx ends or once fails, and
// returns what it returned last. A health that is not good is no failure.
func (l *looker) repeat(ctx context.Context, once func() error) error {
	var last error
	news := l.news(ctx)
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
		if news(ctx); ctx.Err() != nil {
			return last
		}
	}
}

// news returns a function that blocks until it is time to look again.
func (l *looker) news(ctx context.Context) func(ctx context.Context) {
	if l.appends {
		return func(ctx context.Context) { pass(ctx, soonest) }
	}
	var seen uint64
	if list, err := l.client.EventsOf(ctx, control.Query{Tail: 1}); err == nil && len(list) > 0 {
		seen = list[0].Seq
	}
	return func(ctx context.Context) {
		due := time.Now().Add(watchEvery)
		pass(ctx, soonest)
		list, err := l.client.EventsOf(ctx, control.Query{After: seen, Wait: max(time.Until(due), time.Millisecond)})
		switch {
		case err != nil: // the look that follows says what is wrong
			pass(ctx, time.Until(due))
		case len(list) > 0:
			seen = list[len(list)-1].Seq
		}
	}
}

// pass blocks for d, or until ctx ends.
func pass(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// options are those of the terminal that is written to.
func (l *looker) options() treeview.Options {
	o := treeview.Options{Version: version(), Wide: l.output.word == "wide"}
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
