package treeview

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/magne-actors/magne-actors/supervisor"
)

// extra is a column of Options.Wide.
type extra struct {
	column
	cell func(n *supervisor.Node, now time.Time) string
}

// moreColumns are the columns that a wide table has before its last one: those of
// actors, and where there are worker processes those of these.
func moreColumns(root *supervisor.Node, o Options) []extra {
	if !o.Wide {
		return nil
	}
	figures := func(title string, cell func(*supervisor.Node, time.Time) string) extra {
		return extra{column{title: title, figures: true}, cell}
	}
	all := []extra{
		figures("MAILBOX", func(n *supervisor.Node, _ time.Time) string { return figure(n.Mailbox) }),
		figures("HANDLED", func(n *supervisor.Node, _ time.Time) string { return figure(n.Handled) }),
		figures("BUSY", func(n *supervisor.Node, now time.Time) string { return since(n.BusySince, now) }),
		figures("FAILURES", func(n *supervisor.Node, _ time.Time) string { return figure(n.Failures) }),
		{column{title: "WINDOW"}, func(n *supervisor.Node, _ time.Time) string { return window(n.Window) }},
	}
	if slices.ContainsFunc(Flat(root), func(n *supervisor.Node) bool { return n.Consumer != nil }) {
		all = append(all, extra{column{title: "CONSUMER"}, consumption})
	}
	processes := slices.ContainsFunc(Flat(root), hasProcesses)
	if processes {
		all = append(all, figures("GENERATION", func(n *supervisor.Node, _ time.Time) string {
			return orNone(n.Generation, strconv.FormatInt(n.Generation, 10))
		}))
	}
	if processes || slices.ContainsFunc(Flat(root), func(n *supervisor.Node) bool { return n.RSS > 0 }) {
		all = append(all,
			figures("CPU%", func(n *supervisor.Node, _ time.Time) string {
				return orNone(n.RSS, strconv.FormatFloat(n.CPU, 'f', 1, 64))
			}),
			figures("RSS", func(n *supervisor.Node, _ time.Time) string { return orNone(n.RSS, size(n.RSS)) }))
	}
	if !processes {
		return all
	}
	return append(all,
		figures("DONE/FAILED", func(n *supervisor.Node, _ time.Time) string { return doneFailed(n) }),
		extra{column{title: "TASK"}, runs},
		extra{column{title: "LAST-EXIT"}, func(n *supervisor.Node, _ time.Time) string { return orDash(clean(n.LastExit)) }},
	)
}

// widen puts the titles before the last one.
func (g *grid) widen(more []extra) {
	for _, e := range more {
		g.columns = slices.Insert(g.columns, len(g.columns)-1, e.column)
	}
}

// widen puts the cells before the last one.
func (r *row) widen(more []extra, n *supervisor.Node, now time.Time) {
	for _, e := range more {
		r.cells = slices.Insert(r.cells, len(r.cells)-1, e.cell(n, now))
	}
}

// hasProcesses reports whether the node is the seat of worker processes.
func hasProcesses(n *supervisor.Node) bool { return n.Generation > 0 || n.TasksDone != nil }

// window is how many restarts of how many that are allowed there were, and in which
// time: "2/5 1m".
func window(w *supervisor.Window) string {
	if w == nil {
		return "-"
	}
	return fmt.Sprintf("%d/%d %s", w.Restarts, w.Intensity, age(w.Period))
}

// runs is the task of a process and for how long it has had it.
func runs(n *supervisor.Node, now time.Time) string {
	switch {
	case n.Task == "":
		return "-"
	case n.TaskSince == nil:
		return clean(n.Task)
	}
	return clean(n.Task) + " " + age(now.Sub(*n.TaskSince))
}

func doneFailed(n *supervisor.Node) string {
	if n.TasksDone == nil && n.TasksFailed == nil {
		return "-"
	}
	return fmt.Sprintf("%d/%d", value(n.TasksDone), value(n.TasksFailed))
}

// size is a number of bytes: 512K, 148M, 1.2G.
func size(bytes int64) string {
	switch {
	case bytes < 1<<20:
		return strconv.FormatInt(bytes>>10, 10) + "K"
	case bytes < 1<<30:
		return strconv.FormatInt(bytes>>20, 10) + "M"
	}
	return strconv.FormatFloat(float64(bytes)/(1<<30), 'f', 1, 64) + "G"
}

func orNone(n int64, text string) string {
	if n == 0 {
		return "-"
	}
	return text
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
