package child

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/magne-actors/magne-actors/internal/wire"
	"github.com/magne-actors/magne-actors/task"
)

// CancelError is the cause of the context of a task that the supervisor has
// cancelled.
type CancelError struct {
	Reason string // timeout, revoked or shutdown
}

// Error names the reason.
func (e *CancelError) Error() string { return "cancelled: " + e.Reason }

var errGoexit = errors.New("the handler has ended its goroutine (runtime.Goexit)")

// run runs a task and replies, whatever becomes of it.
func (s *server) run(ctx context.Context, f *wire.Frame) {
	err := errGoexit
	defer func() {
		cause, _ := errors.AsType[*CancelError](context.Cause(ctx))
		s.link.reply(answer(f.ID, err, cause))
		select {
		case s.ended <- f.ID:
		case <-s.quit:
		}
	}()
	m, bad := message(f, time.Now())
	if bad != nil {
		err = task.Discard(bad)
		return
	}
	if !m.Deadline.IsZero() {
		inner, cancel := context.WithDeadline(ctx, m.Deadline)
		defer cancel()
		ctx = inner
	}
	err = s.mux.Run(context.WithValue(ctx, here{}, &current{link: s.link, id: f.ID, began: time.Now()}), m)
}

// message makes of a frame what a handler gets in thread mode.
func message(f *wire.Frame, now time.Time) (*task.Message, error) {
	m := &task.Message{Name: f.Name, Headers: f.Header, Attempt: max(f.Attempt, 1)}
	m.ID, m.Queue, m.Redelivered = f.Header[wire.HeaderID], f.Header[wire.HeaderQueue], f.Header[wire.HeaderRedelivered] != ""
	for _, name := range []string{wire.HeaderID, wire.HeaderQueue, wire.HeaderRedelivered} {
		delete(m.Headers, name)
	}
	if f.Deadline > 0 {
		m.Deadline = now.Add(f.Deadline)
	}
	switch {
	case len(f.Body) == 0:
	case f.ContentType == "application/json":
		var body struct{ Args, Kwargs json.RawMessage }
		if err := json.Unmarshal(f.Body, &body); err != nil {
			return nil, fmt.Errorf("the body is not an object with args and kwargs: %w", err)
		}
		m.Args, m.Kwargs = notNull(body.Args), notNull(body.Kwargs)
	default:
		m.Args, _ = json.Marshal([][]byte{f.Body}) // base64; it cannot fail
	}
	return m, nil
}

func notNull(raw json.RawMessage) json.RawMessage {
	if string(raw) == "null" {
		return nil
	}
	return raw
}

// answer is the reply to a task whose handler has returned err. cancelled is why
// the task was cancelled, nil if it was not.
func answer(id uint64, err error, cancelled *CancelError) *wire.Frame {
	switch out := task.OutcomeOf(err); out.Kind {
	case task.KindDone:
		return &wire.Frame{Type: wire.OK, ID: id}
	case task.KindRetry:
		return &wire.Frame{Type: wire.Retry, ID: id, After: out.After, Message: text(err)}
	case task.KindDiscard:
		f := failure(id, err, nil)
		f.Permanent = true
		return f
	default:
		return failure(id, err, cancelled)
	}
}

// failure is the reply to a task that has failed.
func failure(id uint64, err error, cancelled *CancelError) *wire.Frame {
	f := &wire.Frame{Type: wire.Error, ID: id, Kind: kind(err), Message: text(err)}
	if cancelled != nil && (errors.Is(err, context.Canceled) || errors.Is(err, cancelled)) {
		f.Kind, f.Message = "Cancelled", clip(cancelled.Reason)
	}
	if p, ok := errors.AsType[*task.PanicError](err); ok {
		f.Kind, f.Body = "panic", p.Stack[:min(len(p.Stack), maxTrace)]
	}
	return f
}

const (
	maxText  = 4 << 10 // bytes: even all escaped they fit into a header
	maxTrace = 64 << 10
)

// kind is task.ErrorKind, with a name of its own for a task that nobody knows. The
// methods of the error are the handler's and may panic.
func kind(err error) (k string) {
	defer func() {
		if recover() != nil {
			k = "error"
		}
	}()
	if errors.Is(err, task.ErrUnknown) {
		return "UnknownTask"
	}
	return task.ErrorKind(err)
}

// text is that of an error, whose method may panic: it is the handler's.
func text(err error) (s string) {
	defer func() {
		if recover() != nil {
			s = "an error whose text cannot be had"
		}
	}()
	return clip(err.Error())
}

func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "..."
}

// here is the key of the current task in its context.
type here struct{}

// current is the task of a context.
type current struct {
	link     *link
	id       uint64
	began    time.Time
	progress atomic.Int64 // when the last one was sent, in nanoseconds after began; 0: not yet
}

func taskOf(ctx context.Context) *current {
	c, _ := ctx.Value(here{}).(*current)
	return c
}

// Progress says how far the task of ctx is, in percent and in words, and tells the
// watchdog of the pool that it is alive. Of more than ten a second some are left
// out. It blocks while the pipe to the supervisor is full, and does nothing
// outside of a worker process.
func Progress(ctx context.Context, percent float64, message string) {
	c := taskOf(ctx)
	if c == nil {
		return
	}
	// Not the wall clock: while one that was set back catches up nothing would be sent.
	now, last := max(1, int64(time.Since(c.began))), c.progress.Load()
	if last != 0 && now-last < int64(100*time.Millisecond) || !c.progress.CompareAndSwap(last, now) {
		return
	}
	_ = c.link.send(&wire.Frame{Type: wire.Progress, ID: c.id, Percent: percent, Message: clip(message)}) // Serve sees the error
}

// Bye asks the supervisor to replace this process: it finishes what it has, and
// new tasks go to its successor. It does nothing outside of a worker process.
func Bye(ctx context.Context, reason string) {
	if c := taskOf(ctx); c != nil {
		_ = c.link.send(&wire.Frame{Type: wire.Bye, Reason: clip(reason)}) // Serve sees the error
	}
}
