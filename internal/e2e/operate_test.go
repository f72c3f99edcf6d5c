package e2e_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/supervisor"
)

// TestOperateUnderLoad: a pool is made larger and smaller, limited, paused and resumed,
// and one of its tasks cancelled, while tasks run. No task is lost or run twice, who
// watches sees what was done, and the other pool has nothing to do with it.
func TestOperateUnderLoad(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	const published = 400
	a := start(t, setup{pools: strings.Replace(hook("mail", e.url, "workers: 2\nslots: 2\nwatermarks: {high: 20, low: 10}"), "p:", "mail:", 1) +
		"sms: {queue: sms, tasks: {fine: {builtin: echo}}}\n"})
	watch := spawn(t, a.dir, nil, nil, "events", "mail", "-w", "-o", "json", "--socket", a.socket)

	e.hold()
	publishNumbers(t, a, "hook", 0, published)
	e.hasBegun(t, 4)
	a.look(0, "scale", "mail", "5")
	e.hasBegun(t, 10)
	a.look(0, "scale", "mail", "1") // what runs goes on
	a.untilNode("pool:mail", "one worker, and all ten tasks", func(n *supervisor.Node) bool { return n.Detail == "1/1" && len(n.Children) == 1 })
	if n := strings.Count(a.look(0, "tasks"), "hook"); n != 10 {
		t.Errorf("%d tasks are shown, want the 10 that run", n)
	}
	cancelled := a.cancelOne(t)

	a.look(0, "pause", "mail")
	a.untilNode("router:mail", "suspended, with what runs", func(n *supervisor.Node) bool {
		return n.State == "suspended" && number(n.InFlight) == 9
	})
	a.look(0, "limit", "mail", "high=30", "low=5")
	e.release()
	a.empty("mail")
	done := len(e.doneRuns())
	a.publishTo("sms", 50, "fine")
	a.settled("sms", 50) // the other pool is not paused
	if n := len(e.doneRuns()); n != done || n != 9 {
		t.Errorf("%d tasks done while paused, then %d; want the 9 that ran", done, n)
	}
	a.look(0, "resume", "mail")
	a.untilNode("router:mail", "consumes with the new limits", func(n *supervisor.Node) bool {
		return n.State != "suspended" && number(n.High) == 30 && number(n.Low) == 5
	})
	e.hasDone(t, published-1)
	a.empty("mail")
	for key, n := range e.begunRuns() {
		if n != 1 {
			t.Errorf("task %s was run %d times", key, n)
		}
	}
	b := dial(t, "amqp://guest:guest@"+a.listen+"/")
	if d := b.take(dead("mail"), 1)[0]; d.MessageId != cancelled || d.Headers["x-reason"] != "cancelled" {
		t.Errorf("dead-lettered: %s, %v; want %s, cancelled", d.MessageId, d.Headers, cancelled)
	}
	sees(t, watch, "router:mail", "consuming", "suspended", "limited", "consuming")
	a.logsArePoolsOwn(t, "mail", "sms")
	a.stop()
	if code := watch.wait(); code != 3 {
		t.Errorf("exit code of events -w after the end of the instance: got %d, want 3", code)
	}
}

// cancelOne cancels one of the tasks that run, and returns its id. Its worker is one
// that was scaled away: mail/1 would begin another task.
func (a *app) cancelOne(t *testing.T) string {
	t.Helper()
	tasks := decode[[]struct{ ID, Worker string }](t, a.look(0, "tasks", "-o", "json"))
	i := slices.IndexFunc(tasks, func(task struct{ ID, Worker string }) bool { return task.Worker != "mail/1" })
	contains(t, a.look(0, "cancel", tasks[i].ID), "is cancelled: 1 task")
	a.untilNode("router:mail", "one less runs", func(n *supervisor.Node) bool { return number(n.Running) == len(tasks)-1 })
	return tasks[i].ID
}

// sees waits until events -w has shown these types for a node, in this order, whatever
// else there was between them.
func sees(t *testing.T, watch *process, node string, types ...supervisor.EventType) {
	t.Helper()
	eventually(t, fmt.Sprintf("events -w shows %v of %s", types, node), func() (bool, any) {
		left := types
		var got []supervisor.EventType
		for line := range strings.Lines(watch.stdout.String()) {
			var e supervisor.Event
			if json.Unmarshal([]byte(line), &e) != nil || e.ID != node { // a line may be half written
				continue
			}
			got = append(got, e.Type)
			if len(left) > 0 && left[0] == e.Type {
				left = left[1:]
			}
		}
		return len(left) == 0, got
	})
}

// logsArePoolsOwn holds what `logs` says about one pool to be about no other one.
func (a *app) logsArePoolsOwn(t *testing.T, pool, other string) {
	t.Helper()
	entries := decode[[]control.Entry](t, a.look(0, "logs", pool, "-o", "json"))
	about := func(e control.Entry, pool string) bool {
		return slices.ContainsFunc(e.Attrs, func(attr control.Attr) bool {
			word, _ := attr.Value.(string)
			return attr.Key == "pool" && word == pool || attr.Key == "actor" && strings.Contains(word, pool)
		})
	}
	for _, e := range entries {
		if about(e, other) || !about(e, pool) {
			t.Errorf("logs %s: %+v", pool, e)
		}
	}
	if len(entries) < 4 { // consuming, suspended, limited, resumed
		t.Errorf("logs %s: %d entries", pool, len(entries))
	}
	all := decode[[]control.Entry](t, a.look(0, "logs", "-o", "json"))
	if !slices.ContainsFunc(all, func(e control.Entry) bool { return about(e, other) }) {
		t.Errorf("logs: nothing about %s", other)
	}
}
