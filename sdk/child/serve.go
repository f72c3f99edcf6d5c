package child

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/magne-actors/magne-actors/internal/wire"
	"github.com/magne-actors/magne-actors/task"
)

// sdk is how the hello calls us.
const sdk = "go/0.1"

var (
	// ErrByHand is wrapped by the error of Serve in a program that magne-actors has
	// not started. Its text says what to do.
	ErrByHand = errors.New("this program is a worker of magne-actors: name it in the process.command of a pool and use `magne-actors run`")
	// ErrNotSupported is wrapped by the error of Serve except on Linux.
	ErrNotSupported = errors.New("worker processes run on Linux only")
)

// Options configure Serve. The zero value is usable.
type Options struct {
	// Concurrency is how many tasks run at a time; default 1. The pool may ask for
	// fewer.
	Concurrency int
	// Boot, if not nil, is called before the worker says that it is ready: for
	// what takes time or may fail, such as connecting to a database. step says
	// what it is at: `magne-actors tree` shows it, and an autopsy if it is the last.
	// An error ends Serve, and the supervisor tries again later.
	Boot func(ctx context.Context, step func(what string)) error
}

// Serve runs the tasks that the supervisor sends with the handlers of mux, and
// blocks until there are no more; see the package's guarantees. Call it once, and
// before the program starts other processes. Register everything before: the
// supervisor is told the names of the tasks.
//
// The end of ctx is the end of the contexts of all tasks; those that have not
// begun go back to the supervisor, which is asked for a drain.
func Serve(ctx context.Context, mux *task.Mux, o Options) error {
	in, out, err := pipes(os.Getenv)
	if err != nil {
		return fmt.Errorf("child: %w", err)
	}
	return serve(ctx, mux, o, in, out)
}

var errShutdown = &CancelError{"shutdown"}

// maxBody is the longest body that we take. The supervisor's limit is its own
// affair: it is the one we trust.
const maxBody = 1<<31 - 1

// serve closes both pipes.
func serve(ctx context.Context, mux *task.Mux, o Options, in io.ReadCloser, out io.WriteCloser) error {
	s := &server{
		mux: mux, link: newLink(out), concurrency: max(o.Concurrency, 1), running: map[uint64]context.CancelCauseFunc{},
		frames: make(chan wire.Frame), ended: make(chan uint64), quit: make(chan struct{}), read: make(chan struct{}),
	}
	defer out.Close()
	if o.Boot != nil {
		step := func(what string) { _ = s.link.send(&wire.Frame{Type: wire.Step, Message: clip(what)}) } // hello has the error too
		if err := o.Boot(ctx, step); err != nil {
			in.Close()
			return fmt.Errorf("child: boot: %w", err)
		}
	}
	if err := s.link.send(&wire.Frame{
		Type: wire.Hello, Proto: wire.Proto, Tasks: mux.Names(), Concurrency: s.concurrency,
		Caps: []string{wire.CapCancel, wire.CapBeat}, SDK: sdk, PID: os.Getpid(),
	}); err != nil {
		in.Close()
		return fmt.Errorf("child: %w", err)
	}
	go s.receive(in)
	// The tasks' contexts have a cause that their handlers can look at.
	inner, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { cancel(errShutdown) })
	err := s.loop(inner)
	stop()
	cancel(errShutdown)
	close(s.quit)
	in.Close()
	<-s.read
	if err != nil {
		return fmt.Errorf("child: %w", err)
	}
	return nil
}

// server is the state of Serve. Only the goroutine of loop touches what is not a
// channel or the link.
type server struct {
	mux  *task.Mux
	link *link

	concurrency int
	waiting     []wire.Frame // tasks that have not begun
	running     map[uint64]context.CancelCauseFunc
	draining    bool // nothing new is taken
	leaving     bool // the context has ended: what comes goes back
	beat        *time.Ticker
	lastCall    <-chan time.Time // the deadline of a drain
	enough      <-chan time.Time // the drain that was asked for does not come

	frames  chan wire.Frame // closed at the end of the pipe
	readErr error           // set before that
	ended   chan uint64     // tasks
	quit    chan struct{}   // closed when loop has ended
	read    chan struct{}   // closed when receive has
}

// receive reads frames until the end of the pipe, or of loop.
func (s *server) receive(in io.Reader) {
	defer close(s.read)
	defer close(s.frames)
	r := wire.NewReader(in, wire.Limits{MaxBody: maxBody})
	for {
		f, err := r.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				s.readErr = err
			}
			return
		}
		select {
		case s.frames <- f:
		case <-s.quit:
			return
		}
	}
}

// loop returns when there is nothing left to do, or when the pipes are broken.
func (s *server) loop(ctx context.Context) error {
	s.beat = time.NewTicker(time.Hour)
	s.beat.Stop() // until the welcome says how often
	defer s.beat.Stop()
	frames, over := s.frames, ctx.Done()
	for !s.draining || len(s.running)+len(s.waiting) > 0 {
		select {
		case f, ok := <-frames:
			if ok {
				s.take(&f)
			} else if s.readErr != nil {
				return s.readErr
			} else {
				frames, s.draining = nil, true
			}
		case id := <-s.ended:
			s.running[id](nil)
			delete(s.running, id)
		case <-s.beat.C:
			if len(s.running) > 0 {
				_ = s.link.send(&wire.Frame{Type: wire.Beat})
			}
		case <-s.lastCall:
			for _, cancel := range s.running {
				cancel(errShutdown)
			}
		case <-over:
			over = nil
			s.leave()
		case <-s.enough:
			s.draining = true
		}
		if err := s.link.broken(); err != nil {
			return err
		}
		s.advance(ctx)
	}
	return nil
}

// take acts on a frame of the supervisor. Types that we do not know are of a later
// version and are none of our business.
func (s *server) take(f *wire.Frame) {
	switch f.Type {
	case wire.Welcome:
		s.link.limit(wire.Limits{MaxHeader: f.MaxHeader, MaxBody: f.MaxBody})
		s.concurrency = min(s.concurrency, f.Concurrency)
		if f.Beat > 0 {
			s.beat.Reset(f.Beat)
		}
	case wire.Task:
		if !s.draining || s.leaving { // what comes after a drain is not ours
			s.waiting = append(s.waiting, *f)
		}
	case wire.Cancel:
		s.cancel(f)
	case wire.Ping:
		_ = s.link.send(&wire.Frame{Type: wire.Pong, N: f.N})
	case wire.Drain:
		s.draining = true
		if f.Deadline > 0 {
			s.lastCall = time.After(f.Deadline)
		}
	default:
	}
}

func (s *server) cancel(f *wire.Frame) {
	reason := &CancelError{cmp.Or(f.Reason, "cancelled")}
	if cancel, ok := s.running[f.ID]; ok {
		cancel(reason)
		return
	}
	for i := range s.waiting {
		if s.waiting[i].ID == f.ID {
			s.waiting = append(s.waiting[:i], s.waiting[i+1:]...)
			s.link.reply(failure(f.ID, reason, reason))
			return
		}
	}
}

// leave is for the end of the context. A task may be on its way to us, so that the
// supervisor has to say when it has no more.
func (s *server) leave() {
	s.leaving = true
	if !s.draining {
		_ = s.link.send(&wire.Frame{Type: wire.Bye, Reason: "shutdown"}) // loop sees the error
		s.enough = time.After(drainPatience)
	}
}

// drainPatience is how long a supervisor may take for the drain that it is asked
// for.
const drainPatience = 5 * time.Second

// handBack returns the tasks that have not begun. Retry costs no attempt.
func (s *server) handBack() {
	for i := range s.waiting {
		s.link.reply(&wire.Frame{Type: wire.Retry, ID: s.waiting[i].ID, Message: "the worker stops, the task had not begun"})
	}
	s.waiting = nil
}

// advance begins as many tasks as may run.
func (s *server) advance(ctx context.Context) {
	if ctx.Err() != nil {
		s.handBack()
	}
	for len(s.waiting) > 0 && len(s.running) < s.concurrency {
		f := s.waiting[0]
		s.waiting = s.waiting[1:]
		ctx, cancel := context.WithCancelCause(ctx)
		s.running[f.ID] = cancel
		go s.run(ctx, &f)
	}
}
