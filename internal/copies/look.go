package copies

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/internal/health"
	"github.com/magne-actors/magne-actors/supervisor"
)

// lookTimeout is how long a snapshot waits for the copies.
const lookTimeout = 500 * time.Millisecond

// seen is a tree and when it was.
type seen struct {
	tree *supervisor.Node // relabelled; nobody changes it
	at   time.Time
}

// look asks the process for its tree, and remembers it.
func (m *member) look(ctx context.Context) (*supervisor.Node, error) {
	p := m.proc.Load()
	tree, err := m.client.Tree(ctx)
	if err != nil {
		return nil, err
	}
	Relabel(tree, m.number)
	if p != nil && p == m.proc.Load() { // or it is of a process that has gone
		m.tree.Store(&seen{tree, time.Now()})
	}
	return tree, nil
}

// part asks the process, or falls back on what it said last.
func (m *member) part(ctx context.Context) (Part, error) {
	part := Part{Copy: m.number}
	if m.proc.Load() == nil {
		return part, nil
	}
	tree, err := m.look(ctx)
	if err == nil {
		part.Tree = tree
		return part, nil
	}
	if old := m.tree.Load(); old != nil {
		part.Tree, part.Age = old.tree, time.Since(old.at)
	}
	return part, nil
}

func (g *Group) parts() []Part {
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	var parts []Part
	for _, a := range each(g.members, func(m *member) (Part, error) { return m.part(ctx) }) {
		if a.err == nil {
			parts = append(parts, a.value)
		}
	}
	return parts
}

// Tree is a snapshot of the tree of all copies, nil before Run. It blocks for half a
// second at most.
func (g *Group) Tree() *supervisor.Node { return Merge(g.Own(), g.parts()) }

// Own is Tree without the trees of the copies. It does not block.
func (g *Group) Own() *supervisor.Node {
	root := g.system.Snapshot()
	if root != nil {
		g.measure(root)
	}
	return root
}

// measure adds to the root what is known of this process.
func (g *Group) measure(root *supervisor.Node) {
	used := g.self.Usage()
	root.PID, root.RSS, root.CPU = new(os.Getpid()), used.RSS, used.CPU
}

// Inspect is the part of the tree below the node with that id, with all that is
// known of it, or nil if there is none; it blocks for two seconds at most.
func (g *Group) Inspect(id string) *supervisor.Node {
	base, number := control.CutCopy(id)
	if m := g.member(number); m != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 3*lookTimeout)
		defer cancel()
		if n, err := m.client.Inspect(ctx, base); err == nil {
			return Relabel(n, number)
		}
		return nil
	}
	n := g.system.Inspect(id)
	if n != nil && n.Kind == "root" {
		g.measure(n)
	}
	if n != nil && len(n.Children) == 0 && n.Kind != kindCopy {
		return n
	}
	return Merge(n, g.parts())
}

// member is the copy with the number, or nil.
func (g *Group) member(number int) *member {
	if number < 1 || number > len(g.members) {
		return nil
	}
	return g.members[number-1]
}

// inspect adds to the copy's node what the supervisor does not know. It reads
// atomics, and the file that the kernel has of the process.
func (m *member) inspect(n *supervisor.Node) {
	n.Generation = m.spawned.Load()
	exits := *m.exits.Load()
	if len(exits) > 0 {
		n.LastExit = exits[len(exits)-1].String()
	}
	if n.InDetail {
		for _, e := range slices.Backward(exits) {
			n.Exits = append(n.Exits, exitOf(e))
		}
	}
	p := m.proc.Load()
	if p == nil {
		if n.State == "up" { // between two processes
			n.State = "starting"
		}
		return
	}
	n.PID = new(p.PID())
	if s, err := p.Stat(); err == nil {
		n.RSS = s.RSS
	}
	if n.State == "up" && !m.up.Load() {
		n.State = "starting"
	}
}

// Tasks are the tasks that run in all copies, the oldest first. It blocks for half
// a second at most.
func (g *Group) Tasks() []control.Task {
	ctx, cancel := context.WithTimeout(context.Background(), lookTimeout)
	defer cancel()
	var all []control.Task
	for _, a := range each(g.members, func(m *member) ([]control.Task, error) { return m.client.Tasks(ctx) }) {
		for _, t := range a.value {
			all = append(all, RelabelTask(t, a.number))
		}
	}
	slices.SortStableFunc(all, func(a, b control.Task) int { return a.Since.Compare(b.Since) })
	return all
}

// RelabelTask is a task of a copy as all copies show it. The id of a message stays;
// one that a pool has given, as mail#17, would be that of another task, too.
func RelabelTask(t control.Task, number int) control.Task {
	t.Worker = control.At(t.Worker, number)
	if strings.HasPrefix(t.ID, t.Pool+"#") {
		t.ID = control.At(t.ID, number)
	}
	return t
}

// Up reports whether all copies have come to consume.
func (g *Group) Up() bool {
	return !slices.ContainsFunc(g.members, func(m *member) bool { return !m.up.Load() })
}

// Ping blocks until the root supervisor has answered, or ctx ends.
func (g *Group) Ping(ctx context.Context) error { return g.system.Ping(ctx) }

// Report is whether all copies are ready, and how each of their pools does. It
// blocks until ctx ends.
func (g *Group) Report(ctx context.Context) health.Report {
	all := health.Report{Reasons: []string{}, Pools: []health.Pool{}}
	for _, a := range each(g.members, func(m *member) (r health.Report, err error) {
		err = m.client.Report(ctx, &r)
		return r, err
	}) {
		all = AddReport(all, a.number, a.value, a.err)
	}
	all.Ready = len(all.Reasons) == 0
	return all
}

// AddReport adds the report of a copy, or why there is none. Ready is not set.
func AddReport(all health.Report, number int, r health.Report, err error) health.Report {
	id := nodeID(number)
	if err != nil {
		all.Reasons = append(all.Reasons, id+" does not answer: "+err.Error())
		return all
	}
	for _, reason := range r.Reasons {
		all.Reasons = append(all.Reasons, id+": "+reason)
	}
	for _, p := range r.Pools {
		p.Pool = control.At(p.Pool, number)
		all.Pools = append(all.Pools, p)
	}
	if all.Unasked == "" {
		all.Unasked = r.Unasked
	}
	return all
}

// Metrics are the figures of the copies in the text format of Prometheus, by their
// numbers, as far as they answer. It blocks until ctx ends.
func (g *Group) Metrics(ctx context.Context) map[int][]byte {
	all := map[int][]byte{}
	for _, a := range each(g.members, func(m *member) ([]byte, error) { return m.client.Metrics(ctx) }) {
		if a.err == nil {
			all[a.number] = a.value
		}
	}
	return all
}
