package task

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Kinds of errors that the runtime names itself; the others are those of handlers,
// see ErrorKind.
const (
	KindTimeout    = "timeout"     // the task reached its time limit, or a deadline inside it
	KindPanic      = "panic"       // the handler panicked
	KindWorkerLost = "worker_lost" // the process that ran it died
)

// maxKind bounds a kind in bytes: it travels in a message header.
const maxKind = 128

// WithKind returns err as one of that kind, for the retry_on and discard_on of a
// pool. It has the text of err and wraps it. A nil err stays nil.
func WithKind(err error, kind string) error {
	if err == nil {
		return nil
	}
	return &kindError{kind: kind, err: err}
}

type kindError struct {
	kind string
	err  error
}

func (e *kindError) Error() string     { return e.err.Error() }
func (e *kindError) Unwrap() error     { return e.err }
func (e *kindError) ErrorKind() string { return e.kind }

// ErrorKind is the class of an error, for policies: what the outermost error of its
// chain with a method ErrorKind() string says, as those of WithKind and of worker
// processes have; else panic, timeout for a context's deadline, or the name of the
// first type in the chain that is not a mere wrapper of fmt or errors, as %T prints it
// without a star: net.OpError. An error that has none of these is "error", and nil is
// "". It is a pure function.
func ErrorKind(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[interface {
		error
		ErrorKind() string
	}](err); ok && e.ErrorKind() != "" {
		return cleanKind(e.ErrorKind())
	}
	if _, ok := errors.AsType[*PanicError](err); ok {
		return KindPanic
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return KindTimeout
	}
	return cleanKind(typeKind(err))
}

// typeKind is the name of the first type that says something.
func typeKind(err error) string {
	for err != nil {
		name := strings.TrimPrefix(fmt.Sprintf("%T", err), "*")
		if name != "task.outcomeError" && name != "task.kindError" &&
			!strings.HasPrefix(name, "fmt.") && !strings.HasPrefix(name, "errors.") {
			return name
		}
		switch e := err.(type) { //nolint:errorlint // it walks the chain itself
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			err = firstOf(e.Unwrap())
		default:
			err = nil
		}
	}
	return "error"
}

func firstOf(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// cleanKind makes a kind of a text from outside: one short line.
func cleanKind(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "")), " ")
	if len(s) > maxKind {
		s = strings.ToValidUTF8(s[:maxKind], "")
	}
	return s
}
