package supervisor

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	errGoexit        = errors.New("runtime.Goexit ended the goroutine")
	errReturnedEarly = errors.New("returned before it was told to stop")
)

// PanicError is the error of something that panicked. Its text is one line; the
// stack of the panic is apart, for a log's own attribute.
type PanicError struct {
	Value any    // what was given to panic
	Stack []byte // not to be changed
}

// Error is "panic: " and the first line of the value.
func (e *PanicError) Error() string { return "panic: " + firstLine(fmt.Sprint(e.Value)) }

// Unwrap is the value if that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// ExhaustedError says that a supervisor gave up: a child needed one more restart
// than its intensity allows within its period.
type ExhaustedError struct {
	Supervisor string // its id
	Intensity  int
	Period     time.Duration
	Last       Exit // the exit that was one too many, or that wraps a *FatalError
	Toppled    bool // Last is of a supervisor with EscalateAtOnce
}

// Error is one line.
func (e *ExhaustedError) Error() string {
	s := fmt.Sprintf("supervisor: %s gave up: more than %d restarts in %v; last %s", e.Supervisor, e.Intensity, e.Period, e.Last.ID)
	switch {
	case e.Toppled:
		s = fmt.Sprintf("supervisor: %s gave up with its child %s", e.Supervisor, e.Last.ID)
	case fatal(e.Last.Err):
		s = fmt.Sprintf("supervisor: %s gave up, as a restart would not help: %s", e.Supervisor, e.Last.ID)
	}
	if e.Last.Err == nil {
		return s + " " + e.Last.Reason.String()
	}
	return s + ": " + e.Last.Err.Error()
}

// Unwrap is the error of the last exit: of a supervisor whose own child was
// exhausted, that one's ExhaustedError.
func (e *ExhaustedError) Unwrap() error { return e.Last.Err }

// FatalError says that a child has failed for a reason that a restart does not
// remove, such as a mistake in its configuration. See Fatal.
type FatalError struct{ Err error }

// Fatal wraps the error with which a child exits so that it is not restarted: its
// supervisor gives up at once, as if the intensity had been exceeded, and by
// Spec.OnExhausted is parked or fails upwards. That failure is one like any other
// to the supervisor above. A child that would not be restarted anyway, because it
// is temporary or an operator has asked for its end, is not affected.
func Fatal(err error) error { return &FatalError{err} }

// Error is the text of Err.
func (e *FatalError) Error() string { return e.Err.Error() }

// Unwrap is Err.
func (e *FatalError) Unwrap() error { return e.Err }

// fatal says that a restart of what failed with err would not help. What the
// child of a child found fatal is none of it: that has had its consequence.
func fatal(err error) bool {
	if _, below := errors.AsType[*ExhaustedError](err); below {
		return false
	}
	_, found := errors.AsType[*FatalError](err)
	return found
}

// caught turns what recover returned in a deferred function into an error. It
// must be called from that function, or else the stack is not the panic's; nil
// stands for runtime.Goexit, so call it only when the function did not return.
func caught(value any) error {
	if value == nil {
		return errGoexit
	}
	return &PanicError{Value: value, Stack: callers(nil).text}
}

// caught is the same for the node's actor. To put a stack into words takes a
// quarter of the time of a restart, and what crashes again and again mostly does
// so at the same place: the last stack is kept.
func (n *node) caught(value any) error {
	if value == nil {
		return errGoexit
	}
	t := callers(n.trace.Load())
	n.trace.Store(t)
	return &PanicError{Value: value, Stack: t.text}
}

// trace is a stack.
type trace struct {
	pcs  []uintptr
	text []byte // not to be changed
}

// hooked is the function below which all stacks of actors are the same.
const hooked = ".(*hook).InvokeUserMessage"

// callers is the stack of its caller's caller, one line for a function and one
// for its place, as in runtime/debug. That package formats the arguments too,
// which takes most of the time of a whole restart. If it is the same as last, it
// is last.
func callers(last *trace) *trace {
	var array [64]uintptr
	pcs := array[:runtime.Callers(3, array[:])]
	if last != nil && slices.Equal(last.pcs, pcs) {
		return last
	}
	frames := runtime.CallersFrames(pcs)
	b := make([]byte, 0, 2048)
	for more := true; more; {
		var f runtime.Frame
		if f, more = frames.Next(); f.PC != 0 {
			b = append(b, f.Function...)
			b = append(b, "(...)\n\t"...)
			b = append(b, f.File...)
			b = append(b, ':')
			b = strconv.AppendInt(b, int64(f.Line), 10)
			b = append(b, '\n')
		}
		more = more && !strings.HasSuffix(f.Function, hooked)
	}
	return &trace{slices.Clone(pcs), b}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
