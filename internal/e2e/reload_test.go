package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/magne-actors/magne-actors/supervisor"
)

// rewrite changes the instance's configuration.
func (a *app) rewrite(from, to string) {
	a.t.Helper()
	text, err := os.ReadFile(a.config)
	if err != nil {
		a.t.Fatal(err)
	}
	if !strings.Contains(string(text), from) {
		a.t.Fatalf("no %q in %s", from, text)
	}
	if err := os.WriteFile(a.config, []byte(strings.Replace(string(text), from, to, 1)), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// change is an element of what diff and reload print.
type change struct{ Pool, Action, Text string }

// changes runs diff or reload, and returns the actions by their pools.
func (a *app) changes(args ...string) map[string]string {
	a.t.Helper()
	var list []change
	if err := json.Unmarshal([]byte(a.look(0, append(args, "-o", "json")...)), &list); err != nil {
		a.t.Fatal(err)
	}
	actions := map[string]string{}
	for _, c := range list {
		actions[c.Pool] = c.Action
	}
	return actions
}

// TestReload: a configuration that has changed is taken over while tasks run, and
// what has not changed goes on as if nothing had happened; a wrong one changes
// nothing.
func TestReload(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	pools := hook("p", e.url, "workers: 2\nwatermarks: {high: 20, low: 10}") + "same: {queue: same, tasks: {t: {builtin: echo}}}\n" +
		"other: {queue: other, tasks: {t: {builtin: echo}}}\n" + "gone: {queue: gone, tasks: {t: {builtin: echo}}}\n"
	a := start(t, setup{pools: pools})
	e.hold()
	publishNumbers(t, a, "hook", 0, 10)
	e.hasBegun(t, 2)
	root, _ := a.tree()
	before := find(root, "router:same")

	a.rewrite("workers: 2", "workers: 4")
	a.rewrite("other: {queue: other", "other: {max_body: 2MiB, queue: other")
	a.rewrite("gone: {queue: gone", "new: {queue: new")
	want := "map[gone:remove new:add other:restart p:scale same:keep]"
	if got := fmt.Sprint(a.changes("diff", "-c", a.config)); got != want {
		t.Errorf("diff: got %s, want %s", got, want)
	}
	want = "map[gone:remove new:add other:restart p:scale]"
	if got := fmt.Sprint(a.changes("reload")); got != want {
		t.Errorf("reload: got %s, want %s", got, want)
	}
	e.hasBegun(t, 4) // the workers that are new, while the old ones are stuck
	a.healthy()
	root, _ = a.tree()
	if after := find(root, "router:same"); !after.Since.Equal(*before.Since) {
		t.Errorf("a pool that has not changed is up since %v, before it was %v", after.Since, before.Since)
	}
	if find(root, "gone") != nil || find(root, "new/1") == nil || number(find(root, "router:p").High) != 20 {
		t.Errorf("after the reload: %s", a.look(0, "tree"))
	}

	// By signal, and a wrong one.
	a.rewrite("high: 20", "high: 30")
	a.signal(syscall.SIGHUP)
	a.untilNode("router:p", "high is 30", func(n *supervisor.Node) bool { return number(n.High) == 30 })
	a.rewrite("high: 30", "high: 3O")
	a.look(2, "reload")
	a.look(2, "diff", "-c", a.config)
	a.signal(syscall.SIGHUP)
	a.says("the configuration is not valid, nothing was changed")
	contains(t, a.look(0, "logs", "--level", "error"), "3O")

	e.release()
	a.settled("p", 10)
	for task, n := range e.begunRuns() {
		if n != 1 {
			t.Errorf("task %s ran %d times", task, n)
		}
	}
	a.stop()
}

// TestOperate: a pool is scaled, limited, paused and resumed, and a task cancelled,
// while all workers are stuck.
func TestOperate(t *testing.T) {
	a, e := blocked(t)
	a.look(0, "scale", "p", "3")
	e.hasBegun(t, 3)
	a.look(2, "scale", "nobody", "3")
	a.look(0, "limit", "p", "high=9", "low=1")
	a.untilNode("router:p", "limited", func(n *supervisor.Node) bool { return number(n.High) == 9 && number(n.Low) == 1 })
	a.look(1, "limit", "p", "high=100000000")
	a.look(0, "pause", "p")
	a.untilNode("router:p", "suspended, with what runs", func(n *supervisor.Node) bool {
		return n.State == "suspended" && number(n.Queued) == 0 && number(n.Running) == 3
	})
	contains(t, a.look(0, "why", "router:p"), "an operator", "magne-actors resume p")
	var tasks []struct{ ID string }
	if err := json.Unmarshal([]byte(a.look(0, "tasks", "-o", "json")), &tasks); err != nil || len(tasks) != 3 {
		t.Fatalf("tasks: %v, %v", tasks, err)
	}
	contains(t, a.look(0, "cancel", tasks[0].ID), "is cancelled: 1 task")
	a.untilNode("router:p", "two run", func(n *supervisor.Node) bool { return number(n.Running) == 2 })
	a.look(2, "cancel", "nobody")
	a.look(1, "worker", "kill", "p/1") // it is a thread
	a.look(2, "worker", "kill", "p/99")
	contains(t, a.look(0, "events", "p", "--type", "suspended,limited"), "suspended  router:p", "limited")
	contains(t, a.look(0, "logs", "p"), "pool=p")
	contains(t, a.look(0, "tree", "-o", "wide"), "MAILBOX", "WINDOW")
	a.look(0, "resume", "p")
	e.release()
	a.settled("p", 7) // the five, and the two that were handed back
	a.stop()
}

// TestControlOverTCP: with the token, and not without.
func TestControlOverTCP(t *testing.T) {
	t.Parallel()
	const token = "0123456789abcdef-of-the-test"
	address := freeAddress(t)
	a := start(t, setup{
		pools: "p: {queue: p, tasks: {t: {builtin: echo}}}",
		env:   []string{"MAGNE_CONTROL_LISTEN=" + address, "MAGNE_CONTROL_TOKEN=" + token},
	})
	ask := func(token string) result {
		return magneIn(t, a.dir, []string{"MAGNE_CONTROL_TOKEN=" + token}, nil, "status", "--address", address)
	}
	if r := ask(token).want(t, 0); !strings.Contains(r.stdout, "HEALTHY") {
		t.Errorf("status: %s", r.stdout)
	}
	ask("wrong").want(t, 3)
	ask("").want(t, 2)
	second := setup{
		pools: "p: {queue: p, tasks: {t: {builtin: echo}}}",
		env:   []string{"MAGNE_CONTROL_LISTEN=" + address, "MAGNE_CONTROL_TOKEN=" + token},
	}
	if b := launch(t, second); b.wait() != 1 {
		t.Errorf("an address that is taken: exit code %d, want 1", b.code)
	}
	a.stop()
	if strings.Contains(a.stderr.String(), token) {
		t.Error("the token is in the log")
	}
}
