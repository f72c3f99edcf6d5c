package conformance

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/magne-actors/magne-actors/internal/osproc"
	"github.com/magne-actors/magne-actors/internal/wire"
)

// Options say what to check. Command is required.
type Options struct {
	Command []string // the worker
	Dir     string   // where it runs; default: our working directory
	Env     []string // all of its environment, KEY=value; what the protocol needs is added
	Stdio   bool     // frames are on stdin and stdout, not on fd 3 and 4
	// Task is the one that is run; default: the first of the hello.
	Task string
	// Args are its arguments: a JSON array of positional or an object of named
	// ones; default: none.
	Args json.RawMessage
	// Timeout is how long the worker may take for its hello, for one reply, or for
	// its exit; default 10 s.
	Timeout time.Duration
	// Begin is told the name of each row before it is checked. It must not block;
	// nil: nobody is.
	Begin func(row string)
}

// Result is the judgement of one row.
type Result string

// What a row can be.
const (
	OK      Result = "ok"
	Warning Result = "warning" // allowed by the protocol, and may hurt
	Failed  Result = "failed"
	Skipped Result = "skipped" // could not be judged; Detail says why
)

// Row is one thing that was checked.
type Row struct {
	Name   string `json:"name"`
	About  string `json:"about"` // what a worker has to do
	Result Result `json:"result"`
	Detail string `json:"detail,omitempty"`
}

// Report is what was found.
type Report struct {
	Command     []string `json:"command"`
	SDK         string   `json:"sdk,omitempty"`
	Tasks       []string `json:"tasks,omitempty"`
	Concurrency int      `json:"concurrency,omitempty"`
	Caps        []string `json:"caps,omitempty"`
	Rows        []Row    `json:"rows"`
}

// Count is how many rows have the result.
func (r *Report) Count(result Result) int {
	n := 0
	for i := range r.Rows {
		if r.Rows[i].Result == result {
			n++
		}
	}
	return n
}

// Run checks a worker. The error says that it could not: wrong Options, a system
// that is not Linux, or the end of ctx.
func Run(ctx context.Context, o Options) (*Report, error) {
	body, err := body(o.Args)
	if err != nil {
		return nil, err
	}
	if len(o.Command) == 0 {
		return nil, errors.New("conformance: no command")
	}
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	host, err := osproc.New(osproc.Options{})
	if err != nil {
		return nil, fmt.Errorf("conformance: %w", err)
	}
	defer host.Close()
	s := &script{o: o, ctx: ctx, host: host, body: body, report: &Report{Command: o.Command}}
	defer s.discard()
	for _, c := range checks() {
		if o.Begin != nil {
			o.Begin(c.name)
		}
		s.row(c)
	}
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("conformance: %w", err)
	}
	return s.report, nil
}

// body is that of the task frame.
func body(args json.RawMessage) ([]byte, error) {
	if len(args) == 0 {
		return wire.AppendArgs(nil, nil, nil), nil
	}
	var list []json.RawMessage
	if json.Unmarshal(args, &list) == nil {
		return wire.AppendArgs(nil, args, nil), nil
	}
	var named map[string]json.RawMessage
	if err := json.Unmarshal(args, &named); err != nil {
		return nil, fmt.Errorf("conformance: arguments: want a JSON array or object: %w", err)
	}
	return wire.AppendArgs(nil, nil, args), nil
}

// script is a run of all checks.
type script struct {
	o      Options
	ctx    context.Context //nolint:containedctx // of Run
	host   *osproc.Host
	body   []byte
	report *Report

	worker *worker // nil: none that is usable
	dumb   string  // why no worker can be had; empty: it can
	mute   bool    // it does not answer pings

	printed []string // stdout of the workers that have ended
}

// verdict is a result of a check other than OK and Failed.
type verdict struct {
	result Result
	why    string
}

func (v *verdict) Error() string { return v.why }

func skip(format string, args ...any) error {
	return &verdict{Skipped, fmt.Sprintf(format, args...)}
}

func warn(format string, args ...any) error {
	return &verdict{Warning, fmt.Sprintf(format, args...)}
}

// row runs a check. A worker that has failed it is not used any more.
func (s *script) row(c check) {
	row := Row{Name: c.name, About: c.about, Result: OK}
	detail, err := "", s.ready(c)
	if err == nil {
		detail, err = c.run(s)
	}
	row.Detail = detail
	if v, ok := errors.AsType[*verdict](err); ok {
		row.Result, row.Detail = v.result, v.why
	} else if err != nil {
		row.Result, row.Detail = Failed, s.explain(err)
		s.discard()
	}
	s.report.Rows = append(s.report.Rows, row)
}

// ready makes sure that there is a worker that has said hello, for checks that
// need one.
func (s *script) ready(c check) error {
	switch {
	case !c.worker || s.worker != nil:
		return nil
	case s.dumb != "":
		return skip("%s", s.dumb)
	}
	w, err := s.start()
	if err != nil {
		s.dumb = "the worker does not get to its hello a second time"
		return err
	}
	s.worker = w
	return nil
}

// discard kills the worker with all that it has started.
func (s *script) discard() {
	if s.worker != nil {
		s.worker.end()
		s.printed = append(s.printed, s.worker.printed...)
		s.worker = nil
	}
}

// task is the name of the task that is run.
func (s *script) task() string {
	if s.o.Task != "" {
		return s.o.Task
	}
	return slices.Concat(s.report.Tasks, []string{"task"})[0]
}
