package top

import (
	"cmp"
	"slices"
	"strings"
)

// order is one of the orders of the list.
type order struct {
	name   string
	column string // that shows what it goes by
	// compare is nil for the order of the tree, the only one that shows the tree.
	compare func(a, b *Line) int
}

// orders are those that the key s goes through.
func orders() []order {
	return []order{
		{name: "tree"},
		{name: "name", compare: func(a, b *Line) int { return natural(a.ID, b.ID) }},
		{name: "rate", column: "SETTLED/S", compare: func(a, b *Line) int {
			return cmp.Or(most(a.ended(), b.ended()), most(a.HandledRate, b.HandledRate))
		}},
		{name: "in flight", column: "IN-FLIGHT", compare: func(a, b *Line) int {
			return cmp.Or(most(a.InFlight, b.InFlight), most(a.Running, b.Running))
		}},
		{name: "queue", column: "QUEUED", compare: func(a, b *Line) int {
			return cmp.Or(most(a.Queued, b.Queued), most(a.Mailbox, b.Mailbox))
		}},
		{name: "restarts", column: "RESTARTS", compare: func(a, b *Line) int { return most(a.Restarts, b.Restarts) }},
		{name: "cpu", column: "CPU%", compare: func(a, b *Line) int { return cmp.Compare(b.CPU, a.CPU) }},
		{name: "rss", column: "RSS", compare: func(a, b *Line) int { return cmp.Compare(b.RSS, a.RSS) }},
	}
}

// most puts the larger one first, and what has none last.
func most[N int64 | float64](a, b *N) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return cmp.Compare(*b, *a)
}

// natural compares ids as people count: p/9 before p/10.
func natural(a, b string) int {
	for a != "" && b != "" {
		da, db := digits(a), digits(b)
		if da > 0 && db > 0 {
			x, y := strings.TrimLeft(a[:da], "0"), strings.TrimLeft(b[:db], "0")
			if c := cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y)); c != 0 {
				return c
			}
			a, b = a[da:], b[db:]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

// digits is how many digits s begins with.
func digits(s string) int {
	i := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if i < 0 {
		return len(s)
	}
	return i
}

// row is a line of the list.
type row struct {
	line   int    // index of Sample.Nodes
	branch string // drawn before the id
	hidden int    // how many nodes are folded away below it
	match  bool   // no filter, or it matches
}

// arrangement says which nodes are in the list, and in which order.
type arrangement struct {
	order  order
	filter string          // what the id, kind, state or last error contain; "" all
	folded map[string]bool // by id; without a filter, in the order of the tree
}

// arrange returns the rows of the list. With a filter the order of the tree has
// the nodes above a match too, and folds nothing.
func (a arrangement) arrange(nodes []Line) []row {
	match := make([]bool, len(nodes))
	filter := strings.ToLower(a.filter)
	for i := range nodes {
		match[i] = filter == "" || nodes[i].has(filter)
	}
	if a.order.compare != nil {
		return a.flat(nodes, match)
	}
	shown := slices.Clone(match)
	for i := len(nodes) - 1; i > 0; i-- {
		if shown[i] {
			shown[nodes[i].parent] = true
		}
	}
	t := tree{nodes: nodes, match: match, shown: shown}
	if filter == "" {
		t.folded = a.folded
	}
	if len(nodes) > 0 && shown[0] {
		t.add(0, "", "")
	}
	return t.rows
}

func (a arrangement) flat(nodes []Line, match []bool) []row {
	var rows []row
	for i := range nodes {
		if match[i] {
			rows = append(rows, row{line: i, match: true})
		}
	}
	slices.SortStableFunc(rows, func(x, y row) int { return a.order.compare(&nodes[x.line], &nodes[y.line]) })
	return rows
}

// has reports whether a node is found by a filter in lower case.
func (l *Line) has(filter string) bool {
	for _, text := range []string{l.ID, l.Kind, l.State, l.LastError} {
		if strings.Contains(strings.ToLower(text), filter) {
			return true
		}
	}
	return false
}

// tree makes rows in the order of the tree.
type tree struct {
	nodes        []Line
	match, shown []bool
	folded       map[string]bool
	rows         []row
}

// add appends node i and what is shown below it. first is drawn before its own
// id, rest before those below it.
func (t *tree) add(i int, first, rest string) {
	r := row{line: i, branch: first, match: t.match[i]}
	below := t.nodes[i].below
	if below > 0 && t.folded[t.nodes[i].ID] {
		r.hidden = below
		t.rows = append(t.rows, r)
		return
	}
	t.rows = append(t.rows, r)
	last := -1
	for c := i + 1; c <= i+below; c += 1 + t.nodes[c].below {
		if t.shown[c] {
			last = c
		}
	}
	branch, through := rest+"|- ", rest+"|  "
	for c := i + 1; c <= i+below; c += 1 + t.nodes[c].below {
		switch {
		case !t.shown[c]:
		case c == last:
			t.add(c, rest+"`- ", rest+"   ")
		default:
			t.add(c, branch, through)
		}
	}
}
