package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/magne-actors/magne-actors/internal/osproc"
	"github.com/magne-actors/magne-actors/internal/wire"
	"github.com/magne-actors/magne-actors/task"
)

// Slot is the lasting seat of one worker process. Its actor keeps a process in
// it as long as it lives; Run gives a task to it. Everything but Available is
// safe for concurrent use, in every state of the actor.
type Slot struct {
	id        string
	available func(bool) // set before the first actor is started; may be nil

	opts        atomic.Pointer[Options]     // with defaults; of the next process
	incarnation atomic.Pointer[incarnation] // that is alive; nil: none
	generation  atomic.Int64                // of the last process
	current     atomic.Pointer[child]       // the one that gets the tasks; nil: none
	children    atomic.Pointer[[]*child]    // that may be alive; replaced, never changed
	done        atomic.Int64                // tasks with an answer other than failed
	failed      atomic.Int64
	strange     atomic.Int64              // frames that came too late or that nobody knows
	exits       atomic.Pointer[[]Autopsy] // the newest last, at most maxExits; replaced, never changed
}

// NewSlot returns a slot. It starts nothing: Actor does. id is that of the
// supervisor's child, such as "mail/3".
func NewSlot(id string, o Options) *Slot {
	s := &Slot{id: id}
	s.opts.Store(withDefaults(o))
	s.exits.Store(new([]Autopsy))
	s.children.Store(new([]*child))
	return s
}

func withDefaults(o Options) *Options {
	o.Concurrency = max(o.Concurrency, 1)
	o.Pipeline = cmp.Or(max(o.Pipeline, 0), o.Concurrency)
	o.StartTimeout = cmp.Or(o.StartTimeout, 10*time.Second)
	o.DrainTimeout = cmp.Or(o.DrainTimeout, 30*time.Second)
	o.PingInterval = cmp.Or(o.PingInterval, 30*time.Second)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, 5*time.Second)
	o.Timeout.KillAfter = cmp.Or(o.Timeout.KillAfter, 2*time.Second)
	o.MaxBody = cmp.Or(o.MaxBody, 16<<20)
	if o.Spec.Transport != osproc.Stdio {
		o.Spec.Transport = osproc.Frames
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &o
}

// Actor returns one incarnation of the slot's actor, for supervisor.Child.Producer.
// It is a supervisor.Starter, up when its process has said hello, and a
// supervisor.Drainer, which lets the process finish what it has. A slot has one
// living actor at a time; that is what a supervisor sees to.
func (s *Slot) Actor() actor.Actor { return &incarnation{slot: s} }

// Available has f told, on the actor's goroutine, whenever the slot begins to be
// able to take tasks, and whenever it is not able to any more: because its process
// starts, ends or has to go. f must not block. Call it before the actor is started.
func (s *Slot) Available(f func(bool)) { s.available = f }

// Run has the process run a task, and blocks until it has answered or is dead.
//
// The error is nil; one of task.Retry or task.Discard, or a plain *TaskError, as
// the process says; a *LostError if the process ended before it answered;
// ErrNotStarted if there is no process that can take the task, or it has taken
// Options.Pipeline, or it died before it came to it. A task that does not fit into
// a frame is discarded.
//
// The end of ctx cancels the task: the process is told so, and if it does not
// answer within Hard-Soft of its Timeout, or 5 s, it is ended as for a timeout.
// Run returns no earlier than it is certain that the task runs no more.
func (s *Slot) Run(ctx context.Context, m *task.Message) error {
	in := s.incarnation.Load()
	if in == nil || ctx.Err() != nil {
		return ErrNotStarted
	}
	c := newCall(ctx, m)
	in.tell(evRun{c})
	select {
	case err := <-c.reply:
		return err
	case <-in.gone:
	case <-ctx.Done():
		in.tell(evRevoke{c, errors.Is(context.Cause(ctx), context.DeadlineExceeded)})
		select {
		case err := <-c.reply:
			return err
		case <-in.gone:
		}
	}
	select { // what an actor was given it has answered before it is gone
	case err := <-c.reply:
		return err
	default:
		return ErrNotStarted
	}
}

func newCall(ctx context.Context, m *task.Message) *call {
	deadline := m.Deadline
	if d, ok := ctx.Deadline(); ok && (deadline.IsZero() || d.Before(deadline)) {
		deadline = d
	}
	return &call{
		name: m.Name, id: m.ID, deadline: deadline, reply: make(chan error, 1), suspect: m.Lost > 0,
		frame: wire.Frame{
			Type: wire.Task, Name: m.Name, Attempt: m.Attempt, Header: frameHeader(m),
			ContentType: "application/json", Body: wire.AppendArgs(nil, m.Args, m.Kwargs),
		},
	}
}

// Recycle replaces the process: the new one is started, and when it is ready the
// old one finishes what it has. It blocks until the new one is ready or has failed
// at it, or ctx is done.
func (s *Slot) Recycle(ctx context.Context) error {
	return s.request(ctx, &request{done: make(chan error, 1)})
}

// Replace is Recycle with a process of other options, those of the slot from then
// on. If the new one does not get ready, or ctx is done before, the old one stays,
// and so do the old options. A slot without an actor just takes the new ones.
func (s *Slot) Replace(ctx context.Context, o Options) error {
	with := withDefaults(o)
	if s.incarnation.Load() == nil {
		s.opts.Store(with)
		if s.incarnation.Load() == nil {
			return nil
		} // an actor was started meanwhile, and may have read the old ones
	}
	return s.request(ctx, &request{opts: with, done: make(chan error, 1)})
}

// Has reports whether the slot has these options, as after a Replace with them.
func (s *Slot) Has(o Options) bool { return reflect.DeepEqual(s.opts.Load(), withDefaults(o)) }

var errNoProcess = errors.New("it has no process")

func (s *Slot) request(ctx context.Context, r *request) error {
	in := s.incarnation.Load()
	if in == nil {
		return fmt.Errorf("slot %s: %w", s.id, errNoProcess)
	}
	in.tell(evRequest{r})
	var err error
	select {
	case err = <-r.done:
	case <-in.gone:
		select {
		case err = <-r.done:
		default:
			err = errEnding
		}
	case <-ctx.Done():
		in.tell(evForgo{r})
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("slot %s: %w", s.id, err)
	}
	return nil
}

// Signal sends a signal to the process that gets the tasks. The error wraps
// os.ErrProcessDone if there is none.
func (s *Slot) Signal(sig syscall.Signal) error {
	if c := s.current.Load(); c != nil {
		if p := c.proc.Load(); p != nil {
			return p.Signal(sig)
		}
	}
	return fmt.Errorf("slot %s: signal %v: %w", s.id, sig, os.ErrProcessDone)
}

// Kill kills all processes of the slot at once, with everything that they have
// started, also while the actor is blocked; it does not wait for their end. The
// slot gets a new one, unless it is stopping. Its error wraps os.ErrProcessDone if
// there is none. It does what supervisor.Child.Kill is for.
func (s *Slot) Kill() error {
	if in := s.incarnation.Load(); in != nil {
		in.tell(evKill{}) // so that it knows why, and for those that are being started
	}
	found := false
	for _, c := range *s.children.Load() {
		found = true
		if p := c.proc.Load(); p != nil {
			p.Kill()
		}
	}
	if !found {
		return fmt.Errorf("slot %s: kill: %w", s.id, os.ErrProcessDone)
	}
	return nil
}
