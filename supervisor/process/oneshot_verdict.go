package process

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/internal/osproc"
	"github.com/magne-actors/magne-actors/task"
)

// Exit statuses of sysexits.h that say more than that a task failed.
const (
	exitData      = 65 // EX_DATAERR: the message is wrong
	exitTemporary = 75 // EX_TEMPFAIL: try again later
	exitConfig    = 78 // EX_CONFIG: the worker is
)

// ending is why we have stopped a process; the zero value: we have not.
type ending struct {
	why   string        // as in LostError
	after time.Duration // for a timeout
	cause error         // for the end of a context
}

func cancelledBy(cause error) ending {
	if errors.Is(cause, context.DeadlineExceeded) {
		return ending{why: "timeout", cause: cause}
	}
	return ending{why: "operator", cause: cause}
}

// verdict turns the end of a process into the outcome of its task. exit has no
// secrets any more.
func verdict(exit osproc.Exit, end ending) error {
	switch {
	case exit.Signal != 0:
		return lost(exit, end)
	case exit.Code == 0:
		return nil
	case exit.Code == exitTemporary:
		return task.Retry(taskError(exit, end), 0)
	case exit.Code == exitData, exit.Code == exitConfig:
		return task.Discard(taskError(exit, end))
	case end.cause != nil:
		return lost(exit, end) // how programs end at TERM: it says nothing about the task
	default:
		return taskError(exit, end)
	}
}

func lost(exit osproc.Exit, end ending) *LostError {
	e := &LostError{Why: end.why, Exit: exit, Err: end.cause}
	switch {
	case exit.Cause == osproc.OOMCgroup || exit.Cause == osproc.OOMHost:
		e.Why = "memory"
	case end.after > 0:
		e.Err = fmt.Errorf("the task ran longer than %v", end.after)
	case end.why == "":
		e.Why = "exit"
	}
	return e
}

// taskError says what a process said at its end.
func taskError(exit osproc.Exit, end ending) *TaskError {
	e := &TaskError{Kind: fmt.Sprintf("exit status %d", exit.Code), Traceback: lastLines(exit.Tail, 20, 8<<10)}
	if end.after > 0 {
		e.Kind, e.Timeout = fmt.Sprintf("TERM after %v, %s", end.after, e.Kind), true
	}
	e.Message = lastLines(exit.Tail, 1, 512)
	if e.Message == "" {
		e.Message = "nothing on stderr"
	}
	return e
}

// lastLines joins the last lines of stderr that are not blank, at most n of them
// and about as many bytes.
func lastLines(tail []osproc.Line, n, bytes int) string {
	var last []string
	for i := len(tail) - 1; i >= 0 && len(last) < n && bytes > 0; i-- {
		text := strings.ToValidUTF8(strings.TrimRight(tail[i].Text, " \t\r"), "\uFFFD")
		if tail[i].Stream != osproc.Stderr || text == "" {
			continue
		}
		if len(text) > bytes {
			text = strings.ToValidUTF8(text[:bytes], "") + "..."
		}
		bytes -= len(text)
		last = append([]string{text}, last...)
	}
	return strings.Join(last, "\n")
}
