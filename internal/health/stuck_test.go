package health_test

import (
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/internal/health"
	"github.com/magne-actors/magne-actors/supervisor"
)

func TestStuck(t *testing.T) {
	now := epoch.Add(time.Minute)
	busy := func(kind string, since time.Duration) *supervisor.Node {
		began := now.Add(-since)
		n := &supervisor.Node{ID: "x", Kind: kind, BusySince: &began}
		return &supervisor.Node{ID: "root", Kind: "root", Children: []*supervisor.Node{{ID: "pools", Kind: "sup", Children: []*supervisor.Node{n}}}}
	}
	for _, tt := range []struct {
		name string
		tree *supervisor.Node
		want string
	}{
		{"no tree", nil, ""},
		{"a router that hangs", busy("router", 11*time.Second), "x has been handling one message for 11s"},
		{"a supervisor that hangs", busy("pool", 11*time.Second), "x has been handling one message for 11s"},
		{"a router that works", busy("router", 9*time.Second), ""},
		{"a worker", busy("worker", time.Hour), ""},
		{"a service", busy("control", time.Hour), ""},
	} {
		got := ""
		if err := health.Stuck(tt.tree, now, 10*time.Second); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
