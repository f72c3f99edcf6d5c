package treeview

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/supervisor"
)

// Options says how to render. The zero value is plain text without limits of
// width.
type Options struct {
	Version string // shown in the header when not empty
	Color   bool   // ANSI colours on the health and the state
	// Width is how many columns the terminal has: LAST-ERROR is cut to what is
	// left, but never below 20. 0 means no limit.
	Width int
}

// gap separates two columns.
const gap = "  "

// minError is the least width that LAST-ERROR is cut to.
const minError = 20

var header = [...]string{
	"ID", "KIND", "STATE", "PID", "UP", "RESTARTS", "QUEUED", "RUNNING", "IN-FLIGHT(high/low)", "SETTLED", "LAST-ERROR",
}

const (
	colState = 2
	colError = len(header) - 1
)

// right says which columns hold figures.
var right = [len(header)]bool{3: true, 4: true, 5: true, 6: true, 7: true, 9: true}

// row is one line: the cells without padding, and the health of the state for
// its colour.
type row struct {
	cells  [len(header)]string
	health control.Health
}

// Render returns the tree below root as text: a header line, the column titles,
// and one line for each node. It ends with a newline. now is what the UP
// column counts to.
func Render(root *supervisor.Node, now time.Time, o Options) string {
	var b strings.Builder
	b.WriteString(title(root, now, o))
	if root == nil {
		return b.String()
	}
	t := table{now: now, rows: []row{{cells: header}}}
	t.add(root, "", "")
	t.write(&b, o)
	return b.String()
}

// title is the line above the table.
func title(root *supervisor.Node, now time.Time, o Options) string {
	parts := []string{strings.TrimSpace("magne-actors " + clean(o.Version))}
	if root != nil && root.PID != nil {
		parts = append(parts, "pid "+strconv.Itoa(*root.PID))
	}
	if root != nil && root.Since != nil {
		parts = append(parts, "up "+age(now.Sub(*root.Since)))
	}
	h := control.TreeHealth(root)
	parts = append(parts, paint(strings.ToUpper(h.String()), h, o.Color))
	return strings.Join(parts, gap) + "\n"
}

type table struct {
	now  time.Time
	rows []row
}

// add appends n and what is below it. first is drawn before n's own id, rest
// before those of its descendants.
func (t *table) add(n *supervisor.Node, first, rest string) {
	t.rows = append(t.rows, t.row(n, first))
	for i, c := range n.Children {
		if i < len(n.Children)-1 {
			t.add(c, rest+"|- ", rest+"|  ")
		} else {
			t.add(c, rest+"`- ", rest+"   ")
		}
	}
}

func (t *table) row(n *supervisor.Node, branch string) row {
	up := "-"
	if n.Since != nil {
		up = age(t.now.Sub(*n.Since))
	}
	pid := "-"
	if n.PID != nil {
		pid = strconv.Itoa(*n.PID)
	}
	return row{
		health: control.StateHealth(n.State),
		cells: [...]string{
			branch + clean(n.ID), clean(n.Kind), state(n), pid, up,
			figure(n.Restarts), figure(n.Queued), figure(n.Running), inFlight(n), figure(n.Settled),
			clean(n.LastError),
		},
	}
}

// state is the state word and what belongs to it: detail, how often a pool was
// paused, how many tasks were abandoned.
func state(n *supervisor.Node) string {
	s := clean(n.State)
	if n.Paused != nil && *n.Paused && n.State != "paused" {
		s += " paused"
	}
	if n.Pauses != nil && *n.Pauses > 0 {
		s += fmt.Sprintf(" (paused %dx)", *n.Pauses)
	}
	if n.Abandoned != nil && *n.Abandoned > 0 {
		s += fmt.Sprintf(" (%d abandoned)", *n.Abandoned)
	}
	if n.Detail != "" {
		s += " " + clean(n.Detail)
	}
	return s
}

func figure(p *int64) string {
	if p == nil {
		return "-"
	}
	return strconv.FormatInt(*p, 10)
}

func inFlight(n *supervisor.Node) string {
	if n.High == nil && n.Low == nil {
		return figure(n.InFlight)
	}
	return figure(n.InFlight) + " (" + figure(n.High) + "/" + figure(n.Low) + ")"
}

// age is a duration in at most two units: 4.2s, 52s, 41m, 3h12m, 5d3h.
func age(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Truncate(100*time.Millisecond).Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

func (t *table) write(b *strings.Builder, o Options) {
	var widths [len(header)]int
	before := 0 // width of everything left of the last column
	for i := range widths[:colError] {
		for _, r := range t.rows {
			widths[i] = max(widths[i], width(r.cells[i]))
		}
		before += widths[i] + len(gap)
	}
	for i, r := range t.rows {
		if o.Width > 0 {
			r.cells[colError] = truncate(r.cells[colError], max(o.Width-before, minError))
		}
		b.WriteString(r.line(&widths, o.Color && i > 0))
		b.WriteByte('\n')
	}
}

// line pads the cells; a line has no blanks at its end.
func (r *row) line(widths *[len(header)]int, color bool) string {
	var b strings.Builder
	for i, cell := range r.cells {
		pad := strings.Repeat(" ", max(widths[i]-width(cell), 0))
		if i == colState {
			cell = paint(cell, r.health, color)
		}
		if right[i] {
			b.WriteString(pad + cell + gap)
		} else {
			b.WriteString(cell + pad + gap)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// paint colours text by health: green, yellow, red.
func paint(text string, h control.Health, color bool) string {
	if !color {
		return text
	}
	code := map[control.Health]string{control.Healthy: "32", control.Degraded: "33", control.Failed: "31"}[h]
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
