package top

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/internal/treeview"
)

const (
	gap       = "  " // between two columns
	minID     = 12   // what the first column keeps in a small window
	minErrors = 12   // less is no room for the column of errors

	rankOfErrors = 9 // columns of this rank and above leave room for it
)

// column is one of the columns right of the id.
type column struct {
	title   string
	width   int
	rank    int  // the columns with the least have room first
	usage   bool // of processes, which not every tree tells
	figures bool
	cell    func(l *Line, now time.Time) string
}

// columns are all columns but the first, ID, and the last, LAST-ERROR, in their
// order on the screen.
func columns() []column {
	return []column{
		{"KIND", 7, 9, false, false, func(l *Line, _ time.Time) string { return clean(l.Kind) }},
		{"STATE", 13, 0, false, false, func(l *Line, _ time.Time) string { return stateWord(l) }},
		{"QUEUED", 6, 5, false, true, func(l *Line, _ time.Time) string { return figure(l.Queued) }},
		{"RUN", 5, 4, false, true, func(l *Line, _ time.Time) string { return figure(l.Running) }},
		{"IN-FLIGHT", 11, 1, false, true, func(l *Line, _ time.Time) string { return inFlight(l) }},
		{"SETTLED/S", 9, 2, false, true, func(l *Line, _ time.Time) string { return rate(l.ended()) }},
		{"HANDLED/S", 9, 6, false, true, func(l *Line, _ time.Time) string { return rate(l.HandledRate) }},
		{"RESTARTS", 8, 3, false, true, func(l *Line, _ time.Time) string { return restarts(l) }},
		{"CPU%", 6, 7, true, true, func(l *Line, _ time.Time) string { return cpu(l) }},
		{"RSS", 5, 8, true, true, func(l *Line, _ time.Time) string { return size(l.RSS) }},
		{"UP", 6, 10, false, true, func(l *Line, now time.Time) string { return since(l.Since, now) }},
	}
}

// grid is how the columns share the width of the window.
type grid struct {
	id      int // width of the first column
	columns []column
	errors  int // width of the last column, 0 without it
}

// fit chooses the columns that have room beside ids of a width, the column by
// which the list is ordered first.
func fit(width, idWidth int, ordered string, usage bool) grid {
	all := columns()
	for i := range all {
		if all[i].title == ordered {
			all[i].rank = -1
		}
	}
	byRank := make([]int, len(all))
	for i := range all {
		byRank[i] = i
	}
	slices.SortFunc(byRank, func(a, b int) int { return all[a].rank - all[b].rank })
	g := grid{id: min(idWidth, max(width/3, minID), width)}
	rest := width - g.id
	chosen := make([]bool, len(all))
	for _, i := range byRank {
		need := len(gap) + all[i].width
		if all[i].rank >= rankOfErrors {
			need += len(gap) + minErrors
		}
		if need > rest || all[i].usage && !usage {
			continue
		}
		chosen[i] = true
		rest -= len(gap) + all[i].width
	}
	for i := range all {
		if chosen[i] {
			g.columns = append(g.columns, all[i])
		}
	}
	grow := min(max(idWidth-g.id, 0), rest)
	if rest-grow-len(gap) >= minErrors {
		g.errors = rest - grow - len(gap)
	} else {
		grow = rest
	}
	g.id += grow
	return g
}

// titles is the line above the list.
func (g *grid) titles() string {
	var b strings.Builder
	b.WriteString(pad("ID", g.id, false))
	for _, c := range g.columns {
		b.WriteString(gap + pad(c.title, c.width, c.figures))
	}
	if g.errors > 0 {
		b.WriteString(gap + "LAST-ERROR")
	}
	return b.String()
}

// line is a line of the list, padded to the width of the columns. Only the state
// is coloured.
func (g *grid) line(l *Line, id string, now time.Time, color bool) string {
	var b strings.Builder
	b.WriteString(pad(id, g.id, false))
	for _, c := range g.columns {
		cell := pad(c.cell(l, now), c.width, c.figures)
		if c.title == "STATE" && color {
			cell = paint(cell, control.StateHealth(l.State))
		}
		b.WriteString(gap + cell)
	}
	if g.errors > 0 {
		b.WriteString(gap + pad(remark(l, now), g.errors, false))
	}
	return b.String()
}

func stateWord(l *Line) string {
	word := clean(l.State)
	if l.Detail == "parked" {
		word += " parked"
	}
	return word
}

// remark is the last error, or what a process runs while all is well.
func remark(l *Line, now time.Time) string {
	if l.Task == "" || l.LastError != "" && control.StateHealth(l.State) != control.Healthy {
		return clean(l.LastError)
	}
	return "task " + clean(l.Task) + " " + since(l.TaskSince, now)
}

// cpu is what the process of a node uses.
func cpu(l *Line) string {
	if l.RSS == 0 {
		return "-"
	}
	return rate(&l.CPU)
}

func inFlight(l *Line) string {
	if l.High == nil {
		return figure(l.InFlight)
	}
	return figure(l.InFlight) + "/" + figure(l.High)
}

// restarts is how many there were, and how many of them are new.
func restarts(l *Line) string {
	if value(l.NewRestarts) == 0 {
		return figure(l.Restarts)
	}
	return figure(l.Restarts) + " +" + strconv.FormatInt(*l.NewRestarts, 10)
}

func figure(p *int64) string {
	if p == nil {
		return "-"
	}
	return strconv.FormatInt(*p, 10)
}

// rate is a number in at most seven characters.
func rate(p *float64) string {
	switch {
	case p == nil:
		return "-"
	case *p == 0:
		return "0"
	case *p < 99.95:
		return strconv.FormatFloat(*p, 'f', 1, 64)
	case *p < 1e6:
		return strconv.FormatFloat(*p, 'f', 0, 64)
	}
	return strconv.FormatFloat(*p/1e6, 'f', 1, 64) + "M"
}

// size is a number of bytes in binary units: 812K, 148M, 1.2G.
func size(n int64) string {
	switch {
	case n <= 0:
		return "-"
	case n < 1<<20:
		return strconv.FormatInt(n>>10, 10) + "K"
	case n < 1000<<20:
		return strconv.FormatInt(n>>20, 10) + "M"
	}
	return strconv.FormatFloat(float64(n)/(1<<30), 'f', 1, 64) + "G"
}

func since(t *time.Time, now time.Time) string {
	if t == nil {
		return "-"
	}
	return treeview.Age(now.Sub(*t))
}
