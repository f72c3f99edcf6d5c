package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/internal/top"
)

// topFlags are the flags of top.
type topFlags struct {
	interval time.Duration
	count    int
}

func newTopCmd(e *env) *cobra.Command {
	var f topFlags
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show the tree of a running instance with rates, live",
		Long: "top is a terminal UI: the supervision tree with deliveries settled and messages handled a second, new\n" +
			"restarts, and the CPU and memory of worker processes. Keys sort, filter and fold it, show why a node is\n" +
			"as it is, and restart it after a question; ? lists them. It goes on while the instance is away.\n\n" +
			"With -o json it needs no terminal: it prints one object a line and interval, with all nodes and rates.\n\n" +
			"Exit status: 0 ok, 2 usage or no terminal, 3 no instance answers (-o json and yaml only).",
		Example: "  magne-actors top\n  magne-actors top --interval 200ms\n  magne-actors top -o json -n 10",
		Args:    noArgs,
	}
	e.look(cmd, func(ctx context.Context, l *looker, _ []string) error { return l.top(ctx, f) })
	cmd.Flags().DurationVar(&f.interval, "interval", watchEvery, "time between two looks")
	cmd.Flags().IntVarP(&f.count, "count", "n", 0, "end after so many objects of -o json; 0: go on until interrupted")
	return cmd
}

// minInterval keeps top from being the load that it shows.
const minInterval = 20 * time.Millisecond

func (l *looker) checkTop(f topFlags) error {
	switch {
	case f.interval < minInterval:
		return usageError(errors.New("--interval must be at least "+minInterval.String()), "the default is %v", watchEvery)
	case f.count < 0:
		return usageError(errors.New("-n must not be negative"), "0 goes on until interrupted")
	case l.printsSamples():
		return nil
	case f.count > 0:
		return usageError(errors.New("-n is for -o json and yaml"), "the terminal UI ends with q")
	case !isTerminal(l.stdin) || !isTerminal(l.stdout):
		return usageError(errors.New("top needs a terminal as its standard input and output"), "`magne-actors tree -w` and `top -o json` need none")
	}
	return nil
}

func (l *looker) printsSamples() bool { return l.output.word == "json" || l.output.word == "yaml" }

// top shows the instance until it is ended, or prints samples.
func (l *looker) top(ctx context.Context, f topFlags) error {
	if err := l.checkTop(f); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if l.printsSamples() {
		return l.samples(ctx, f)
	}
	look := l.options()
	return top.Run(ctx, top.Options{
		Fetch: l.snapshot, Inspect: l.client.Inspect,
		Restart: l.client.Restart, Pause: l.client.Pause, Resume: l.client.Resume, Scale: l.client.Scale,
		Interval: f.interval, Version: look.Version, Color: look.Color,
	}, l.stdin, l.stdout)
}

func (l *looker) snapshot(ctx context.Context) (top.Snapshot, error) {
	root, err := l.client.Tree(ctx)
	return top.Snapshot{Time: time.Now(), Root: root}, err
}

// samples prints what is measured, from the second snapshot on.
func (l *looker) samples(ctx context.Context, f topFlags) error {
	prev, err := l.snapshot(ctx)
	if err != nil {
		return err
	}
	tick := time.NewTicker(f.interval)
	defer tick.Stop()
	for n := 0; f.count == 0 || n < f.count; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		cur, err := l.snapshot(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		if err := l.printSample(top.Measure(prev, cur)); err != nil {
			return err
		}
		prev = cur
	}
	return nil
}

// printSample prints one line of JSON, or one document of YAML.
func (l *looker) printSample(s *top.Sample) error {
	if l.json() {
		enc := json.NewEncoder(l.stdout)
		enc.SetEscapeHTML(false)
		return enc.Encode(s)
	}
	text, err := asYAML(s)
	if err != nil {
		return err
	}
	_, err = io.WriteString(l.stdout, "---\n"+text)
	return err
}
