package health_test

import (
	"testing"

	"github.com/magne-actors/magne-actors/actors"
	"github.com/magne-actors/magne-actors/internal/health"
	"github.com/magne-actors/magne-actors/supervisor"
)

func TestStartedAndSummary(t *testing.T) {
	tree := func(broker, router string) *supervisor.Node {
		return &supervisor.Node{ID: "root", Kind: "root", State: "up", Children: []*supervisor.Node{
			{ID: "broker", Kind: "broker", State: broker, LastError: "refused"},
			{ID: "router:mail", Kind: "router", State: router},
			{ID: "mail/1", Kind: "worker", State: "up"},
			{ID: "mail/2", Kind: "worker", State: "backoff"},
			{ID: "mail/3", Kind: "slot", State: "busy"},
		}}
	}
	consuming := actors.PoolStats{Pool: "mail", Consuming: true, InFlight: 3}
	parked := actors.PoolStats{Pool: "resize", Parked: true, InFlight: 1}
	for _, tt := range []struct {
		name    string
		tree    *supervisor.Node
		pools   []actors.PoolStats
		started bool
		summary string
	}{
		{"nothing yet", nil, nil, false, "starting"},
		{"no broker", tree("connecting", "connecting"), []actors.PoolStats{{Pool: "mail"}}, false, "no session with the broker, it is connecting: refused"},
		{"not consuming yet", tree("connected", "connecting"), []actors.PoolStats{{Pool: "mail"}, parked}, false, "2/3 ready, 1 in flight, parked: resize"},
		{"consuming", tree("connected", "consuming"), []actors.PoolStats{consuming}, true, "2/3 ready, 3 in flight"},
		{"suspended", tree("connected", "suspended"), []actors.PoolStats{{Pool: "mail", Suspended: true}}, true, "2/3 ready, 0 in flight"},
		{"one of two", tree("connected", "consuming"), []actors.PoolStats{consuming, {Pool: "late"}}, false, "2/3 ready, 3 in flight"},
		{"one, and the other is given up", tree("connected", "consuming"), []actors.PoolStats{consuming, parked}, true, "2/3 ready, 4 in flight, parked: resize"},
		{"all have failed", tree("connected", "failed"), []actors.PoolStats{{Pool: "mail"}}, false, "2/3 ready, 0 in flight"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := health.Started(tt.tree, tt.pools); got != tt.started {
				t.Errorf("started: got %v, want %v", got, tt.started)
			}
			if got := health.Summary(tt.tree, tt.pools); got != tt.summary {
				t.Errorf("summary: got %q, want %q", got, tt.summary)
			}
		})
	}
}
