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
	// Width is how many columns the terminal has: the last column is cut to what is
	// left, but never below 20. 0 means no limit.
	Width int
	// Wide adds what Render and PS leave out otherwise.
	Wide bool
	// Untitled leaves out the titles of the columns.
	Untitled bool
	// Steady is for a list that is shown piece by piece: columns are as wide as usual
	// even if all that a piece has is shorter, so that the pieces are in line.
	Steady bool
}

func treeColumns() []column {
	return []column{
		{title: "ID"},
		{title: "KIND"},
		{title: "STATE", health: true},
		{title: "PID", figures: true},
		{title: "UP", figures: true},
		{title: "RESTARTS", figures: true},
		{title: "QUEUED", figures: true},
		{title: "RUNNING", figures: true},
		{title: "IN-FLIGHT(high/low)"},
		{title: "SETTLED", figures: true},
		{title: "LAST-ERROR"},
	}
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
	t := table{now: now, grid: grid{columns: treeColumns()}, more: moreColumns(root, o)}
	t.widen(t.more)
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
	grid
	now  time.Time
	more []extra
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
	r := row{
		health: control.StateHealth(n.State),
		cells: []string{
			branch + clean(n.ID), clean(n.Kind), state(n), pid(n), since(n.Since, t.now),
			figure(n.Restarts), figure(n.Queued), figure(n.Running), inFlight(n), figure(n.Settled),
			clean(lastError(n)),
		},
	}
	r.widen(t.more, n, t.now)
	return r
}

// state is the state word and what belongs to it: detail, how often a pool was
// paused, how many tasks were abandoned.
func state(n *supervisor.Node) string {
	s := clean(n.State)
	if n.Paused != nil && *n.Paused && n.State != "paused" {
		s += " paused"
	}
	if n.Pauses != nil && *n.Pauses > 0 {
		s += fmt.Sprintf(" (high reached %dx)", *n.Pauses)
	}
	if n.Abandoned != nil && *n.Abandoned > 0 {
		s += fmt.Sprintf(" (%d abandoned)", *n.Abandoned)
	}
	if n.Detail != "" {
		s += " " + clean(n.Detail)
	}
	return s
}

func pid(n *supervisor.Node) string {
	if n.PID == nil {
		return "-"
	}
	return strconv.Itoa(*n.PID)
}

// since is how long ago t was.
func since(t *time.Time, now time.Time) string {
	if t == nil {
		return "-"
	}
	return age(now.Sub(*t))
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

// paint colours text by health: green, yellow, red.
func paint(text string, h control.Health, color bool) string {
	if !color {
		return text
	}
	code := map[control.Health]string{control.Healthy: "32", control.Degraded: "33", control.Failed: "31"}[h]
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
