package process

import (
	"errors"
	"fmt"
	"time"

	"github.com/magne-actors/magne-actors/internal/osproc"
	"github.com/magne-actors/magne-actors/task"
)

// ErrNotStarted says that a task was not given to a worker, or certainly not
// begun by it, so that it costs no attempt to run it elsewhere.
var ErrNotStarted = errors.New("the task was not started")

// ErrCannotStart says that there is no process for the task, by the fault of the
// program or of the machine and not of the task: the program, its interpreter, its
// directory or its user is missing, or the system has no process, descriptor or
// memory left. It wraps ErrNotStarted. Who ran the task should fail as well: the
// next one would fare the same.
var ErrCannotStart error = cannotStartError{}

type cannotStartError struct{}

func (cannotStartError) Error() string { return "the program cannot be started" }
func (cannotStartError) Unwrap() error { return ErrNotStarted }

// The causes in LostError.Why and Autopsy.Why.
const (
	WhyTimeout  = "timeout"  // the task reached Timeout.Hard
	WhyWatchdog = "watchdog" // the worker said nothing for Options.Watchdog
	WhyHung     = "hung"     // it did not read, or did not answer pings
	WhyProtocol = "protocol" // it broke the protocol
	WhyExit     = "exit"     // it ended by itself or by a signal of somebody else
	WhyMemory   = "memory"   // it exceeded Recycle.MaxRSSHard, or the kernel found it out of memory
	WhyOperator = "operator" // an operator killed it
	// The next ones are no fault of the task.
	WhyStart     = "start"     // it did not get ready
	WhyShutdown  = "shutdown"  // it was told to finish and had not when its time was up
	WhyNeighbour = "neighbour" // it was ended because of another task that it ran
)

// LostError says that a worker died, or had to be killed, while it ran a task. It
// may have been the task's fault: see Options.MaxLost.
type LostError struct {
	Why  string      // one of the constants above
	Exit osproc.Exit // of the worker; its log's last lines are in Tail
	Err  error       // more about Why, for example the protocol error; may be nil
	// Company is how many other tasks it ran then; any of them may be to blame.
	Company int
}

// Error is one line.
func (e *LostError) Error() string {
	s := fmt.Sprintf("the worker was lost (%s): %v", e.Why, e.Exit)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap is Err.
func (e *LostError) Unwrap() error { return e.Err }

// ErrorKind is timeout or worker_lost, see task.ErrorKind.
func (e *LostError) ErrorKind() string {
	if e.Why == WhyTimeout {
		return task.KindTimeout
	}
	return task.KindWorkerLost
}

// TaskError is what a worker answered for a failed attempt.
type TaskError struct {
	Kind      string // the worker's class of error, such as ValueError
	Message   string
	Traceback string // may be empty
	// Timeout says that the task failed because it was told to end, for its time was
	// over: by Timeout.Soft, the deadline of its context, or a TERM at Timeout.Hard.
	Timeout bool
}

// ErrorKind is timeout for a task whose time was over, and else Kind; see
// task.ErrorKind.
func (e *TaskError) ErrorKind() string {
	if e.Timeout {
		return task.KindTimeout
	}
	return e.Kind
}

// Error is the kind and the message.
func (e *TaskError) Error() string {
	if e.Kind == "" {
		return e.Message
	}
	return e.Kind + ": " + e.Message
}

// Autopsy is what is known about the end of a worker.
type Autopsy struct {
	Exit  osproc.Exit
	Why   string // as in LostError; empty for an end that was asked for
	Error string
	Task  string        // the id of the task that it ran, if any
	For   time.Duration // how long it had run that
	Step  string        // the last boot step that it told, if it died before its hello
	Wchan string        // where in the kernel it was when it was found hung
}
