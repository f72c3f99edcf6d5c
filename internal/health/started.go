package health

import (
	"fmt"
	"strings"

	"github.com/magne-actors/magne-actors/actors"
	"github.com/magne-actors/magne-actors/supervisor"
)

// Started reports whether the start of an instance is complete: its tree is up, it
// has a session with the broker, and each pool has come to consume, or to something
// that will not change by itself; at least one must consume or be suspended.
func Started(root *supervisor.Node, pools []actors.PoolStats) bool {
	nodes := index(root)
	if len(aboutTree(root, nodes)) > 0 {
		return false
	}
	well := 0
	for i := range pools {
		s := &pools[i]
		router := nodes["router:"+s.Pool]
		switch {
		case s.Consuming, s.Suspended:
			well++
		case s.Parked, router != nil && router.State == "failed":
		default:
			return false
		}
	}
	return well > 0
}

// Summary is an instance in one line: "7/8 ready, 3 in flight", of its workers, or
// what it waits for.
func Summary(root *supervisor.Node, pools []actors.PoolStats) string {
	nodes := index(root)
	if root == nil {
		return "starting"
	}
	if b := nodes["broker"]; b != nil && b.State != "connected" {
		return because("no session with the broker, it is "+b.State, b.LastError)
	}
	ready, workers, flights := 0, 0, int64(0)
	for _, n := range nodes {
		if n.Kind != "worker" && n.Kind != "slot" {
			continue
		}
		workers++
		switch n.State {
		case "up", "idle", "busy":
			ready++
		}
	}
	var parked []string
	for i := range pools {
		flights += pools[i].InFlight
		if pools[i].Parked {
			parked = append(parked, pools[i].Pool)
		}
	}
	line := fmt.Sprintf("%d/%d ready, %d in flight", ready, workers, flights)
	if len(parked) > 0 {
		line += ", parked: " + strings.Join(parked, " ")
	}
	return line
}
