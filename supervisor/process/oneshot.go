package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/magne-actors/magne-actors/internal/osproc"
	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/task"
)

// MaxResult is how many bytes of the result of a oneshot process are kept. It may
// write more; that is read and thrown away.
const MaxResult = 64 << 10

// Oneshot runs each task in a process of its own, a shell script for example.
//
// The command is Options.Spec.Command, the same for all tasks; nothing of a
// message becomes an argument. The process gets
//
//   - on stdin the arguments, {"args":[...],"kwargs":{...}}, or nothing if the
//     message has none;
//   - in its environment MAGNE_TASK, MAGNE_TASK_ID, MAGNE_ATTEMPT, MAGNE_QUEUE,
//     MAGNE_POOL, MAGNE_DEADLINE_MS (what is left until it gets TERM, absent for no
//     limit) and MAGNE_HDR_* for the headers: the name in upper case, with _ for
//     what is neither letter nor digit. Headers with a NUL byte or more than 4 KiB,
//     and those beyond 64 KiB in all, are left out there;
//   - on fd 3 all of that as one JSON object and a LF, with all headers as they
//     are: task, id, queue, pool, attempt, redelivered, deadline_ms, headers.
//
// It need not read any of it. What it prints is logged line by line. What it
// writes to fd 4 is its result, of which MaxResult bytes are kept: they are logged
// at level debug.
//
// Its exit status is the verdict: 0 done, 75 (EX_TEMPFAIL) run it again later, 65
// (EX_DATAERR) or 78 (EX_CONFIG) never again, any other one a failed attempt with
// the last lines of stderr. One that a signal ended is lost.
//
// At Timeout.Soft the process and everything in its scope get DumpSignal, if there
// is one, and TERM, and at Timeout.Hard KILL; without Hard, KILL comes KillAfter
// after TERM. With Hard alone TERM comes then, and KILL KillAfter later. A process
// that exits in between by itself has said its verdict.
type Oneshot struct {
	o      Options
	redact *redactor
	log    *slog.Logger

	running      atomic.Int64
	started      atomic.Int64 // processes
	done, failed atomic.Int64 // tasks
	newest       atomic.Pointer[oneshotRun]
	exits        atomic.Pointer[[]Autopsy] // the newest last, at most maxExits; replaced, never changed
}

const maxExits = 5

// oneshotRun is a process that runs.
type oneshotRun struct {
	pid         int
	name, label string // of its task
	since       time.Time
}

// NewOneshot returns a Oneshot. It starts nothing.
func NewOneshot(o Options) *Oneshot {
	o.Timeout.KillAfter = cmp.Or(o.Timeout.KillAfter, 2*time.Second)
	o.Spec.Transport, o.Spec.Stdin = osproc.Frames, true
	log := cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	s := &Oneshot{o: o, redact: newRedactor(o.Secrets), log: log.With("pool", o.Pool)}
	s.exits.Store(new([]Autopsy))
	return s
}

// Run runs a task and blocks until its process is dead and all that it has
// started. The end of ctx is TERM at once and KILL after Timeout.KillAfter.
//
// The result is nil, an error of task.Retry or task.Discard or a plain *TaskError
// by the exit status, or a *LostError, which wraps the cause of ctx if that ended
// the process. It wraps ErrNotStarted if ctx or the Host ended before there was a
// process, and ErrCannotStart if the program cannot be executed. A task that is too
// large for an environment (E2BIG) is a failed attempt. Run is safe for concurrent
// use; how many processes run at once is up to the callers.
func (s *Oneshot) Run(ctx context.Context, m *task.Message) error {
	job := s.newJob(m, deadline(ctx, m, s.o.Timeout, time.Now()))
	p, err := s.o.Host.Start(ctx, job.spec)
	switch {
	case err == nil:
	case ctx.Err() != nil, errors.Is(err, osproc.ErrClosed):
		return fmt.Errorf("pool %q: %w: %w", s.o.Pool, ErrNotStarted, err)
	case errors.Is(err, syscall.E2BIG): // what the task has put into its environment
		s.failed.Add(1)
		return fmt.Errorf("pool %q: %w", s.o.Pool, err)
	default:
		return fmt.Errorf("pool %q: %w: %w (see its process)", s.o.Pool, ErrCannotStart, err)
	}
	s.running.Add(1)
	s.started.Add(1)
	run := &oneshotRun{p.PID(), m.Name, cmp.Or(m.ID, m.Name), time.Now()}
	s.newest.Store(run)
	job.lines.started(run.pid)
	pipes := job.feed(p)
	why := s.await(ctx, p)
	exit := s.redact.exit(p.Exit())
	job.lines.leftOut(exit.Dropped, int64(run.pid))
	result := pipes.close()
	err = verdict(exit, why)
	s.newest.CompareAndSwap(run, nil)
	s.note(run, exit, why, err)
	if len(result) > 0 {
		job.lines.log.DebugContext(ctx, "the task has a result", "pid", p.PID(), "result", s.redact.text(string(result)))
	}
	return err
}

// await blocks until the process is dead, and stops it when it must not go on.
func (s *Oneshot) await(ctx context.Context, p *osproc.Proc) ending {
	at, ladder := stopPlan(s.o.Timeout)
	var late <-chan time.Time
	if at > 0 {
		timer := time.NewTimer(at)
		defer timer.Stop()
		late = timer.C
	}
	var why ending
	cancelled := ctx.Done()
	for {
		select {
		case <-p.Done():
			return why
		case <-late:
			why = ending{why: "timeout", after: at}
			if sig := s.o.Timeout.DumpSignal; sig != 0 {
				_ = p.Signal(sig) // it is dead, or it works
			}
			p.Terminate(ladder)
		case <-cancelled:
			cancelled, late = nil, nil
			why = cancelledBy(context.Cause(ctx))
			p.Terminate(osproc.Ladder{Grace: s.o.Timeout.KillAfter})
		}
	}
}

// stopPlan says when a process gets TERM, 0 for never, and when KILL follows.
func stopPlan(t Timeout) (time.Duration, osproc.Ladder) {
	switch {
	case t.Soft <= 0:
		return t.Hard, osproc.Ladder{Grace: t.KillAfter}
	case t.Hard > t.Soft:
		return t.Soft, osproc.Ladder{Grace: t.Hard - t.Soft}
	default:
		return t.Soft, osproc.Ladder{Grace: t.KillAfter}
	}
}

// deadline is when the process of a task gets TERM; zero for never.
func deadline(ctx context.Context, m *task.Message, t Timeout, now time.Time) time.Time {
	end := m.Deadline
	if d, ok := ctx.Deadline(); ok && (end.IsZero() || d.Before(end)) {
		end = d
	}
	if at, _ := stopPlan(t); at > 0 && (end.IsZero() || now.Add(at).Before(end)) {
		end = now.Add(at)
	}
	return end
}

// note counts a run and keeps its end.
func (s *Oneshot) note(run *oneshotRun, exit osproc.Exit, why ending, err error) {
	s.running.Add(-1)
	a := Autopsy{Exit: exit, Why: why.why, Task: run.label, For: exit.Ended.Sub(exit.Started)}
	if err == nil {
		s.done.Add(1)
	} else {
		s.failed.Add(1)
		a.Error = err.Error()
	}
	for {
		old := s.exits.Load()
		list := append(append(make([]Autopsy, 0, maxExits), (*old)[max(0, len(*old)-maxExits+1):]...), a)
		if s.exits.CompareAndSwap(old, &list) {
			return
		}
	}
}

// Inspect adds to the node of a worker what it does: how many processes run and
// which task the newest has, how many there have been, and how the last one ended;
// for System.Inspect the last few. It reads atomics only.
func (s *Oneshot) Inspect(n *supervisor.Node) {
	running, done, failed := s.running.Load(), s.done.Load(), s.failed.Load()
	n.Running, n.TasksDone, n.TasksFailed, n.Generation = &running, &done, &failed, s.started.Load()
	if run := s.newest.Load(); run != nil {
		n.PID, n.Task, n.TaskSince = &run.pid, run.label, &run.since
		n.Detail = "busy " + clip(run.name, 80)
	}
	if running > 1 {
		n.Detail = fmt.Sprintf("%d processes", running)
	}
	exits := *s.exits.Load()
	if len(exits) == 0 {
		return
	}
	n.LastExit = exits[len(exits)-1].line()
	if n.InDetail {
		for _, a := range slices.Backward(exits) {
			n.Exits = append(n.Exits, a.node())
		}
	}
}
