package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/internal/conformance"
)

// workerCheck is a run of `worker check`.
type workerCheck struct {
	e       *env
	task    string
	args    string
	timeout time.Duration
	stdio   bool
}

func newWorkerCheckCmd(e *env) *cobra.Command {
	c := &workerCheck{e: e}
	cmd := &cobra.Command{
		Use:   "check [flags] -- CMD [ARG...]",
		Short: "Check that a program is a worker for mode process, say what it does wrong",
		Long: "check starts a worker program as a pool with mode process does, talks to it in the protocol MWP/1\n" +
			"(docs/worker-protocol.md), and prints a line for each thing that a worker has to do. It needs no broker\n" +
			"and no running instance. The program gets the environment of this command; that of a pool has only\n" +
			"what env and env_inherit name.\n\n" +
			"It runs a task of the worker about a dozen times, with empty arguments: name one that may be, and\n" +
			"arguments if it needs them. That the task fails is no fault of the protocol.\n\n" +
			"Exit status: 0 when all is right, 1 when something is wrong. A warning is not wrong.",
		Example: "  magne-actors worker check -- python3 worker.py\n" +
			"  magne-actors worker check --task resize --args '[\"a.png\", 640]' -- node worker.js",
		Args: oneCommand,
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args) },
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false) // the flags of the worker are its own
	flags.StringVar(&c.task, "task", "", "task to run (default: the first that the worker names)")
	flags.StringVar(&c.args, "args", "", "its arguments: a JSON array of positional, or an object of named ones")
	flags.DurationVar(&c.timeout, "timeout", 10*time.Second, "how long the worker may take for its hello, a reply, or its exit")
	flags.BoolVar(&c.stdio, "stdio", false, "frames are on stdin and stdout, not on fd 3 and 4")
	return cmd
}

func oneCommand(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return errors.New("which program? Its command line comes after --")
	}
	return nil
}

func (c *workerCheck) run(ctx context.Context, command []string) error {
	if c.args != "" && (!json.Valid([]byte(c.args)) || !strings.ContainsAny(strings.TrimSpace(c.args)[:1], "[{")) {
		return usageError(fmt.Errorf("--args %s: want a JSON array or object", c.args), `for example: --args '["a.png", 640]'`)
	}
	if c.timeout <= 0 {
		return usageError(fmt.Errorf("--timeout %v: want more than 0", c.timeout), "the default is 10s")
	}
	begin, end := c.patience()
	defer end()
	report, err := conformance.Run(ctx, conformance.Options{
		Command: command, Env: os.Environ(), Stdio: c.stdio, Task: c.task, Args: json.RawMessage(c.args), Timeout: c.timeout, Begin: begin,
	})
	end()
	if err != nil {
		return err
	}
	if err := c.e.print(report, reportText(report)); err != nil {
		return err
	}
	if report.Count(conformance.Failed) > 0 {
		return silent(exitError)
	}
	return nil
}

// checkPatience is how long a row takes until it is said that it does: a worker that
// says nothing has --timeout in each.
const checkPatience = 3 * time.Second

// patience says on stderr which row is waited for.
func (c *workerCheck) patience() (begin func(row string), end func()) {
	var timer *time.Timer
	end = func() {
		if timer != nil {
			timer.Stop()
		}
	}
	begin = func(row string) {
		end()
		timer = time.AfterFunc(checkPatience, func() {
			fmt.Fprintf(c.e.stderr, "%s: waiting for the worker, which has %v for each answer\n", row, c.timeout)
		})
	}
	return begin, end
}

// reportText is a report for people: what is wrong stands out, with what would be
// right.
func reportText(r *conformance.Report) string {
	padding := regexp.MustCompile(`(?m) +$`) // of the cells without text
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s: %s\n\n", strings.Join(r.Command, " "), workerText(r))
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	for _, row := range r.Rows {
		result := string(row.Result)
		if row.Result == conformance.Failed {
			result = "FAILED"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", result, row.Name, row.Detail)
		if row.Result == conformance.Failed || row.Result == conformance.Warning {
			fmt.Fprintf(w, "\t\twanted: %s\n", row.About)
		}
	}
	_ = w.Flush() // to a buffer
	fmt.Fprintf(&b, "\n%s: %d ok", count(len(r.Rows), "check"), r.Count(conformance.OK))
	for _, result := range []conformance.Result{conformance.Warning, conformance.Failed, conformance.Skipped} {
		if n := r.Count(result); n > 0 {
			fmt.Fprintf(&b, ", %d %s", n, result)
		}
	}
	b.WriteByte('\n')
	return padding.ReplaceAllString(b.String(), "")
}

// workerText says what the worker has said about itself.
func workerText(r *conformance.Report) string {
	if len(r.Tasks) == 0 {
		return "no worker"
	}
	tasks := r.Tasks
	if len(tasks) > 10 {
		tasks = append(slices.Clone(tasks[:10]), fmt.Sprintf("and %d more", len(tasks)-10))
	}
	text := fmt.Sprintf("tasks %s; concurrency %d", strings.Join(tasks, ", "), r.Concurrency)
	if len(r.Caps) > 0 {
		text += "; caps " + strings.Join(r.Caps, ", ")
	}
	if r.SDK != "" {
		text = r.SDK + "; " + text
	}
	return text
}
