package control

import (
	"encoding/json"
	"testing"

	"github.com/magne-actors/magne-actors/supervisor"
)

func TestStateHealth(t *testing.T) {
	for _, tt := range []struct {
		want   Health
		states []string
	}{
		{Healthy, []string{"up", "connected", "consuming", "paused", "idle", "busy"}},
		{Degraded, []string{"starting", "stopping", "draining", "backoff", "connecting", "down", "abandoned"}},
		{Degraded, []string{"", "a word of tomorrow"}},
		{Failed, []string{"failed"}},
	} {
		for _, state := range tt.states {
			if got := StateHealth(state); got != tt.want {
				t.Errorf("StateHealth(%q) = %v, want %v", state, got, tt.want)
			}
		}
	}
}

func TestTreeHealth(t *testing.T) {
	node := func(state string, children ...*supervisor.Node) *supervisor.Node {
		return &supervisor.Node{State: state, Children: children}
	}
	for _, tt := range []struct {
		name string
		tree *supervisor.Node
		want Health
	}{
		{"no tree", nil, Failed},
		{"root alone", node("up"), Healthy},
		{"paused router", node("up", node("paused")), Healthy},
		{"worker in backoff, deep", node("up", node("up", node("up"), node("backoff"))), Degraded},
		{"failed beats degraded, whichever comes first", node("up", node("failed"), node("backoff")), Failed},
		{"failed below a healthy parent", node("up", node("backoff"), node("up", node("failed"))), Failed},
	} {
		if got := TreeHealth(tt.tree); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestHealthText(t *testing.T) {
	for h := Healthy; h <= Failed; h++ {
		text, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		var back Health
		if err := json.Unmarshal(text, &back); err != nil || back != h {
			t.Errorf("%s came back as %v, %v", text, back, err)
		}
	}
	var h Health
	if err := json.Unmarshal([]byte(`"fine"`), &h); err == nil {
		t.Error("an unknown word was accepted")
	}
}
