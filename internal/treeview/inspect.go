package treeview

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/supervisor"
)

// Inspect returns everything about one node: a line for each field that it has,
// the stack of the panic in its last error, and one line for each child.
func Inspect(n *supervisor.Node, now time.Time, o Options) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	field := func(name, text string) {
		if text != "" && text != "-" {
			fmt.Fprintf(w, "%s\t%s\n", name, text)
		}
	}
	field("id", clean(n.ID))
	field("kind", clean(n.Kind))
	field("state", paint(clean(n.State), control.StateHealth(n.State), o.Color))
	field("detail", clean(n.Detail))
	field("pid", pid(n))
	field("since", moment(n.Since, now))
	figures(n, field)
	process(n, now, field)
	field("busy since", moment(n.BusySince, now))
	field("backoff until", moment(n.Until, now))
	if n.Window != nil {
		field("window", fmt.Sprintf("%d of %d restarts within %s", n.Window.Restarts, n.Window.Intensity, age(n.Window.Period)))
	}
	field("last error", clean(n.LastError))
	quarantineFields(n.Quarantine, now, field)
	spoolFields(n.Spool, now, field)
	_ = w.Flush() // into memory
	if n.Stack != "" {
		b.WriteString("\nstack of the last panic\n")
		for line := range strings.Lines(n.Stack) {
			indent := strings.Repeat("  ", 1+min(1, strings.Count(line, "\t")))
			b.WriteString(indent + clean(line) + "\n")
		}
	}
	consumer(&b, n.Consumer, now)
	exits(&b, n.Exits)
	if len(n.Children) > 0 {
		b.WriteString("\n")
		g := grid{columns: []column{{title: "CHILD"}, {title: "KIND"}, {title: "STATE", health: true}, {title: "RESTARTS", figures: true}, {title: "LAST-ERROR"}}}
		for _, c := range n.Children {
			g.rows = append(g.rows, row{health: control.StateHealth(c.State), cells: []string{
				clean(c.ID), clean(c.Kind), clean(c.State), figure(c.Restarts), clean(c.LastError),
			}})
		}
		g.write(&b, o)
	}
	return b.String()
}

// figures are the numbers that a node has.
func figures(n *supervisor.Node, field func(name, text string)) {
	for _, f := range []struct {
		name  string
		value *int64
	}{
		{"queued", n.Queued},
		{"running", n.Running},
		{"in flight", n.InFlight},
		{"peak", n.Peak},
		{"high", n.High},
		{"low", n.Low},
	} {
		field(f.name, figure(f.value))
	}
	if n.Paused != nil {
		field("paused", strconv.FormatBool(*n.Paused))
	}
	for _, f := range []struct {
		name  string
		value *int64
	}{
		{"pauses", n.Pauses},
		{"settled", n.Settled},
		{"abandoned", n.Abandoned},
		{"mailbox", n.Mailbox},
		{"handled", n.Handled},
		{"failures", n.Failures},
		{"restarts", n.Restarts},
	} {
		field(f.name, figure(f.value))
	}
}

// quarantineFields are about suspects, of a router or of a slot.
func quarantineFields(q *supervisor.Quarantine, now time.Time, field func(name, text string)) {
	switch {
	case q == nil:
	case q.Lost > 0:
		field("quarantine", fmt.Sprintf("runs a suspect alone since %s: %s died under it", since(q.Since, now), count(int64(q.Lost), "worker has", "workers have")))
	case q.Kept:
		field("quarantine", "is kept for a suspect, and ends what it has")
	default:
		field("quarantine", fmt.Sprintf("%d suspects run alone, %d wait", q.Running, q.Waiting))
	}
}

// spoolFields are about what waits on the disk.
func spoolFields(s *supervisor.Spool, now time.Time, field func(name, text string)) {
	if s == nil {
		return
	}
	text := fmt.Sprintf("%d messages, %d of %d bytes", s.Messages, s.Bytes, s.MaxBytes)
	if s.Retrying > 0 {
		text += fmt.Sprintf(", %d refused so far", s.Retrying)
	}
	field("spool", text)
	field("spool oldest", moment(s.Oldest, now))
	field("spool error", clean(s.LastError))
}

// moment is a time and how far it is away.
func moment(t *time.Time, now time.Time) string {
	switch {
	case t == nil:
		return ""
	case t.After(now):
		return t.UTC().Format(time.RFC3339) + ", in " + age(t.Sub(now))
	}
	return t.UTC().Format(time.RFC3339) + ", " + age(now.Sub(*t)) + " ago"
}
