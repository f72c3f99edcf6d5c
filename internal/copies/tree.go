package copies

import (
	"fmt"
	"slices"
	"time"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/supervisor"
)

// Relabel gives the nodes of a copy's tree the ids that they have in the tree of all
// copies, in place, and returns it.
func Relabel(n *supervisor.Node, number int) *supervisor.Node {
	if n == nil {
		return nil
	}
	n.ID = control.At(n.ID, number)
	for _, c := range n.Children {
		Relabel(c, number)
	}
	return n
}

// Part is what a copy has shown of itself.
type Part struct {
	Copy int
	Tree *supervisor.Node // relabelled; nil: it has shown nothing yet
	Age  time.Duration    // of the tree; 0: it is of now
}

// Stale is the state of a copy that shows an old tree, because it does not answer.
const Stale = "stale"

// Merge puts the trees of copies below their nodes in root, in place, and returns
// root. The trees are not changed.
func Merge(root *supervisor.Node, parts []Part) *supervisor.Node {
	if root == nil {
		return nil
	}
	byID := make(map[string]*Part, len(parts))
	for i := range parts {
		byID[nodeID(parts[i].Copy)] = &parts[i]
	}
	var walk func(n *supervisor.Node)
	walk = func(n *supervisor.Node) {
		for _, c := range n.Children {
			walk(c)
		}
		p := byID[n.ID]
		if p == nil || n.Kind != kindCopy || p.Tree == nil {
			return
		}
		n.Children = []*supervisor.Node{p.Tree}
		if p.Age > 0 {
			n.Detail = fmt.Sprintf("does not answer: what is below is %v old", p.Age.Round(100*time.Millisecond))
			if n.State == "up" {
				n.State = Stale
			}
		}
	}
	walk(root)
	return root
}

const kindCopy = "copy"

func nodeID(number int) string { return fmt.Sprintf("copy/%d", number) }

// Started reports whether the copy with that tree has come to consume, or to
// something that will not change by itself.
func Started(tree *supervisor.Node) bool {
	if tree == nil || tree.State != "up" {
		return false
	}
	ok := true
	visit(tree, func(n *supervisor.Node) {
		switch n.Kind {
		case "broker":
			ok = ok && n.State == "connected"
		case "router":
			ok = ok && !slices.Contains([]string{"connecting", "starting", "down"}, n.State)
		}
	})
	return ok
}

// Summary is the tree of all copies in one line: "3/3 copies, 24/24 workers ready,
// 7 in flight".
func Summary(root *supervisor.Node) string {
	var copies, up, workers, ready, flights int64
	visit(root, func(n *supervisor.Node) {
		switch n.Kind {
		case kindCopy:
			copies++
			up += truth(n.State == "up")
		case "worker", "slot":
			workers++
			ready += truth(control.StateHealth(n.State) == control.Healthy)
		case "router":
			if n.InFlight != nil {
				flights += *n.InFlight
			}
		}
	})
	return fmt.Sprintf("%d/%d copies, %d/%d workers ready, %d in flight", up, copies, ready, workers, flights)
}

func truth(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// visit calls f for each node of a tree, which may be nil.
func visit(n *supervisor.Node, f func(*supervisor.Node)) {
	if n == nil {
		return
	}
	f(n)
	for _, c := range n.Children {
		visit(c, f)
	}
}
