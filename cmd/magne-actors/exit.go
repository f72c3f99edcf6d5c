package main

import (
	"errors"
	"fmt"

	"github.com/magne-actors/magne-actors/config"
)

// Exit statuses. Scripts rely on them.
const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 2  // usage or configuration
	exitUnreachable = 3  // no instance or no broker answers
	exitGaveUp      = 70 // the root supervisor gave up
	exitTemporary   = 75 // trying again may help

	// Of tree and status, which say how an instance is.
	exitDegraded = 1
	exitFailed   = 2
)

// statusError is an error with the exit status that it means.
type statusError struct {
	status int
	err    error  // nil: everything was said already
	hint   string // what to do next
}

func (f *statusError) Error() string {
	if f.err == nil {
		return fmt.Sprintf("exit status %d", f.status)
	}
	return f.err.Error()
}

func (f *statusError) Unwrap() error { return f.err }

// failed is err with the exit status it means and what to do next.
func failed(status int, err error, hint string, args ...any) error {
	return &statusError{status: status, err: err, hint: fmt.Sprintf(hint, args...)}
}

// usageError is a mistake in the command line or in the configuration.
func usageError(err error, hint string, args ...any) error {
	return failed(exitUsage, err, hint, args...)
}

// silent ends the program with a status, and says nothing more.
func silent(status int) error { return &statusError{status: status} }

// status is the exit status that err means.
func status(err error) int {
	if err == nil {
		return exitOK
	}
	if f, ok := errors.AsType[*statusError](err); ok {
		return f.status
	}
	return exitError
}

// report tells the user what went wrong and what to do, and returns the exit
// status.
func (e *env) report(err error) int {
	f, isStatus := errors.AsType[*statusError](err)
	code := status(err)
	if err == nil || isStatus && f.err == nil {
		return code
	}
	if list, ok := errors.AsType[config.Errors](err); ok {
		for _, each := range list {
			fmt.Fprintln(e.stderr, each)
		}
		err = errors.New(count(len(list), "error") + " in the configuration")
	}
	fmt.Fprintf(e.stderr, "magne-actors: %v\n", err)
	if isStatus && f.hint != "" {
		fmt.Fprintf(e.stderr, "  %s\n", f.hint)
	}
	return code
}

// count is "1 error", "2 errors".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
