// Command chaos runs the faults of internal/faults against a RabbitMQ node of its
// own and prints what was measured, or with -soak keeps an instance under random
// faults. Its exit code is 1 when something does not hold.
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
	only, output, page, broker string
	list                       bool

	soak, lap int
	state     string
}

func parse() (o options, err error) {
	flag.StringVar(&o.output, "o", "table", "output: table or json")
	flag.StringVar(&o.only, "run", "", "only the faults that match this regular expression")
	flag.StringVar(&o.broker, "broker", "both", "the broker: rabbitmq, embedded or both")
	flag.BoolVar(&o.list, "list", false, "list the faults and run none")
	flag.StringVar(&o.page, "page", "", "write the report to this file, too, as docs/faults.md has it")
	flag.StringVar(&o.Program, "program", "", "the magne-actors to run; built when empty")
	flag.Uint64Var(&o.Seed, "seed", uint64(time.Now().UnixNano()), "seed of what is random")
	flag.IntVar(&o.Rate, "rate", 0, "messages a second (100, of a soak 500)")
	flag.DurationVar(&o.Slack, "slack", 0, "added to each limit in time, on a machine that is busy with other things")
	flag.IntVar(&o.soak, "soak", 0, "a soak of so many deliveries, under random faults, in place of a run")
	flag.IntVar(&o.lap, "lap", 0, "messages of one lap of a soak (20000): it can be ended after each")
	flag.StringVar(&o.state, "state", "", "file with the books of a soak; one that exists is gone on with")
	flag.Parse()
	if o.output != "table" && o.output != "json" || flag.NArg() > 0 {
		return o, errors.New("-o is table or json, and there are no arguments")
	}
	if !slices.Contains([]string{"rabbitmq", "embedded", "both"}, o.broker) {
		return o, errors.New("-broker is rabbitmq, embedded or both")
	}
	return o, nil
}

func run() error {
	o, err := parse()
	if err != nil {
		return err
	}
	match, err := regexp.Compile(o.only)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	if o.list {
		for _, f := range chosen(faults.Faults(), match) {
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
	if o.soak > 0 {
		return runSoak(ctx, &o)
	}
	return runFaults(ctx, &o, match)
}

// chosen are the faults that match.
func chosen(list []faults.Fault, match *regexp.Regexp) []faults.Fault {
	return slices.DeleteFunc(list, func(f faults.Fault) bool { return !match.MatchString(f.Name) })
}

// runFaults runs the faults on the brokers that were asked for, and shows what was
// measured also when one of them could not be run to the end.
func runFaults(ctx context.Context, o *options, match *regexp.Regexp) error {
	o.Row = func(row faults.Row) { fmt.Fprintln(os.Stderr, row.Line()) }
	var reports []faults.Report
	var errs []error
	for _, b := range []struct {
		name string
		list []faults.Fault
		run  func(context.Context, []faults.Fault, faults.Options) (faults.Report, error)
	}{{"rabbitmq", faults.Faults(), faults.Run}, {"embedded", faults.Embedded(), faults.RunEmbedded}} {
		list := chosen(b.list, match)
		if o.broker != "both" && o.broker != b.name || len(list) == 0 || ctx.Err() != nil {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s: %d faults, seed %d\n%s\n", b.name, len(list), o.Seed, faults.Head)
		rep, err := b.run(ctx, list, o.Options)
		reports, errs = append(reports, rep), append(errs, err)
		if failed := rep.Failed(); len(failed) > 0 {
			errs = append(errs, fmt.Errorf("%s: failed: %s", b.name, strings.Join(failed, ", ")))
		}
	}
	if len(reports) == 0 {
		errs = append(errs, fmt.Errorf("-run %q matches no fault; -list shows them", o.only))
	}
	return errors.Join(append(errs, show(reports, o))...)
}

// show writes the reports to stdout, and the page if one is wanted.
func show(reports []faults.Report, o *options) error {
	if o.output == "json" {
		if err := faults.JSON(os.Stdout, reports...); err != nil {
			return err
		}
	}
	for _, rep := range reports {
		if o.output == "json" {
			break
		}
		if err := rep.Table(os.Stdout); err != nil {
			return err
		}
	}
	if o.page == "" {
		return nil
	}
	var page strings.Builder
	if err := faults.Page(&page, reports...); err != nil {
		return err
	}
	return os.WriteFile(o.page, []byte(page.String()), 0o644)
}

// runSoak runs a soak and prints its books after each lap, and at the end.
func runSoak(ctx context.Context, o *options) error {
	fmt.Fprintf(os.Stderr, "soak of %d deliveries, seed %d\n", o.soak, o.Seed)
	s, err := faults.RunSoak(ctx, faults.SoakOptions{
		Options: o.Options, N: o.soak, Lap: o.lap, State: o.state,
		Done: func(s faults.Soak) { fmt.Fprintln(os.Stderr, s.Line()) },
	})
	if o.output == "json" {
		err = errors.Join(err, s.JSON(os.Stdout))
	} else {
		fmt.Println(s.Line())
	}
	if err == nil && !s.Pass() {
		err = fmt.Errorf("failed: %s", strings.Join(s.Problems, "; "))
	}
	return err
}
