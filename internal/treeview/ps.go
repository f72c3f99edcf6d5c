package treeview

import (
	"slices"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/supervisor"
)

// PS returns the tree below root as a flat table, one line for each node in the
// order of the tree, below the header line of Render. BUSY is how long the
// message has taken that the actor handles now; UP counts from the last change
// of the state.
func PS(root *supervisor.Node, now time.Time, o Options) string {
	var b strings.Builder
	b.WriteString(title(root, now, o))
	if root == nil {
		return b.String()
	}
	g := grid{columns: []column{
		{title: "ID"},
		{title: "KIND"},
		{title: "STATE", health: true},
		{title: "PID", figures: true},
		{title: "UP", figures: true},
		{title: "QUEUED", figures: true},
		{title: "RUNNING", figures: true},
		{title: "BUSY", figures: true},
		{title: "RESTARTS", figures: true},
		{title: "LAST-ERROR"},
	}}
	more := moreColumns(root, o)
	more = slices.DeleteFunc(more, func(e extra) bool { return e.title == "BUSY" }) // it is there already
	g.widen(more)
	for _, n := range Flat(root) {
		r := row{health: control.StateHealth(n.State), cells: []string{
			clean(n.ID), clean(n.Kind), clean(n.State), pid(n), since(n.Since, now), figure(n.Queued), figure(n.Running),
			since(n.BusySince, now), figure(n.Restarts), clean(lastError(n)),
		}}
		r.widen(more, n, now)
		g.rows = append(g.rows, r)
	}
	g.write(&b, o)
	return b.String()
}

// Flat returns the nodes of the tree below root in its order, root first.
func Flat(root *supervisor.Node) []*supervisor.Node {
	if root == nil {
		return nil
	}
	all := []*supervisor.Node{root}
	for _, c := range root.Children {
		all = append(all, Flat(c)...)
	}
	return all
}

// FindAll returns the node with that id or, where several copies of the consumer
// have one, the node of each copy; it is empty when there is none.
func FindAll(root *supervisor.Node, id string) []*supervisor.Node {
	if n := Find(root, id); n != nil {
		return []*supervisor.Node{n}
	}
	return slices.DeleteFunc(Flat(root), func(n *supervisor.Node) bool {
		base, copied := control.CutCopy(n.ID)
		return copied == 0 || base != id
	})
}

// Find returns the node with that id in the tree below root, or nil.
func Find(root *supervisor.Node, id string) *supervisor.Node {
	for _, n := range Flat(root) {
		if n.ID == id {
			return n
		}
	}
	return nil
}
