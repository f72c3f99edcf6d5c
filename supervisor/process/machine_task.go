package process

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/magne-actors/magne-actors/internal/wire"
	"github.com/magne-actors/magne-actors/task"
)

// Reasons of a cancel frame.
const (
	cancelTimeout  = "timeout"
	cancelRevoked  = "revoked"
	cancelShutdown = "shutdown"
)

// onRun gives a task to the current worker, or says that nobody can take it. It
// never waits here: whoever has the task can do better with it.
func (m *machine) onRun(c *call) {
	w := m.current
	if w == nil || !w.takesTasks() || len(w.tasks) >= w.opts.Pipeline {
		m.do(effAnswer{0, c, ErrNotStarted})
		return
	}
	if len(w.tasks) == 0 {
		w.busy, w.pinged, w.missed = m.now, time.Time{}, 0
	}
	c.frame.ID = w.session.Issue()
	c.place = w.freePlace()
	w.tasks = append(w.tasks, c)
	m.do(effTask{w.key, c, w.left(c, m.now)})
	if len(w.tasks) <= w.slots {
		m.begin(w, c)
	}
}

// freePlace is the lowest one that no task has. There are few.
func (w *worker) freePlace() int {
	for place := 0; ; place++ {
		taken := false
		for _, c := range w.tasks {
			taken = taken || c.place == place
		}
		if !taken {
			return place
		}
	}
}

// left is what a worker is told of how long a task may run; 0 is no limit.
func (w *worker) left(c *call, now time.Time) time.Duration {
	left := cmp.Or(w.opts.Timeout.Hard, w.opts.Timeout.Soft)
	if !c.deadline.IsZero() {
		by := max(c.deadline.Sub(now), time.Millisecond)
		if left == 0 || by < left {
			left = by
		}
	}
	return left
}

// begin starts the clock of a task that the worker runs now.
func (m *machine) begin(w *worker, c *call) {
	t := &w.opts.Timeout
	c.began = m.now
	if t.Soft > 0 && c.cancelled == "" {
		c.soft = m.now.Add(t.Soft)
	}
	if t.Hard > 0 {
		c.hard = m.now.Add(t.Hard)
	}
	if c.revoked { // while it waited in the pipe
		c.hard = earlier(c.hard, m.now.Add(w.opts.grace()))
	}
	if c == w.tasks[0] {
		m.do(effRun{w.key, c})
	}
}

// grace is how long a task that is cancelled has to end.
func (o *Options) grace() time.Duration {
	if t := o.Timeout; t.Soft > 0 && t.Hard > t.Soft {
		return t.Hard - t.Soft
	}
	return cancelTime
}

// onSettled answers a task with what the worker said.
func (m *machine) onSettled(w *worker, f *wire.Frame) {
	c := w.task(f.ID)
	w.done++
	m.drop(w, c) // first: who has the answer must not see the task in an inspection
	m.do(effAnswer{w.key, c, answerOf(f, c.cancelled)})
	if w.limit > 0 && w.done >= w.limit {
		m.recycle(w, fmt.Sprintf("%d tasks", w.done))
	}
}

// drop takes an answered task from its worker, which goes on with the next one.
func (m *machine) drop(w *worker, c *call) {
	head := w.tasks[0]
	w.forget(c)
	if n := len(w.tasks); n >= w.slots && w.slots > 0 {
		if next := w.tasks[w.slots-1]; next.began.IsZero() {
			m.begin(w, next)
		}
	}
	switch {
	case len(w.tasks) == 0:
		m.do(effRun{w.key, nil})
		m.hurry(w)
	case w.tasks[0] != head && w.slots > 1: // begin tells it otherwise
		m.do(effRun{w.key, w.tasks[0]})
	}
}

// kindCancelled is the kind of the answer to a cancel frame.
const kindCancelled = "Cancelled"

// answerOf is the error that a reply stands for; cancelled is why the task was told
// to end, if it was.
func answerOf(f *wire.Frame, cancelled string) error {
	switch f.Type {
	case wire.Error:
		late := cancelled == cancelTimeout && f.Kind == kindCancelled
		err := error(&TaskError{Kind: f.Kind, Message: f.Message, Traceback: string(f.Body), Timeout: late})
		if f.Permanent {
			return task.Discard(err)
		}
		return err
	case wire.Retry:
		if f.Message == "" {
			return task.Retry(nil, f.After)
		}
		return task.Retry(errors.New(f.Message), f.After)
	default:
		return nil
	}
}

// onRefused answers a task that could not be put into a frame: it never can.
func (m *machine) onRefused(w *worker, ev evRefused) {
	c := w.task(ev.id)
	if c == nil {
		return
	}
	w.session.Abandon(ev.id)
	m.drop(w, c)
	m.do(effAnswer{w.key, c, task.Discard(ev.err)})
}

// onRevoke asks the worker to give a task up. It has some time for that.
func (m *machine) onRevoke(ev evRevoke) {
	for _, w := range m.workers {
		if w.task(ev.call.frame.ID) != ev.call {
			continue
		}
		reason := cancelRevoked
		switch {
		case ev.timeout:
			reason = cancelTimeout
		case m.ending:
			reason = cancelShutdown
		}
		m.cancel(w, ev.call, reason)
		m.hasten(w, ev.call)
	}
}

// hasten has the hard timeout come soon for a task that nobody wants any more, also
// if there is none.
func (m *machine) hasten(w *worker, c *call) {
	if !c.revoked && !c.began.IsZero() {
		c.hard = earlier(c.hard, m.now.Add(w.opts.grace()))
	}
	c.revoked = true
}

// cancel tells the worker once.
func (m *machine) cancel(w *worker, c *call, reason string) {
	c.soft = time.Time{}
	if c.cancelled != "" {
		return
	}
	c.cancelled = reason
	m.do(effCancel{w.key, c, reason, w.canSignal && c == w.tasks[0]})
}

// overdue ends the worker of a task that has not ended in time.
func (m *machine) overdue(w *worker, c *call) {
	w.culprit = c
	switch c.cancelled {
	case cancelRevoked:
		m.ladder(w, WhyOperator, errIgnoredCancel)
	case cancelShutdown:
		m.ladder(w, WhyShutdown, errIgnoredCancel)
	default:
		m.ladder(w, WhyTimeout, nil)
	}
}

var errIgnoredCancel = errors.New("the task was cancelled and did not end")

// earlier is the earlier of two moments, of which a may be none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
