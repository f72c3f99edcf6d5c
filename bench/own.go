package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
)

// ownScenarios are those that compare something else than clients and have flags of
// their own.
func ownScenarios() []ownScenario {
	return []ownScenario{
		{brokersArg, "the embedded broker beside RabbitMQ: confirmed publishing, consuming, memory, start", runBrokers},
		{delayArg, "what a delayed message costs RabbitMQ: our ladder beside the binary one", runDelay},
		{stopArg, "how long an instance with idle Python processes takes to end", runStop},
	}
}

type ownScenario struct {
	name, about string
	run         func(ctx context.Context, args []string, stdout, stderr io.Writer) int
}

// ownOptions are the flags that all of them have.
type ownOptions struct {
	runs   int
	output string
}

// parse reads the flags of a scenario. What more defines valid checks, when the others
// are right.
func (o *ownOptions) parse(scenario string, args []string, w io.Writer, more func(*flag.FlagSet), valid func() error) error {
	fs := flag.NewFlagSet("bench "+scenario, flag.ContinueOnError)
	fs.SetOutput(w)
	fs.IntVar(&o.runs, "runs", 3, "how often to measure each system")
	fs.StringVar(&o.output, "o", "text", "text or json (one object a line)")
	more(fs)
	if err := fs.Parse(args); err != nil {
		return err
	}
	switch {
	case fs.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case o.runs < 1:
		return fmt.Errorf("-runs %d: want at least 1", o.runs)
	case o.output != "text" && o.output != "json":
		return fmt.Errorf("-o %q: want text or json", o.output)
	}
	return valid()
}

// refuse returns the exit status for a command line that could not be parsed.
func refuse(err error, stderr io.Writer) int {
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	fmt.Fprintf(stderr, "bench: %v\n", err)
	return exitUsage
}

// show measures, prints the rows and returns the exit status.
func show[R any](o *ownOptions, stdout, stderr io.Writer, measure func(*progress) ([]R, error), table func(io.Writer, []R) error) int {
	p := &progress{out: stderr, terminal: isTerminal(stderr)}
	rows, err := measure(p)
	p.clear()
	if err == nil {
		err = print(rows, o.output, table, stdout, stderr)
	}
	return status(err, stderr)
}
