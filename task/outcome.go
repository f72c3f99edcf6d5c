package task

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what shall become of a message after an attempt.
type Kind uint8

const (
	KindDone    Kind = iota // acknowledge it
	KindFailed              // a failed attempt: the pool's retry policy decides
	KindRetry               // run it again after a time
	KindDiscard             // never run it again: put it in the dead-letter queue
)

// String returns done, failed, retry or discard.
func (k Kind) String() string {
	switch k {
	case KindDone:
		return "done"
	case KindFailed:
		return "failed"
	case KindRetry:
		return "retry"
	case KindDiscard:
		return "discard"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// Outcome is how an attempt ended.
type Outcome struct {
	Kind Kind
	// After is the time to wait before the next run, for KindRetry; 0 leaves it to
	// the pool's backoff.
	After time.Duration
	// Err is the error that the handler returned, nil for KindDone only.
	Err error
}

// Retry returns an error that puts the task off: it is run again after the given
// time, and this run uses up no attempt. 0 or less leaves the time to the pool's
// backoff. The pool bounds how often a message may be put off (its max_snoozes, 100
// unless it says otherwise), and sends it to the dead-letter queue then, with the
// reason max_snoozes. The error has the text of err and wraps it; err may be nil.
func Retry(err error, after time.Duration) error {
	return &outcomeError{kind: KindRetry, after: max(after, 0), err: err}
}

// Discard returns an error that gives the message up: it goes to the dead-letter
// queue with the error's text as the reason. The error has the text of err and
// wraps it; err may be nil.
func Discard(err error) error {
	return &outcomeError{kind: KindDiscard, err: err}
}

// OutcomeOf sorts the error that a handler has returned. The outermost Retry or
// Discard in its chain counts, so that a middleware can overrule a handler; of
// joined errors the first one. Without any, an error that wraps ErrUnknown is
// KindDiscard and every other one KindFailed. It is a pure function.
func OutcomeOf(err error) Outcome {
	if err == nil {
		return Outcome{Kind: KindDone}
	}
	if o, ok := errors.AsType[*outcomeError](err); ok {
		return Outcome{Kind: o.kind, After: o.after, Err: err}
	}
	if errors.Is(err, ErrUnknown) {
		return Outcome{Kind: KindDiscard, Err: err}
	}
	return Outcome{Kind: KindFailed, Err: err}
}

type outcomeError struct {
	kind  Kind
	after time.Duration
	err   error // may be nil
}

// Error says the reason only: the kind travels beside it, in Outcome.
func (e *outcomeError) Error() string {
	switch {
	case e.err != nil:
		return e.err.Error()
	case e.kind == KindRetry:
		return "the task asked to be retried"
	default:
		return "the task was discarded"
	}
}

func (e *outcomeError) Unwrap() error { return e.err }
