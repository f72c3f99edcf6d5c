package treeview

import (
	"strings"

	"github.com/magne-actors/magne-actors/internal/control"
)

// gap separates two columns.
const gap = "  "

// minLast is the least width that the last column is cut to.
const minLast = 20

// grid is a table of which the last column may be cut.
type grid struct {
	columns []column
	rows    []row
}

// column is a title and how the cells below it are set.
type column struct {
	title   string
	figures bool // set to the right
	health  bool // coloured by the health of the row
	usual   int  // width with Options.Steady, at least
}

// row is one line: the cells without padding.
type row struct {
	cells  []string
	health control.Health
}

// write writes the titles and the rows, each with a newline.
func (g *grid) write(b *strings.Builder, o Options) {
	titles := row{}
	for _, c := range g.columns {
		titles.cells = append(titles.cells, c.title)
	}
	rows := append([]row{titles}, g.rows...)
	last := len(g.columns) - 1
	widths := make([]int, len(g.columns)) // the last is not padded
	before := 0                           // width of everything left of the last column
	for i := range last {
		if o.Steady {
			widths[i] = g.columns[i].usual
		}
		for _, r := range rows {
			widths[i] = max(widths[i], width(r.cells[i]))
		}
		before += widths[i] + len(gap)
	}
	for i, r := range rows {
		if i == 0 && o.Untitled {
			continue
		}
		if o.Width > 0 {
			r.cells[last] = truncate(r.cells[last], max(o.Width-before, minLast))
		}
		b.WriteString(g.line(r, widths, o.Color && i > 0))
		b.WriteByte('\n')
	}
}

// line pads the cells; a line has no blanks at its end.
func (g *grid) line(r row, widths []int, color bool) string {
	var b strings.Builder
	for i, cell := range r.cells {
		pad := strings.Repeat(" ", max(widths[i]-width(cell), 0))
		if g.columns[i].health {
			cell = paint(cell, r.health, color)
		}
		if g.columns[i].figures {
			b.WriteString(pad + cell + gap)
		} else {
			b.WriteString(cell + pad + gap)
		}
	}
	return strings.TrimRight(b.String(), " ")
}
