package actors

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/magne-actors/magne-actors/internal/restart"
	"github.com/magne-actors/magne-actors/task"
)

// action is what the router does with a delivery.
type action uint8

const (
	ackIt action = iota + 1
	requeueIt
	retryIt      // publish a copy with the next attempt number after a wait, then ack
	deadLetterIt // publish a copy to the dead-letter queue, then ack
	againIt      // give it to another worker: it was not started
)

// verdict is what became of one attempt.
type verdict struct {
	action  action
	attempt int           // the one that was made, from 1
	after   time.Duration // for retryIt
	reason  string        // for deadLetterIt, one of the reasons below
	err     error         // what went wrong; nil for ackIt
	stack   []byte        // of a panic
	free    bool          // the attempt does not count
	kind    string        // of err, as task.ErrorKind has it
	snoozes int           // runs that ended by task.Retry, this one included; 0 if this one did not
	lost    int           // workers that have died under the task, this one included
	autopsy string        // of the last of them
	task    string        // where the policies of tasks differ: whose
	crash   bool          // the worker fails by err as well
}

// flatten replaces the error by its text, on the goroutine of the task: an error
// of a handler may panic when it is asked for it, as a nil pointer does, and
// must not do that in the router.
func (v *verdict) flatten() {
	if v.err == nil {
		return
	}
	if p, ok := v.err.(*task.PanicError); ok { //nolint:errorlint // unwrapping calls the handler's code
		v.stack = p.Stack
	}
	v.err = errors.New(textOf(v.err))
}

func textOf(err error) (text string) {
	defer func() {
		if r := recover(); r != nil {
			text = fmt.Sprintf("an error of type %T that panics when it is read", err)
		}
	}()
	return err.Error()
}

// attrs adds the error, and the stack of a panic, to the attributes of a log line.
func (v *verdict) attrs(attrs ...any) []any {
	attrs = append(attrs, "err", v.err)
	if len(v.stack) > 0 {
		attrs = append(attrs, "stack", string(v.stack))
	}
	return attrs
}

// The reasons of dead letters, as the header x-reason gives them.
const (
	reasonDecode      = "decode"       // the body is not what the pool's codec reads
	reasonOversize    = "oversize"     // the body is larger than the pool takes
	reasonUnknownTask = "unknown_task" // no handler has that name
	reasonDiscarded   = "discarded"    // the handler or the policy said that trying again is useless
	reasonMaxAttempts = "max_attempts" // every attempt has failed
	reasonPanic       = "panic"        // every attempt has failed, the last by a panic
	reasonTimeout     = "timeout"      // every attempt has failed, the last by its timeout
	reasonMaxSnoozes  = "max_snoozes"  // put off too often
	reasonCancelled   = "cancelled"    // by an operator
	reasonLost        = "worker_lost"  // too many worker processes have died under it
)

// Causes of a cancelled task context; context.Cause tells a handler which.
var (
	// ErrTimeout: the task has reached its pool's timeout.
	ErrTimeout = errors.New("the task's timeout is over")
	// ErrShutdown: the time for running tasks to finish is over.
	ErrShutdown = errors.New("the shutdown time is over")
	// ErrAborted: the runtime was told to stop at once.
	ErrAborted = errors.New("aborted")
	// errReplaced: the router of the task crashed; the broker gives the
	// delivery out again.
	errReplaced = errors.New("the pool is being restarted")
)

// judge decides what becomes of a delivery after a run that ended with err. cause is
// the cause of the task's context if that was cancelled; random is from [0,1).
func judge(p *Retry, before past, err, cause error, random float64) verdict {
	v := verdict{attempt: before.attempt, err: err, kind: kindOf(err)}
	outcome := task.OutcomeOf(err)
	switch {
	case outcome.Kind == task.KindDone:
		v.action = ackIt
	case outcome.Kind == task.KindDiscard && errors.Is(err, task.ErrUnknown):
		v.action, v.reason = deadLetterIt, reasonUnknownTask
	case outcome.Kind == task.KindDiscard:
		v.action, v.reason = deadLetterIt, reasonDiscarded
	case errors.Is(cause, ErrCancelled):
		v.action, v.reason = deadLetterIt, reasonCancelled
	case errors.Is(cause, ErrShutdown) || errors.Is(cause, ErrAborted) || errors.Is(cause, errReplaced):
		// We took the attempt away from the handler, so it does not count.
		v.action = requeueIt
	case outcome.Kind == task.KindRetry:
		return v.snooze(p, before, outcome.After, random)
	case !p.retries(v.kind):
		v.action, v.reason = deadLetterIt, reasonDiscarded
	case v.attempt >= p.MaxAttempts:
		v.action, v.reason = deadLetterIt, exhausted(v.kind, err)
	default:
		v.action, v.after = retryIt, restart.Backoff(p.Backoff).Delay(v.attempt, random)
	}
	return v
}

// exhausted names the reason why no further attempt is made.
func exhausted(kind string, err error) string {
	switch {
	case kind == task.KindPanic:
		return reasonPanic
	case kind == task.KindTimeout, errors.Is(err, ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return reasonTimeout
	}
	return reasonMaxAttempts
}

// undecodable is the verdict on a delivery that cannot be run at all.
func undecodable(attempt int, reason string, err error) verdict {
	return verdict{action: deadLetterIt, attempt: attempt, reason: reason, err: err}
}

// errStuck is shown while abandoned tasks keep slots of a worker.
const errStuck = "abandoned tasks keep slots of a worker: their handlers ignore the end of their context; restart the process to get rid of them"

// republishBackoff is the wait after a copy that could not be published.
var republishBackoff = restart.Backoff{Initial: time.Second, Max: 30 * time.Second}

// overdue is the error of a task whose handler did not return in time.
func overdue(limit, grace time.Duration) error {
	return fmt.Errorf("%w (%v), and its handler has not returned %v after its context was cancelled", ErrTimeout, limit, grace)
}
