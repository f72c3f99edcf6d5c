package top

import (
	"context"
	"slices"
	"strconv"
	"strings"

	tea "charm.land/bubbletea/v2"
)

// key is what some keys do.
type key struct {
	names []string // as tea.KeyPressMsg.String has them
	shown string   // in the help; "" when the line above says it
	help  string
	do    func(m *Model) tea.Cmd
}

// keys are those that the Model knows, in the order of the help.
func keys(o Options) []key {
	list := []key{
		{[]string{"up", "k"}, "up down", "one line; k and j, too", steps(-1)},
		{[]string{"down", "j"}, "", "", steps(1)},
		{[]string{"pgup", "ctrl+b"}, "pgup pgdn", "one page", pages(-1)},
		{[]string{"pgdown", "ctrl+f"}, "", "", pages(1)},
		{[]string{"home", "g"}, "home end", "first and last line; g and G, too", func(m *Model) tea.Cmd { m.move(0); return nil }},
		{[]string{"end", "G"}, "", "", func(m *Model) tea.Cmd { m.move(len(m.rows) - 1); return nil }},
		{[]string{"left", "h"}, "left", "fold the node, or go to the one above it; h, too", left},
		{[]string{"right", "l"}, "right", "unfold the node; l, too", func(m *Model) tea.Cmd { m.fold(false); return nil }},
		{[]string{"space"}, "space", "fold or unfold the node", func(m *Model) tea.Cmd { m.fold(!m.folded[m.id]); return nil }},
		{[]string{"-"}, "- +", "fold and unfold all", foldAll},
		{[]string{"+", "="}, "", "", func(m *Model) tea.Cmd { clear(m.folded); m.arrange(); return nil }},
		{[]string{"/"}, "/", "filter by id, kind, state or error", askFilter},
		{[]string{"esc"}, "esc", "close the details, then drop the filter", escape},
		{[]string{"s"}, "s S", "next and previous order: tree, name, rate, in flight, queue, restarts, cpu, rss", reorders(1)},
		{[]string{"S"}, "", "", reorders(-1)},
		{[]string{"t"}, "t", "order of the tree", func(m *Model) tea.Cmd { m.reorder(0); return nil }},
		{[]string{"enter", "i"}, "enter", "details: why the node is as it is, and all that is known of it; i, too", showDetails},
		{[]string{"J", "shift+down"}, "J K", "details down and up", scrolls(1)},
		{[]string{"K", "shift+up"}, "", "", scrolls(-1)},
	}
	list = append(list, changes(o)...)
	return append(list,
		key{[]string{"?"}, "?", "this help", func(m *Model) tea.Cmd { m.help = true; return nil }},
		key{[]string{"ctrl+z"}, "ctrl+z", "suspend", func(*Model) tea.Cmd { return tea.Suspend }},
		key{[]string{"q", "ctrl+c"}, "q", "quit", func(*Model) tea.Cmd { return tea.Quit }})
}

// changes are the keys of what the Options can do to the instance.
func changes(o Options) []key {
	var list []key
	add := func(name, help string, do func(m *Model) tea.Cmd, can bool) {
		if can {
			list = append(list, key{[]string{name}, name, help, do})
		}
	}
	add("r", "restart the node, after a question", func(m *Model) tea.Cmd {
		return m.confirm("restart", m.selectedID(), o.Restart)
	}, o.Restart != nil)
	add("p", "pause the node's pool, after a question", func(m *Model) tea.Cmd {
		return m.confirm("pause the pool", m.pool(), o.Pause)
	}, o.Pause != nil)
	add("u", "resume the node's pool, after a question", func(m *Model) tea.Cmd {
		return m.confirm("resume the pool", m.pool(), o.Resume)
	}, o.Resume != nil)
	add("c", "change how many workers the node's pool has", func(m *Model) tea.Cmd {
		return m.askScale(m.pool(), o.Scale)
	}, o.Scale != nil)
	return list
}

func (m *Model) selectedID() string {
	if l := m.selected(); l != nil {
		return l.ID
	}
	return ""
}

// pool is the name of the pool that the selected node belongs to, or "".
func (m *Model) pool() string {
	if m.selected() == nil {
		return ""
	}
	nodes := m.sample.Nodes
	for i := m.rows[m.cursor].line; i >= 0; i = nodes[i].parent {
		for _, prefix := range []string{"pool:", "router:"} {
			if name, ok := strings.CutPrefix(nodes[i].ID, prefix); ok {
				return name
			}
		}
		if slices.Contains(nodes[i].Children, "router:"+nodes[i].ID) {
			return nodes[i].ID
		}
	}
	return ""
}

// press handles a key.
func (m *Model) press(msg tea.KeyPressMsg) tea.Cmd {
	name := msg.String()
	switch {
	case name == "ctrl+c":
		return tea.Quit
	case m.prompt != nil:
		return m.prompt.press(m, msg)
	case m.help:
		m.help = false
		return nil
	}
	if !m.acting {
		m.note = ""
	}
	for _, k := range m.keys {
		if slices.Contains(k.names, name) {
			return k.do(m)
		}
	}
	return nil
}

func steps(by int) func(m *Model) tea.Cmd {
	return func(m *Model) tea.Cmd { m.move(m.cursor + by); return nil }
}

func pages(by int) func(m *Model) tea.Cmd {
	return func(m *Model) tea.Cmd { m.move(m.cursor + by*max(m.layout().rows-1, 1)); return nil }
}

func scrolls(by int) func(m *Model) tea.Cmd {
	return func(m *Model) tea.Cmd { m.details.offset += by; return nil }
}

func reorders(by int) func(m *Model) tea.Cmd {
	return func(m *Model) tea.Cmd {
		at := slices.IndexFunc(m.orders, func(o order) bool { return o.name == m.order.name })
		m.reorder((at + by + len(m.orders)) % len(m.orders))
		return nil
	}
}

func (m *Model) reorder(to int) {
	m.order = m.orders[to]
	if m.order.compare != nil {
		m.cursor = 0 // what is first is what one looks for
	}
	m.arrange()
}

// fold folds or unfolds the selected node.
func (m *Model) fold(yes bool) {
	l := m.selected()
	if l == nil || m.order.compare != nil || m.filter != "" {
		return
	}
	delete(m.folded, l.ID)
	if yes && l.below > 0 {
		m.folded[l.ID] = true
	}
	m.arrange()
}

func left(m *Model) tea.Cmd {
	l := m.selected()
	switch {
	case l == nil || m.order.compare != nil:
	case l.below == 0 || m.folded[l.ID] || m.filter != "":
		if l.parent >= 0 {
			m.id = m.sample.Nodes[l.parent].ID
			m.move(m.find())
		}
	default:
		m.fold(true)
	}
	return nil
}

// foldAll folds all but the root.
func foldAll(m *Model) tea.Cmd {
	if m.sample == nil {
		return nil
	}
	for i := range m.sample.Nodes {
		if l := &m.sample.Nodes[i]; l.below > 0 && l.parent >= 0 {
			m.folded[l.ID] = true
		}
	}
	m.arrange()
	return nil
}

func escape(m *Model) tea.Cmd {
	if m.details.open {
		m.details = details{}
		return nil
	}
	m.filter = ""
	m.arrange()
	return nil
}

func showDetails(m *Model) tea.Cmd {
	m.details = details{open: !m.details.open && m.selected() != nil, stale: true}
	return nil
}

func askFilter(m *Model) tea.Cmd {
	m.prompt = &prompt{label: "filter: ", text: m.filter, changed: func(m *Model, text string) {
		m.filter = strings.TrimSpace(text)
		m.arrange()
		if m.cursor < len(m.rows) && !m.rows[m.cursor].match {
			m.move(slices.IndexFunc(m.rows, func(r row) bool { return r.match }))
		}
	}}
	return nil
}

// nothing says that there is nothing to change.
func (m *Model) nothing() tea.Cmd {
	m.note = "not done: no node of a pool is selected"
	return nil
}

func (m *Model) askScale(pool string, scale func(ctx context.Context, pool string, n int) error) tea.Cmd {
	if pool == "" {
		return m.nothing()
	}
	m.prompt = &prompt{label: "workers of the pool " + pool + ": ", enter: func(m *Model, text string) tea.Cmd {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 0 {
			m.note = "not done: a count of workers is a number, not " + strconv.Quote(text)
			return nil
		}
		return m.change("scale the pool "+pool+" to "+strconv.Itoa(n), func(ctx context.Context) error { return scale(ctx, pool, n) })
	}}
	return nil
}

// confirm asks whether to do something to a node or pool, and does it then.
func (m *Model) confirm(verb, name string, do func(ctx context.Context, name string) error) tea.Cmd {
	if name == "" {
		return m.nothing()
	}
	what := verb + " " + name
	m.prompt = &prompt{label: what + "? y/n ", yes: func(m *Model) tea.Cmd {
		return m.change(what, func(ctx context.Context) error { return do(ctx, name) })
	}}
	return nil
}
