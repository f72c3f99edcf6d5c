package top

import (
	"math"
	"time"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/supervisor"
)

// Snapshot is a tree at a moment. Nobody changes it any more.
type Snapshot struct {
	Time time.Time
	Root *supervisor.Node
}

// Sample is a Snapshot with the rates since the one before it.
type Sample struct {
	Time    time.Time      `json:"time"`
	Seconds float64        `json:"seconds"` // since the snapshot before; 0: there was none, and there are no rates
	Health  control.Health `json:"health"`

	// Sums over the nodes that own the figure: routers, workers, slots.
	InFlight    int64    `json:"in_flight"`
	Queued      int64    `json:"queued"`
	Running     int64    `json:"running"`
	Settled     int64    `json:"settled"`
	SettledRate *float64 `json:"settled_per_s,omitempty"`
	Restarts    int64    `json:"restarts"`              // over all nodes
	CPU         float64  `json:"cpu_percent,omitempty"` // of the worker processes; 100 is one CPU
	RSS         int64    `json:"rss_bytes,omitempty"`   // the same

	Nodes []Line `json:"nodes"` // in the order of the tree, root first
}

// Line is a node of a Sample.
type Line struct {
	*supervisor.Node
	Children []string `json:"children"` // their ids, in the place of the nodes

	// SettledRate is that of a router; above the routers it is their sum.
	SettledRate *float64 `json:"settled_per_s,omitempty"`
	HandledRate *float64 `json:"handled_per_s,omitempty"` // messages of the actor
	TasksRate   *float64 `json:"tasks_per_s,omitempty"`   // of a slot: done and failed
	NewRestarts *int64   `json:"new_restarts,omitempty"`  // since the snapshot before

	parent int // index of the node above; -1 for the root
	below  int // how many nodes are below it: they follow it
}

// Measure returns the sample of cur with the rates since prev. With the zero
// Snapshot as prev there are no rates. A counter that has become smaller has
// begun anew at 0; a node that was not there before has no rates yet.
func Measure(prev, cur Snapshot) *Sample {
	s := &Sample{Time: cur.Time, Health: control.TreeHealth(cur.Root)}
	if prev.Root != nil && cur.Time.After(prev.Time) {
		s.Seconds = round(cur.Time.Sub(prev.Time).Seconds(), 1e6)
	}
	if cur.Root != nil {
		s.add(cur.Root, -1)
	}
	m := measure{seconds: s.Seconds, before: map[string]*supervisor.Node{}}
	if s.Seconds > 0 {
		m.index(prev.Root)
	}
	for i := range s.Nodes {
		m.line(&s.Nodes[i])
	}
	s.sum()
	return s
}

// add appends n and what is below it.
func (s *Sample) add(n *supervisor.Node, parent int) {
	i := len(s.Nodes)
	s.Nodes = append(s.Nodes, Line{Node: n, Children: make([]string, 0, len(n.Children)), parent: parent})
	for _, c := range n.Children {
		s.Nodes[i].Children = append(s.Nodes[i].Children, c.ID)
		s.add(c, i)
	}
	s.Nodes[i].below = len(s.Nodes) - i - 1
}

// sum adds up, each figure at the kind of node that owns it, as control.Status
// does; the nodes above may show sums of their own.
func (s *Sample) sum() {
	for i := len(s.Nodes) - 1; i >= 0; i-- { // children before their parent
		l := &s.Nodes[i]
		s.Restarts += value(l.Restarts)
		switch l.Kind {
		case "router":
			s.InFlight += value(l.InFlight)
			s.Queued += value(l.Queued)
			s.Settled += value(l.Settled)
		case "worker", "slot":
			s.Running += value(l.Running)
			s.CPU = round(s.CPU+l.CPU, 100)
			s.RSS += l.RSS
		}
		if l.SettledRate == nil || i == 0 {
			continue
		}
		if p := &s.Nodes[l.parent]; p.Settled == nil {
			if p.SettledRate == nil {
				p.SettledRate = new(float64)
			}
			*p.SettledRate = round(*p.SettledRate+*l.SettledRate, 100)
		}
	}
	if len(s.Nodes) > 0 {
		s.SettledRate = s.Nodes[0].SettledRate
	}
}

// measure compares two snapshots.
type measure struct {
	seconds float64
	before  map[string]*supervisor.Node // the first snapshot, by id
}

func (m *measure) index(n *supervisor.Node) {
	m.before[n.ID] = n
	for _, c := range n.Children {
		m.index(c)
	}
}

func (m *measure) line(l *Line) {
	old := m.before[l.ID]
	if old == nil {
		return
	}
	l.SettledRate = m.rate(old.Settled, l.Settled)
	l.HandledRate = m.rate(old.Handled, l.Handled)
	l.TasksRate = m.rate(tasks(old), tasks(l.Node))
	if old.Restarts != nil && l.Restarts != nil {
		l.NewRestarts = new(increase(*old.Restarts, *l.Restarts))
	}
}

// tasks is how many tasks a slot has ended, or nil.
func tasks(n *supervisor.Node) *int64 {
	if n.TasksDone == nil {
		return nil
	}
	return new(*n.TasksDone + value(n.TasksFailed))
}

// rate is how much a counter grows in a second, or nil.
func (m *measure) rate(old, cur *int64) *float64 {
	if old == nil || cur == nil {
		return nil
	}
	return new(round(float64(increase(*old, *cur))/m.seconds, 100))
}

func increase(old, cur int64) int64 {
	if cur < old {
		return cur
	}
	return cur - old
}

// round keeps as many digits as parts has zeros.
func round(x, parts float64) float64 { return math.Round(x*parts) / parts }

func value(p *int64) int64 {
	if p == nil {
		return 0
	}
	return *p
}

// ended is the rate that says how much work a node does, or nil.
func (l *Line) ended() *float64 {
	if l.SettledRate == nil {
		return l.TasksRate
	}
	return l.SettledRate
}
