package process

import (
	"fmt"
	"slices"
	"time"

	"github.com/magne-actors/magne-actors/internal/wire"
	"github.com/magne-actors/magne-actors/supervisor"
)

// Inspect adds to the node of the slot what only it knows; it is for
// supervisor.Child.Inspect and reads atomics only. The last exits with all that is
// known of them are added for System.Inspect.
func (s *Slot) Inspect(n *supervisor.Node) {
	done, failed := s.done.Load(), s.failed.Load()
	n.TasksDone, n.TasksFailed, n.Generation = &done, &failed, s.generation.Load()
	s.inspectExits(n)
	c := s.current.Load()
	if c == nil {
		return
	}
	n.Since = &c.began // the seat is older
	if p := c.proc.Load(); p != nil {
		pid := p.PID()
		n.PID = &pid
	}
	n.RSS, n.CPU, n.LogDropped = c.rss.Load(), float64(c.cpu.Load())/10, c.leftOut()
	if t := c.head.Load(); t != nil {
		began := t.began
		n.Task, n.TaskSince = t.label(), &began
	}
	var running int64
	for _, each := range *s.children.Load() { // also of one that finishes what it has
		running += int64(each.running())
	}
	n.Running = &running
	phase := c.phase.Load()
	if step := c.step.Load(); step != nil && phase == childBooting {
		n.Step = *step
	}
	s.inspectState(n, c, phase)
}

// inspectState keeps the supervisor's word unless the slot is up: then its process
// may be another one already, that is not.
func (s *Slot) inspectState(n *supervisor.Node, c *child, phase int32) {
	switch phase {
	case childBooting:
		if n.State == "up" {
			n.State = "starting"
		}
		if n.Step != "" {
			n.Detail = fmt.Sprintf("step %q", n.Step)
		}
	case childDraining:
		n.Detail = "draining"
	case childStopping:
		n.Detail = "ending its process"
	default:
		n.Detail = c.doing()
	}
	if others := len(*s.children.Load()) - 1; others > 0 {
		n.Detail += fmt.Sprintf(", %d more on the way in or out", others)
	}
	if strange := s.strange.Load(); strange > 0 && n.InDetail {
		n.Detail += fmt.Sprintf(", %d frames late or unknown", strange)
	}
}

// leftOut is how many lines and log frames of the process are not in the log.
func (c *child) leftOut() int64 {
	n := c.unlogged.Load()
	if p := c.proc.Load(); p != nil {
		n += p.Dropped()
	}
	return n
}

// doing is what a process that is ready does, in words.
func (c *child) doing() string {
	t := c.head.Load()
	if t == nil {
		return "idle"
	}
	text := "busy " + t.name
	if p := c.progress.Load(); p != nil && p.ID == t.frame.ID {
		text += progress(p)
	}
	return text
}

func progress(f *wire.Frame) string {
	text := fmt.Sprintf(" %.0f%%", f.Percent)
	if f.Message != "" {
		text += " " + clip(f.Message, 80)
	}
	return text
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "..."
}

// running is how many tasks the process has.
func (c *child) running() int {
	n := 0
	for i := range c.tasks {
		if c.tasks[i].Load() != nil {
			n++
		}
	}
	return n
}

func (s *Slot) inspectExits(n *supervisor.Node) {
	exits := *s.exits.Load()
	if len(exits) == 0 {
		return
	}
	n.LastExit = exits[len(exits)-1].line()
	if !n.InDetail {
		return
	}
	for _, a := range slices.Backward(exits) {
		n.Exits = append(n.Exits, a.node())
	}
}

// remember keeps the last exits. Only one actor at a time writes.
func (s *Slot) remember(a Autopsy) {
	old := *s.exits.Load()
	list := append(slices.Clone(old[max(0, len(old)-maxExits+1):]), a)
	s.exits.Store(&list)
}

// autopsy adds what the machine does not know of.
func (c *child) autopsy(a Autopsy) Autopsy {
	if where := c.wchan.Load(); where != nil {
		a.Wchan = *where
	}
	if a.Exit.Ended.IsZero() { // it was never there
		a.Exit.Ended = time.Now()
		a.Exit.Started = a.Exit.Ended
	}
	return a
}

// line says the end of a process in one line: how, why, doing what, and its last
// word.
func (a Autopsy) line() string {
	text := a.Exit.String()
	if a.Exit.PID == 0 {
		text = "not started"
	}
	if a.Why != "" {
		text += " (" + a.Why + ")"
	}
	if a.Task != "" {
		text += fmt.Sprintf(", task %s for %v", a.Task, a.For.Round(time.Millisecond))
	}
	if a.Step != "" {
		text += fmt.Sprintf(" at step %q", clip(a.Step, 80))
	}
	switch n := len(a.Exit.Tail); {
	case a.Error != "":
		text += ": " + clip(a.Error, 200)
	case n > 0 && a.Why != "":
		text += fmt.Sprintf(": %q", clip(a.Exit.Tail[n-1].Text, 200))
	}
	return text
}

func (a Autopsy) node() supervisor.ProcessExit {
	e := supervisor.ProcessExit{
		Time: a.Exit.Ended, PID: a.Exit.PID, Text: a.Exit.String(), Why: a.Why, Error: a.Error,
		Code: a.Exit.Code, Core: a.Exit.Core, Swept: a.Exit.Swept, Task: a.Task, For: a.For, Step: a.Step, Wchan: a.Wchan,
		MaxRSS: a.Exit.MaxRSS, User: a.Exit.User, System: a.Exit.System,
	}
	if a.Exit.PID == 0 {
		e.Text = "not started"
	}
	if a.Exit.Signal != 0 {
		e.Signal = a.Exit.Signal.String()
	}
	for _, l := range a.Exit.Tail {
		e.Log = append(e.Log, l.Text)
	}
	return e
}
