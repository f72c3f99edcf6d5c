package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/magne-actors/magne-actors/supervisor"
)

// blocked starts an instance both workers of which are stuck in a task, with
// three more tasks that wait.
func blocked(t *testing.T) (*app, *endpoint) {
	t.Helper()
	t.Parallel()
	e := newEndpoint(t)
	e.hold()
	a := start(t, setup{pools: hook("work", e.url, "mode: thread\nworkers: 2\nwatermarks: {high: 5, low: 2}")})
	publishNumbers(t, a, "hook", 0, 5)
	e.hasBegun(t, 2)
	a.untilNode("router:p", "paused", func(n *supervisor.Node) bool { return n.State == "paused" })
	return a, e
}

// look runs a command against the instance.
func (a *app) look(code int, args ...string) string {
	a.t.Helper()
	return magneIn(a.t, a.dir, nil, nil, append(args, "--socket", a.socket)...).want(a.t, code).stdout
}

// contains fails the test for each want that is not in text.
func contains(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
}

// TestLookWhileBlocked: what shows an instance answers while all workers are stuck.
func TestLookWhileBlocked(t *testing.T) {
	a, e := blocked(t)
	contains(t, a.look(0, "ps"), "HEALTHY", "BUSY", "router:p", "p/2", "paused")
	var nodes []supervisor.Node
	if err := json.Unmarshal([]byte(a.look(0, "ps", "-o", "json")), &nodes); err != nil || nodes[0].ID != "root" || len(nodes) < 7 {
		t.Errorf("ps -o json: %d nodes, %v", len(nodes), err)
	}
	contains(t, a.look(0, "status"), "HEALTHY", "2 tasks run, 5 deliveries in flight, 0 settled")
	contains(t, a.look(0, "status", "-o", "yaml"), "health: healthy\n", "in_flight: 5\n", "problems: []\n")
	if text := a.look(0, "tree", "pool:p"); strings.Contains(text, "router:p") || !strings.Contains(text, "`- p/2") {
		t.Errorf("tree pool:p:\n%s", text)
	}
	a.look(2, "tree", "nobody")
	e.release()
	a.settled("p", 5)
	a.stop()
}

// TestWatch: -w shows again and again, and ends with 3 when the instance does.
func TestWatch(t *testing.T) {
	a, e := blocked(t)
	w := spawn(t, a.dir, nil, nil, "ps", "-w", "--socket", a.socket)
	eventually(t, "ps -w shows the instance twice", func() (bool, any) {
		return strings.Count(w.stdout.String(), "HEALTHY") >= 2, w.stdout
	})
	e.release()
	a.stop()
	if code := w.wait(); code != 3 {
		t.Errorf("exit code of ps -w after the end of the instance: got %d, want 3", code)
	}
}
