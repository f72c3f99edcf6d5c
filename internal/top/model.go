package top

import (
	"context"
	"slices"
	"strconv"
	"time"

	tea "charm.land/bubbletea/v2"
)

// Model is the state of the screen: a tea.Model. Only one goroutine may use it.
type Model struct {
	ctx  context.Context // of the commands
	o    Options
	keys []key
	wait func(d time.Duration) tea.Cmd // for the next tick

	now           time.Time // of the message that is handled
	width, height int       // of the window; 0 until it is known

	snapshot Snapshot // the newest
	sample   *Sample  // of it; nil before the first
	failure  error    // of the last fetch
	failing  time.Time

	asking bool // a fetch or a description runs
	due    bool // the next fetch waits for it

	orders []order
	arrangement
	rows    []row
	idWidth int    // of the widest id with its branch
	cursor  int    // index of rows; 0 when there are none
	id      string // of the cursor's node
	offset  int    // index of the first row in the window

	details details
	help    bool
	prompt  *prompt // what is typed goes there
	acting  bool    // a change runs
	note    string  // of the last change; until a key is pressed
}

// details is the pane below the list.
type details struct {
	open   bool
	id     string   // that lines are about
	lines  []string // fit for a terminal
	stale  bool     // lines are of an older snapshot
	offset int
}

// New returns a Model that shows nothing yet. The end of ctx is the end of what
// its commands do.
func New(ctx context.Context, o Options) *Model {
	o = o.withDefaults()
	m := &Model{ctx: ctx, o: o, keys: keys(o), wait: wait, now: o.Now(), orders: orders()} //nolint:contextcheck // the keys are given the Model, and it has ctx
	m.order, m.folded = m.orders[0], map[string]bool{}
	return m
}

// Init implements tea.Model: it asks for the first snapshot.
func (m *Model) Init() tea.Cmd {
	m.due = true
	return m.next()
}

// Update implements tea.Model. It does not block.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	m.now = m.o.Now()
	var cmd tea.Cmd
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		m.details.stale = true // its lines are wrapped
	case tea.KeyPressMsg:
		cmd = m.press(msg)
	case tea.PasteMsg:
		if m.prompt != nil {
			cmd = m.prompt.typed(m, msg.Content)
		}
	case tick:
		m.due = true
	case fetched:
		cmd = m.took(msg)
	case described:
		m.asking = false
		m.describe(msg)
	case changed:
		m.changed(msg)
	}
	m.scroll()
	return m, tea.Batch(cmd, m.next())
}

func wait(d time.Duration) tea.Cmd {
	return tea.Tick(d, func(time.Time) tea.Msg { return tick{} })
}

// took takes the answer to a fetch, and sets the time for the next.
func (m *Model) took(f fetched) tea.Cmd {
	m.asking = false
	again := m.wait(max(m.o.Interval-m.now.Sub(f.began), 0))
	if f.err != nil {
		if m.failure == nil {
			m.failing = m.now
		}
		m.failure = f.err
		return again
	}
	m.failure = nil
	m.snapshot, m.sample = f.snapshot, f.sample
	m.details.stale = true
	m.arrange()
	return again
}

// arrange makes the rows anew and finds the cursor's node among them.
func (m *Model) arrange() {
	m.rows = nil
	if m.sample != nil {
		m.rows = m.arrangement.arrange(m.sample.Nodes)
	}
	m.idWidth = 0
	for _, r := range m.rows {
		m.idWidth = max(m.idWidth, displayWidth(m.label(r)))
	}
	m.move(m.find())
}

// find is the row of the node that the cursor was on, or of the nearest one above
// it that is shown. On the first row of a list in any other order than the tree's
// the cursor stays on the first.
func (m *Model) find() int {
	if m.sample == nil || m.cursor == 0 && m.order.compare != nil {
		return 0
	}
	nodes := m.sample.Nodes
	for i := slices.IndexFunc(nodes, func(l Line) bool { return l.ID == m.id }); i >= 0; i = nodes[i].parent {
		if at := slices.IndexFunc(m.rows, func(r row) bool { return r.line == i }); at >= 0 {
			return at
		}
	}
	return m.cursor
}

// move puts the cursor on a row. The node that it was on is remembered while no
// row is shown.
func (m *Model) move(to int) {
	m.cursor = max(min(to, len(m.rows)-1), 0)
	if l := m.selected(); l != nil {
		m.id = l.ID
	}
	if m.details.id != m.id {
		m.details.stale = true
	}
}

// label is the first cell of a row.
func (m *Model) label(r row) string {
	label := r.branch + clean(m.sample.Nodes[r.line].ID)
	if r.hidden > 0 {
		label += " +" + strconv.Itoa(r.hidden)
	}
	return label
}

// selected is the line of the cursor, or nil.
func (m *Model) selected() *Line {
	if m.cursor >= len(m.rows) {
		return nil
	}
	return &m.sample.Nodes[m.rows[m.cursor].line]
}

// scroll moves the window so that the cursor is in it.
func (m *Model) scroll() {
	room := m.layout().rows
	m.offset = min(m.offset, m.cursor, max(len(m.rows)-room, 0))
	m.offset = max(m.offset, m.cursor-room+1, 0)
	m.details.offset = max(min(m.details.offset, len(m.details.lines)-1), 0)
}
