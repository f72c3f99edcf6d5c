package e2e_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

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
	contains(t, a.look(0, "inspect", "router:p"), "state      paused", "in flight  5", "low        2", "handled")
	a.look(2, "inspect", "p/")
	contains(t, a.look(0, "why", "router:p"), "router:p is paused since ", "5 of 5 deliveries in flight (high), it resumes at 2; 2 run and 3 wait.", "2 of its 2 workers run tasks.")
	a.look(2, "why", "nobody")
	events := strings.Join(strings.Fields(a.look(0, "events")), " ") // whatever the widths
	contains(t, events, "started router:p", "started p/2", "started broker")
	if text := a.look(0, "events", "p/1"); strings.Contains(text, "p/2") {
		t.Errorf("events p/1:\n%s", text)
	}
	var tasks []struct {
		ID, Task, Pool, Worker string
		Attempt                int
		Since                  time.Time
	}
	if err := json.Unmarshal([]byte(a.look(0, "tasks", "-o", "json")), &tasks); err != nil || len(tasks) != 2 {
		t.Fatalf("tasks -o json: %+v, %v", tasks, err)
	}
	for _, task := range tasks {
		if task.ID == "" || task.Task != "hook" || task.Pool != "p" || !strings.HasPrefix(task.Worker, "p/") || task.Attempt != 1 || time.Since(task.Since) > patience {
			t.Errorf("tasks -o json: %+v", task)
		}
	}
	contains(t, a.look(0, "tasks"), "WORKER", "p/1", "hook")
	e.release()
	a.settled("p", 5)
	a.stop()
}

// TestRestart: a worker that is restarted is another one, and its pool works on.
func TestRestart(t *testing.T) {
	a, e := blocked(t)
	e.release()
	a.settled("p", 5)
	w := spawn(t, a.dir, nil, nil, "events", "-w", "-o", "json", "--socket", a.socket)
	contains(t, a.look(0, "restart", "p/1"), "p/1 is up\n")
	a.look(2, "restart", "nobody")
	a.look(1, "restart", "root")
	a.look(1, "restart", "control")
	eventually(t, "events -w shows the second incarnation of p/1", func() (bool, any) {
		for line := range strings.Lines(w.stdout.String()) {
			var e supervisor.Event
			if json.Unmarshal([]byte(line), &e) == nil && e.Type == supervisor.EventStarted && e.ID == "p/1" && e.Generation == 2 {
				return true, nil
			}
		}
		return false, w.stdout
	})
	a.look(0, "restart", "router:p", "-o", "json")
	a.healthy()
	publishNumbers(t, a, "hook", 5, 5)
	a.untilNode("router:p", "10 settled", func(n *supervisor.Node) bool { return number(n.Settled) == 10 && number(n.InFlight) == 0 })
	a.stop()
	if code := w.wait(); code != 3 {
		t.Errorf("exit code of events -w after the end of the instance: got %d, want 3", code)
	}
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

// TestLookIsQuick: with 1,000 workers that are all blocked, tree and tasks show each of
// them. How long tree takes with the start of its process is logged, and measured by
// BenchmarkTree: a busy machine is no fault.
func TestLookIsQuick(t *testing.T) {
	t.Parallel()
	a := stuck(t)
	quickest := time.Hour
	for range 5 {
		began := time.Now()
		root, code := a.tree()
		quickest = min(quickest, time.Since(began))
		if code != 0 || number(find(root, "p/1000").Running) != 1 {
			t.Fatalf("exit code %d, p/1000: %+v", code, find(root, "p/1000"))
		}
	}
	t.Logf("tree -o json took %v, the quickest of 5; the target on a quiet machine is 100 ms", quickest)
	if n := strings.Count(a.look(0, "tasks"), "p/"); n != 1000 {
		t.Errorf("tasks shows %d, want 1000", n)
	}
	a.kill()
}
