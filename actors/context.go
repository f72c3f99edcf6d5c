package actors

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// ErrCancelled is the cause of a task's context that an operator cancelled.
var ErrCancelled = errors.New("the task was cancelled by an operator")

// taskContext is the context of one task, which can be cancelled although nothing
// was spent on that in advance: most tasks never look at Done and none of theirs
// is ever cancelled. context.WithCancelCause for each task would cost more than
// all else that the router does for it.
type taskContext struct {
	base  context.Context
	inner atomic.Pointer[cancellable]
}

type cancellable struct {
	context.Context
	cancel context.CancelCauseFunc
}

// get makes the context that can be cancelled, at first use.
func (t *taskContext) get() *cancellable {
	if c := t.inner.Load(); c != nil {
		return c
	}
	ctx, cancel := context.WithCancelCause(t.base)
	c := &cancellable{ctx, cancel}
	if !t.inner.CompareAndSwap(nil, c) {
		cancel(nil)
	}
	return t.inner.Load()
}

func (t *taskContext) current() context.Context {
	if c := t.inner.Load(); c != nil {
		return c
	}
	return t.base
}

// cancel may be called by anybody, at any time.
func (t *taskContext) cancel(cause error) { t.get().cancel(cause) }

// release frees what get has taken, when the task is over.
func (t *taskContext) release() {
	if c := t.inner.Load(); c != nil {
		c.cancel(nil)
	}
}

// Deadline is that of the base.
func (t *taskContext) Deadline() (time.Time, bool) { return t.base.Deadline() }

// Done makes the context cancellable.
func (t *taskContext) Done() <-chan struct{} { return t.get().Done() }

// Err is why the context is done.
func (t *taskContext) Err() error { return t.current().Err() }

// Value has context.Cause and derived contexts find the inner context.
func (t *taskContext) Value(key any) any { return t.current().Value(key) }
