// Command chaos runs the faults of internal/faults against a RabbitMQ node of its
// own and prints what was measured. Its exit code is 1 when something does not
// hold.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/magne-actors/magne-actors/internal/faults"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

// options of the command line.
type options struct {
	faults.Options
	only, output string
	list         bool
}

func parse() (o options, err error) {
	flag.StringVar(&o.output, "o", "table", "output: table or json")
	flag.StringVar(&o.only, "run", "", "only the faults that match this regular expression")
	flag.BoolVar(&o.list, "list", false, "list the faults and run none")
	flag.StringVar(&o.Program, "program", "", "the magne-actors to run; built when empty")
	flag.Uint64Var(&o.Seed, "seed", uint64(time.Now().UnixNano()), "seed of what is random")
	flag.IntVar(&o.Rate, "rate", 100, "messages a second")
	flag.DurationVar(&o.Slack, "slack", 0, "added to each limit in time, on a machine that is busy with other things")
	flag.Parse()
	if o.output != "table" && o.output != "json" || flag.NArg() > 0 {
		return o, errors.New("-o is table or json, and there are no arguments")
	}
	return o, nil
}

func run() error {
	o, err := parse()
	if err != nil {
		return err
	}
	list, err := chosen(o.only)
	if err != nil {
		return err
	}
	if o.list {
		for _, f := range list {
			fmt.Printf("%-28s %s\n", f.Name, f.Title)
		}
		return nil
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if o.Program == "" {
		dir, err := os.MkdirTemp("", "magne-chaos-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if o.Program, err = faults.Build(ctx, dir); err != nil {
			return err
		}
	}
	fmt.Fprintf(os.Stderr, "%d faults, seed %d\n%s\n", len(list), o.Seed, faults.Head)
	o.Row = func(row faults.Row) { fmt.Fprintln(os.Stderr, row.Line()) }
	rep, err := faults.Run(ctx, list, o.Options)
	return errors.Join(err, show(rep, o.output))
}

// chosen are the faults that match.
func chosen(pattern string) ([]faults.Fault, error) {
	match, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("-run: %w", err)
	}
	list := slices.DeleteFunc(faults.Faults(), func(f faults.Fault) bool { return !match.MatchString(f.Name) })
	if len(list) == 0 {
		return nil, fmt.Errorf("-run %q matches no fault; -list shows them", pattern)
	}
	return list, nil
}

func show(rep faults.Report, output string) error {
	write := rep.Table
	if output == "json" {
		write = rep.JSON
	}
	if err := write(os.Stdout); err != nil {
		return err
	}
	if failed := rep.Failed(); len(failed) > 0 {
		return fmt.Errorf("failed: %s", strings.Join(failed, ", "))
	}
	return nil
}
