package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/magne-actors/magne-actors/internal/testenv"
	"github.com/magne-actors/magne-actors/supervisor"
)

// TestRestForOne: the broker's part of the tree is restarted again and again while
// tasks run. What stands after it is restarted with it, in order, no message is lost,
// and none is settled twice: RabbitMQ would close the channel.
func TestRestForOne(t *testing.T) {
	t.Parallel()
	node := testenv.Private(t, testenv.Options{})
	r := dial(t, node.URL)
	e := newEndpoint(t)
	queue := testenv.Name(t)
	const published, restarts = 3000, 5
	a := start(t, setup{url: node.URL, pools: hook(queue, e.url, "workers: 4\nslots: 10\nwatermarks: {high: 80}\nretry: {initial: 1ms, max: 5ms}") +
		fmt.Sprintf("other: {queue: %s, workers: 2, tasks: {fine: {builtin: echo}}}\n", queue+".other")})
	for round := range restarts {
		e.hold()
		publishNumbers(t, a, "hook", round*published/restarts, published/restarts)
		a.untilNode("router:p", "40 run", func(n *supervisor.Node) bool { return number(n.Running) == 40 })
		if round%2 == 0 {
			e.release() // in full swing, and otherwise with all tasks in the middle
		}
		contains(t, a.look(0, "restart", "broker"), "broker is up") // although the node of the control API goes with it
		e.release()
		a.untilNode("broker", "restarted", func(n *supervisor.Node) bool { return number(n.Restarts) == round+1 })
	}
	e.hasDone(t, published)
	a.empty("p")
	a.healthy()
	a.restartedInOrder(t)
	root, _ := a.tree()
	if n := number(find(root, "broker").Restarts); n != restarts {
		t.Errorf("the broker was restarted %d times, want %d", n, restarts)
	}
	t.Logf("%d tasks, %d runs", published, total(e.begunRuns()))
	a.stop()
	if n := r.ready(queue); n != 0 {
		t.Errorf("left in the queue: %d", n)
	}
	if n := r.ready(dead(queue)); n != 0 {
		t.Errorf("dead-lettered: %d", n)
	}
	noDoubleSettlement(t, a.process, node)
}

func total(runs map[string]int) (n int) {
	for _, each := range runs {
		n += each
	}
	return n
}

// restartedInOrder holds the events of the last restart of the broker to the rules of
// rest_for_one: stopped from the last child to the first, started the other way.
func (a *app) restartedInOrder(t *testing.T) {
	t.Helper()
	var ended, started []string
	for _, e := range of(a.events("root"), supervisor.EventStarted, supervisor.EventEnded, supervisor.EventFailed) {
		if !slices.Contains([]string{"broker", "pools", "router:p", "pool:p", "control:prober", "control"}, e.ID) {
			continue
		}
		if e.Type == supervisor.EventStarted {
			started = append(started, e.ID)
		} else {
			ended = append(ended, e.ID)
		}
	}
	t.Logf("ended %v, started %v", ended, started)
	last := func(all []string, n int) string { return fmt.Sprint(all[max(0, len(all)-n):]) }
	if got, want := last(started, 6), "[broker router:p pool:p pools control:prober control]"; got != want {
		t.Errorf("started in the order %s, want %s", got, want)
	}
	if got, want := last(ended, 6), "[control control:prober pool:p router:p pools broker]"; got != want {
		t.Errorf("ended in the order %s, want %s", got, want)
	}
}

// noDoubleSettlement holds the logs of both sides to what they would have if a
// delivery had been settled twice.
func noDoubleSettlement(t *testing.T, p *process, node *testenv.Node) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(node.Dir, "log", "*.log"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no log of RabbitMQ: %v", err)
	}
	logs := map[string]string{"magne-actors": p.stderr.String()}
	for _, file := range files {
		log, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		logs[file] = string(log)
	}
	for where, text := range logs {
		for _, word := range []string{"PRECONDITION_FAILED", "precondition_failed", "unknown delivery tag"} {
			if at := strings.Index(text, word); at >= 0 {
				t.Errorf("the log of %s has %q: %s", where, word, text[at:min(len(text), at+300)])
			}
		}
	}
}
