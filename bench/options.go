package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// The systems that can be measured.
const (
	systemRaw    = "raw"
	systemActors = "magne-actors"
)

// options are the command line.
type options struct {
	scenario *scenario
	n, runs  int
	high     int
	low      int // 0: half of high
	workers  int
	vs       string
	output   string
	url      string
	profile  string
}

// systems are what is measured, in the order of the runs.
func (o *options) systems() []string {
	switch o.vs {
	case "none":
		return []string{systemActors}
	case systemPlain:
		return []string{systemPlain, systemRetries, systemSpool}
	}
	return []string{o.vs, systemActors}
}

// job is one run of a system.
func (o *options) job(system, url, queue string) *job {
	return &job{
		System: system, Scenario: o.scenario.name, URL: url, Queue: queue,
		N: o.n, High: o.high, Low: o.low, Workers: o.workers, Profile: o.profile,
	}
}

// parse reads the command line; help goes to w.
func parse(args []string, w io.Writer) (*options, error) {
	if len(args) == 0 {
		return nil, errors.New("which scenario? " + scenarioNames())
	}
	o := new(options)
	for _, s := range scenarios() {
		if s.name == args[0] {
			o.scenario = s
		}
	}
	fs, smoke := o.flags(w)
	if o.scenario == nil {
		if strings.HasPrefix(args[0], "-") && errors.Is(fs.Parse(args), flag.ErrHelp) {
			return nil, flag.ErrHelp
		}
		return nil, fmt.Errorf("unknown scenario %q: want %s, and then the flags", args[0], scenarioNames())
	}
	// The flag package would print the error and the help of its own accord.
	fs.SetOutput(io.Discard)
	if err := fs.Parse(args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fs.SetOutput(w)
			fs.Usage()
		}
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	set := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { set[f.Name] = true })
	o.complete(set, *smoke)
	return o, o.validate()
}

func (o *options) flags(w io.Writer) (fs *flag.FlagSet, smoke *bool) {
	fs = flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(w)
	fs.Usage = func() {
		fmt.Fprint(w, "usage: go run ./bench SCENARIO [flags]\n\n")
		for _, s := range scenarios() {
			fmt.Fprintf(w, "  %-9s %s\n", s.name, s.about)
		}
		for _, s := range ownScenarios() {
			fmt.Fprintf(w, "  %-9s %s\n", s.name, s.about)
		}
		fmt.Fprint(w, "\nThese are the flags of the clients' scenarios; -h behind one of the last three lists its own.\n\n")
		fs.PrintDefaults()
	}
	fs.IntVar(&o.n, "n", 0, "how many `messages` (default: noop 100000, latency 10000, python 20000, processes 100)")
	fs.IntVar(&o.runs, "runs", 0, "how often to measure each system (default: noop and python 3, with -vs plain 9, others 1)")
	fs.IntVar(&o.high, "high", 0, "high watermark, and prefetch of the raw loop (default: noop and python 1000, latency n, processes 8)")
	fs.IntVar(&o.low, "low", 0, "low watermark (default: half of high)")
	fs.IntVar(&o.workers, "workers", 8, "worker actors, which share high slots")
	fs.StringVar(&o.vs, "vs", systemRaw, "`system` to compare with: raw (amqp091-go), none, or plain: what retries, dead-lettering\nand a spool cost that are configured and not used (noop only)")
	fs.StringVar(&o.output, "o", "text", "text or json (one object a line)")
	fs.StringVar(&o.url, "url", "", "AMQP `URL` of a broker to use (default: start a private RabbitMQ)")
	fs.StringVar(&o.profile, "profile", "", "`directory` for a CPU profile of each system, overwritten by each run")
	return fs, fs.Bool("smoke", false, "few messages, one run: only to see that it works")
}

// complete fills in what was not set on the command line.
func (o *options) complete(set map[string]bool, smoke bool) {
	s := o.scenario
	if !set["n"] {
		o.n = s.n
		if smoke {
			o.n = s.smoke
		}
	}
	if !set["runs"] {
		o.runs = s.runs
		if o.vs == systemPlain {
			o.runs = plainRuns
		}
		if smoke {
			o.runs = 1
		}
	}
	if !set["high"] {
		o.high = s.high(o.n)
	}
	if !set["low"] && o.high > 1 {
		o.low = (o.high + 1) / 2
	}
}

func (o *options) validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(o.n > 0, "-n %d: want at least 1", o.n)
	check(o.runs > 0, "-runs %d: want at least 1", o.runs)
	check(o.high > 0 && o.high <= 1_000_000, "-high %d: want 1 to 1000000", o.high)
	check(o.low >= 0 && o.low < max(o.high, 1), "-low %d: want less than -high (%d)", o.low, o.high)
	check(o.workers > 0, "-workers %d: want at least 1", o.workers)
	check(o.vs == systemRaw || o.vs == "none" || o.vs == systemPlain, "-vs %q: want raw, plain or none", o.vs)
	check(o.vs != systemPlain || o.scenario.name == "noop", "-vs plain: it is for noop, where a message costs the least")
	check(o.output == "text" || o.output == "json", "-o %q: want text or json", o.output)
	return errors.Join(errs...)
}
