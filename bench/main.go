package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/mattn/go-isatty"
)

// Exit statuses, as those of magne-actors.
const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 2
	exitUnreachable = 3
)

// childArg as the only argument makes the program a measured child.
const childArg = "child"

func main() {
	if len(os.Args) == 2 && os.Args[1] == childArg {
		os.Exit(child(os.Stdin, os.Stdout, os.Stderr))
	}
	if len(os.Args) == 3 && os.Args[1] == brokerChildArg {
		os.Exit(brokerChild(os.Args[2], os.Stdin, os.Stdout, os.Stderr))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run measures what args ask for and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	for _, s := range ownScenarios() {
		if len(args) > 0 && args[0] == s.name {
			return s.run(ctx, args[1:], stdout, stderr)
		}
	}
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "bench: %v\n  `go run ./bench -h` lists what there is\n", err)
		return exitUsage
	}
	p := &progress{out: stderr, terminal: isTerminal(stderr)}
	rows, err := measure(ctx, o, p)
	p.clear()
	if len(rows) > 0 {
		err = errors.Join(err, print(rows, o.output, table, stdout, stderr))
	}
	return status(err, stderr)
}

// status says on stderr what went wrong and returns the exit status.
func status(err error, stderr io.Writer) int {
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(stderr, "bench: %v\n", err)
	if errors.Is(err, errUnreachable) {
		return exitUnreachable
	}
	return exitError
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// print writes the rows as output says. The table is for people in any case.
func print[R any](rows []R, output string, table func(io.Writer, []R) error, stdout, stderr io.Writer) error {
	if output == "text" {
		return table(stdout, rows)
	}
	enc := json.NewEncoder(stdout)
	for _, r := range rows {
		if err := enc.Encode(r); err != nil {
			return err
		}
	}
	return table(stderr, rows)
}

// measure starts a broker unless it is given one, and runs the comparison.
func measure(ctx context.Context, o *options, p *progress) (rows []row, err error) {
	p.say("starting RabbitMQ")
	r, err := newRig(ctx, o.url)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	return compare(ctx, o, r, p)
}
