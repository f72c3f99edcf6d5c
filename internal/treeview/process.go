package treeview

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/supervisor"
)

// process are the fields of the seat of a worker process, and of the root, which is a
// process as well.
func process(n *supervisor.Node, now time.Time, field func(name, text string)) {
	field("task", runs(n, now))
	if n.RSS > 0 {
		field("rss", size(n.RSS))
		field("cpu", strconv.FormatFloat(n.CPU, 'f', 1, 64)+"%")
	}
	if !hasProcesses(n) {
		return
	}
	field("tasks done", figure(n.TasksDone))
	field("tasks failed", figure(n.TasksFailed))
	field("processes", orNone(n.Generation, strconv.FormatInt(n.Generation, 10)))
	field("log left out", orNone(n.LogDropped, count(n.LogDropped, "line", "lines")))
	field("step", clean(n.Step))
	field("last exit", clean(n.LastExit))
}

// lastError is the newest thing that went wrong with a node. A process that was lost
// is replaced without its supervisor, whose error may be an old one. The end of one
// that was asked to go has no reason in parentheses.
func lastError(n *supervisor.Node) string {
	if n.Kind == "slot" && strings.Contains(n.LastExit, " (") {
		return n.LastExit
	}
	return n.LastError
}

// exits writes how the last processes of a seat have ended, each with the last
// lines that it has written.
func exits(b *strings.Builder, list []supervisor.ProcessExit) {
	for i := range list {
		x := &list[i]
		fmt.Fprintf(b, "\n%s  %s\n", x.Time.UTC().Format(time.RFC3339), clean(x.Text))
		for _, text := range []string{exitWhy(x), exitTask(x), exitUsage(x)} {
			if text != "" {
				b.WriteString("  " + text + "\n")
			}
		}
		for _, line := range x.Log {
			b.WriteString(strings.TrimRight("  | "+indented(line), " ") + "\n")
		}
	}
}

// exitWhy is what is known of the reason.
func exitWhy(x *supervisor.ProcessExit) string {
	parts := make([]string, 0, 6)
	add := func(there bool, format string, args ...any) {
		if there {
			parts = append(parts, clean(fmt.Sprintf(format, args...)))
		}
	}
	add(x.Why != "", "%s", x.Why)
	add(x.Error != "", "%s", x.Error)
	add(x.Step != "", "while starting, at step %q", x.Step)
	add(x.Wchan != "", "it hung in %s", x.Wchan)
	add(x.Core, "there is a core dump")
	add(x.Swept > 0, "%s", count(int64(x.Swept), "process that it left behind was killed", "processes that it left behind were killed"))
	return strings.Join(parts, "; ")
}

func exitTask(x *supervisor.ProcessExit) string {
	if x.Task == "" {
		return ""
	}
	return fmt.Sprintf("it ran %s for %s", clean(x.Task), age(x.For))
}

func exitUsage(x *supervisor.ProcessExit) string {
	if x.PID == 0 { // it was never there
		return ""
	}
	text := fmt.Sprintf("pid %d, cpu %s user, %s system", x.PID, age(x.User), age(x.System))
	if x.MaxRSS > 0 {
		text += ", at most " + size(x.MaxRSS)
	}
	return text
}
