package control

import (
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/supervisor"
)

// Status is a summary of a tree: what GET /v1/status answers.
type Status struct {
	Version string     `json:"version"`
	PID     int        `json:"pid"`
	Since   *time.Time `json:"since,omitempty"` // when the root started
	Health  Health     `json:"health"`
	Nodes   int        `json:"nodes"`

	InFlight int64 `json:"in_flight"` // accepted and not settled, sum over the routers
	Running  int64 `json:"running"`   // tasks that run, sum over the workers and slots
	Settled  int64 `json:"settled"`   // sum over the routers
	Restarts int64 `json:"restarts"`  // sum over all nodes

	// Problems are the nodes that are not healthy, in the order of the tree.
	Problems []Problem `json:"problems"`
	// Suspended are the routers that take nothing because somebody wants it so: the
	// health is none the worse for it, and last_error says who.
	Suspended []Problem `json:"suspended,omitempty"`
}

// Problem is a node that is not healthy.
type Problem struct {
	ID        string `json:"id"`
	Kind      string `json:"kind"`
	State     string `json:"state"`
	LastError string `json:"last_error,omitempty"`
}

// summary counts each figure at the kind of node that owns it, because the
// nodes above may show sums of their own.
func summary(version string, pid int, root *supervisor.Node) Status {
	s := Status{Version: version, PID: pid, Since: root.Since, Health: TreeHealth(root), Problems: []Problem{}}
	s.add(root)
	return s
}

func (s *Status) add(n *supervisor.Node) {
	s.Nodes++
	s.Restarts += value(n.Restarts)
	switch n.Kind {
	case "router":
		s.InFlight += value(n.InFlight)
		s.Settled += value(n.Settled)
	case "worker", "slot":
		s.Running += value(n.Running)
	}
	switch {
	case NodeHealth(n) != StateHealth(n.State):
		s.Problems = append(s.Problems, Problem{ID: n.ID, Kind: n.Kind, State: "starved", LastError: n.Consumer.Probe})
	case StateHealth(n.State) != Healthy:
		s.Problems = append(s.Problems, Problem{ID: n.ID, Kind: n.Kind, State: n.State, LastError: n.LastError})
	case n.State == "suspended" && !strings.HasSuffix(n.Detail, ", parked"): // then its pool is a problem
		s.Suspended = append(s.Suspended, Problem{ID: n.ID, Kind: n.Kind, State: n.State, LastError: n.Detail})
	}
	for _, c := range n.Children {
		s.add(c)
	}
}

func value(p *int64) int64 {
	if p == nil {
		return 0
	}
	return *p
}
