package control

import (
	"fmt"

	"github.com/magne-actors/magne-actors/supervisor"
)

// Health is how a tree is doing. Its number is the exit code of `magne-actors
// tree` and `magne-actors status`.
type Health int

const (
	Healthy  Health = iota // everything does what it should; a paused or suspended pool is healthy
	Degraded               // something is not up: starting, reconnecting, waiting to restart, stopping, abandoned
	Failed                 // something was given up
)

// String returns "healthy", "degraded" or "failed".
func (h Health) String() string {
	switch h {
	case Healthy:
		return "healthy"
	case Degraded:
		return "degraded"
	case Failed:
		return "failed"
	}
	return fmt.Sprintf("Health(%d)", int(h))
}

// MarshalText writes the word of String.
func (h Health) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads a word of String.
func (h *Health) UnmarshalText(text []byte) error {
	for _, known := range []Health{Healthy, Degraded, Failed} {
		if string(text) == known.String() {
			*h = known
			return nil
		}
	}
	return fmt.Errorf("control: %q is not a health", text)
}

// TreeHealth returns the worst health in the tree below n, n included. No tree
// at all is Failed.
func TreeHealth(n *supervisor.Node) Health {
	if n == nil {
		return Failed
	}
	worst := NodeHealth(n)
	for _, c := range n.Children {
		worst = max(worst, TreeHealth(c))
	}
	return worst
}

// NodeHealth returns the health of a node without those below it: that of its state
// word, and at least Degraded for a router that gets nothing although messages
// wait.
func NodeHealth(n *supervisor.Node) Health {
	h := StateHealth(n.State)
	if n.Consumer != nil && n.Consumer.Starved {
		h = max(h, Degraded)
	}
	return h
}

// StateHealth returns the health that a node's state word stands for. A word
// that it does not know is Degraded, so that a new one is seen rather than
// taken for health.
func StateHealth(state string) Health {
	switch state {
	case "up", "connected", "consuming", "paused", "suspended", "idle", "busy":
		return Healthy
	case "failed":
		return Failed
	}
	return Degraded
}
