package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/config"
)

func newCheckCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check a configuration, say all that is wrong with it",
		Long: "check reads a configuration as run does, with the environment and the files of its secrets,\n" +
			"and connects to nothing. It prints every error and warning with its place, or the pools.\n\n" +
			"Exit status: 0 when run would take the configuration, 2 when not.",
		Example: "  magne-actors check -c magne.yaml\n  magne-actors check -c - -o json < magne.yaml",
		Args:    noFile,
	}
	file := addConfigFlag(cmd)
	cmd.RunE = func(*cobra.Command, []string) error { return e.check(*file) }
	return cmd
}

// noFile is noArgs with a hint for those who leave -c out.
func noFile(cmd *cobra.Command, args []string) error {
	if err := noArgs(cmd, args); err != nil {
		return fmt.Errorf("%w: -c names the configuration", err)
	}
	return nil
}

// checked is what check prints with -o json.
type checked struct {
	File     string               `json:"file"`
	OK       bool                 `json:"ok"`
	Errors   []*config.FieldError `json:"errors"`
	Warnings []*config.FieldError `json:"warnings"`
	Broker   string               `json:"broker,omitempty"`
	Shutdown string               `json:"shutdown,omitempty"`
	Pools    []checkedPool        `json:"pools"`
}

type checkedPool struct {
	Name    string   `json:"name"`
	Queue   string   `json:"queue"`
	Codec   string   `json:"codec"`
	Mode    string   `json:"mode"`
	Workers int      `json:"workers"`               // at most
	Min     *int     `json:"min_workers,omitempty"` // when there may be fewer
	Slots   int      `json:"slots"`
	High    int      `json:"high"`
	Low     int      `json:"low"`
	Timeout string   `json:"timeout"`
	Tasks   []string `json:"tasks"`
	Command string   `json:"command,omitempty"` // of a process, without its arguments
}

func (e *env) check(file string) error {
	if !e.json() {
		f, err := e.load(file)
		if err != nil {
			return err
		}
		e.warn(f)
		return e.print(nil, summary(file, f))
	}
	f, err := e.parse(file)
	if f == nil {
		return err
	}
	_, err = f.Options(nil, nil)
	out := describe(file, f)
	if err != nil {
		out.OK, out.Pools = false, []checkedPool{}
		if !errors.As(err, (*config.Errors)(&out.Errors)) {
			return err
		}
	}
	if err := e.print(out, ""); err != nil {
		return err
	}
	if !out.OK {
		return silent(exitUsage)
	}
	return nil
}

func describe(file string, f *config.File) checked {
	out := checked{
		File: name(file), OK: true, Errors: []*config.FieldError{}, Warnings: append([]*config.FieldError{}, f.Warnings()...),
		Broker: f.Broker.Address(), Shutdown: f.Shutdown.String(),
	}
	for _, p := range f.Pools {
		c := checkedPool{
			Name: p.Name, Queue: p.Queue, Codec: p.Codec, Mode: p.Mode, Workers: p.MaxWorkers(), Slots: p.PerWorker(),
			High: p.Watermarks.High, Low: p.Watermarks.Low, Timeout: p.Timeout.Hard.String(), Tasks: p.TaskNames(), Command: command(&p),
		}
		if low := p.MinWorkers(); low < c.Workers {
			c.Min = &low
		}
		out.Pools = append(out.Pools, c)
	}
	return out
}

// command is the program that runs a pool's tasks; its arguments may be secret.
func command(p *config.Pool) string {
	if p.Process == nil || len(p.Process.Command) == 0 { // the file may be wrong
		return ""
	}
	return p.Process.Command[0]
}

// summary is what check prints about a file that is right.
func summary(file string, f *config.File) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: ok, %s, broker %s\n", name(file), count(len(f.Pools), "pool"), f.Broker.Address())
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "POOL\tQUEUE\tCODEC\tMODE\tWORKERS\tSLOTS\tHIGH\tLOW\tTIMEOUT\tTASKS")
	for _, p := range describe(file, f).Pools {
		timeout := p.Timeout
		if timeout == "0s" {
			timeout = "none"
		}
		workers := strconv.Itoa(p.Workers)
		if p.Min != nil {
			workers = fmt.Sprintf("%d..%d", *p.Min, p.Workers)
		}
		tasks := strings.Join(p.Tasks, ",")
		if p.Command != "" {
			tasks = "by " + p.Command
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\t%s\n", p.Name, p.Queue, p.Codec, p.Mode, workers, p.Slots, p.High, p.Low, timeout, tasks)
	}
	_ = w.Flush() // into memory
	return b.String()
}
