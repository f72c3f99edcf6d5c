package top

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/internal/treeview"
)

// layout is how many lines each part of the screen has.
type layout struct {
	head, titles, rows, details, foot int
}

// layout gives the rows what is left of the window. In a low one the other parts
// go first.
func (m *Model) layout() layout {
	l := layout{}
	switch {
	case m.height >= 10:
		l.head = 3
	case m.height >= 5:
		l.head = 1
	}
	if m.height >= 4 {
		l.titles = 1
	}
	if m.height >= 2 {
		l.foot = 1
	}
	l.rows = max(m.height-l.head-l.titles-l.foot, 0)
	if m.details.open {
		l.details = l.rows / 2
		l.rows -= l.details
	}
	return l
}

// View implements tea.Model.
func (m *Model) View() tea.View {
	v := tea.NewView(strings.Join(m.lines(), "\n"))
	v.AltScreen = true
	return v
}

// lines are those of the window: as many as it has, none wider than it is.
func (m *Model) lines() []string {
	if m.width <= 0 || m.height <= 0 {
		return nil
	}
	l := m.layout()
	lines := m.head()[:l.head]
	if m.help {
		lines = append(lines, filled(m.helpLines(), l.titles+l.rows+l.details)...)
	} else {
		lines = append(lines, m.list(l)...)
		lines = append(lines, m.pane(l.details)...)
	}
	if l.foot > 0 {
		lines = append(lines, m.foot())
	}
	for i, line := range lines {
		lines[i] = cut(line, m.width)
	}
	return lines
}

// filled are n lines: the first of some, and empty ones after them.
func filled(lines []string, n int) []string {
	all := make([]string, n)
	copy(all, lines)
	return all
}

// head are the lines above the list.
func (m *Model) head() []string {
	return []string{m.title(), m.totals(), m.position()}
}

func (m *Model) title() string {
	var parts []string
	if m.width >= 60 { // the health is what matters
		parts = append(parts, strings.TrimSpace("magne-actors "+clean(m.o.Version)))
	}
	var root *Line
	if m.sample != nil && len(m.sample.Nodes) > 0 {
		root = &m.sample.Nodes[0]
	}
	switch {
	case m.failure != nil:
		parts = append(parts, m.health("UNREACHABLE", control.Failed),
			fmt.Sprintf("since %s (%s)", m.failing.UTC().Format(time.TimeOnly+"Z"), treeview.Age(m.now.Sub(m.failing))))
	case root == nil:
		parts = append(parts, "asking the instance ...")
	default:
		parts = append(parts, m.health(strings.ToUpper(m.sample.Health.String()), m.sample.Health))
		if root.PID != nil {
			parts = append(parts, "pid "+strconv.Itoa(*root.PID))
		}
		parts = append(parts, "up "+since(root.Since, m.now))
	}
	return strings.Join(append(parts, "every "+m.o.Interval.String()), gap)
}

func (m *Model) health(word string, h control.Health) string {
	if !m.o.Color {
		return bold + word + plain
	}
	return bold + paint(word, h)
}

// totals are the figures of the instance, or why it cannot be reached.
func (m *Model) totals() string {
	s := m.sample
	switch {
	case m.failure != nil:
		return clean(m.failure.Error())
	case s == nil:
		return ""
	}
	parts := []string{
		strconv.Itoa(len(s.Nodes)) + " nodes", strconv.FormatInt(s.Running, 10) + " run", strconv.FormatInt(s.InFlight, 10) + " in flight",
		rate(s.SettledRate) + " settled/s", strconv.FormatInt(s.Restarts, 10) + " restarts",
	}
	if s.RSS > 0 {
		parts = append(parts, "cpu "+rate(&s.CPU)+"%", "rss "+size(s.RSS))
	}
	return strings.Join(parts, gap)
}

// position says what part of the list is shown, and how.
func (m *Model) position() string {
	last := min(m.offset+m.layout().rows, len(m.rows))
	text := fmt.Sprintf("order: %s%slines %d-%d of %d", m.order.name, gap, min(m.offset+1, last), last, len(m.rows))
	if m.filter != "" {
		text += gap + "filter: " + clean(m.filter)
	}
	return text
}

// list are the titles of the columns and the rows in the window.
func (m *Model) list(l layout) []string {
	usage := m.sample != nil && m.sample.RSS > 0
	g := fit(m.width, max(m.idWidth, minID), m.order.column, usage)
	var lines []string
	if l.titles > 0 {
		lines = append(lines, bold+g.titles()+plain)
	}
	for i := m.offset; i < min(m.offset+l.rows, len(m.rows)); i++ {
		lines = append(lines, m.row(&g, i))
	}
	return filled(lines, l.titles+l.rows)
}

// row is a line of the list.
func (m *Model) row(g *grid, i int) string {
	r := m.rows[i]
	line := &m.sample.Nodes[r.line]
	stale := m.failure != nil || !r.match
	text := g.line(line, m.label(r), m.now, m.o.Color && !stale && i != m.cursor)
	switch {
	case i == m.cursor:
		return reverse + text + plain
	case stale:
		return faint + text + plain
	}
	return text
}

// pane are the lines with the details of the selected node.
func (m *Model) pane(n int) []string {
	if n == 0 {
		return nil
	}
	d := &m.details
	title, lines := "-- "+clean(m.id)+" ", []string{"..."}
	if d.id == m.id {
		lines = d.lines[d.offset:]
	}
	if d.offset > 0 {
		title += fmt.Sprintf("from line %d ", d.offset+1)
	}
	title += strings.Repeat("-", max(m.width-displayWidth(title), 0))
	return filled(append([]string{bold + title + plain}, lines...), n)
}

// helpLines are what stands in the place of the list after a ?.
func (m *Model) helpLines() []string {
	lines := []string{bold + "KEYS" + plain + "  any key closes this help"}
	for _, k := range m.keys {
		if k.shown != "" {
			lines = append(lines, pad(k.shown, 11, false)+k.help)
		}
	}
	return lines
}

// foot is the last line.
func (m *Model) foot() string {
	switch {
	case m.prompt != nil:
		return m.question()
	case m.note != "":
		return clean(m.note)
	case m.width < 60:
		return "? help  q quit"
	}
	return "? help  q quit  / filter  s order  space fold  enter details" + m.changesHint()
}

func (m *Model) changesHint() string {
	if m.o.Restart == nil {
		return ""
	}
	return "  r restart"
}

// question is the prompt; of a long answer the end is shown.
func (m *Model) question() string {
	label, text := clean(m.prompt.label)+" ", clean(m.prompt.text)
	return bold + label + plain + end(text, m.width-displayWidth(label)-1) + reverse + " " + plain
}
