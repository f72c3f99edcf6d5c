package e2e_test

import (
	"regexp"
	"strconv"
	"testing"

	"github.com/magne-actors/magne-actors/internal/testenv"
	"github.com/magne-actors/magne-actors/supervisor"
)

// TestConnectionsClosedWhileTasksRun: what runs is delivered again, and is not run
// again.
func TestConnectionsClosedWhileTasksRun(t *testing.T) {
	t.Parallel()
	const rounds, each = 3, 40
	node := testenv.Private(t, testenv.Options{})
	queue := testenv.Name(t)
	e := newEndpoint(t)
	s, address := setup{url: node.URL, pools: hook(queue, e.url, "slots: 20\nwatermarks: {high: 100}")}.probe(t)
	a := probed{start(t, s), address}
	for round := range rounds {
		e.hold()
		publishNumbers(t, a.app, "hook", 100*round, each)
		e.hasBegun(t, round*each+20)
		if _, err := node.Ctl(t.Context(), "close_all_connections", "maintenance"); err != nil {
			t.Fatal(err)
		}
		if round < rounds-1 { // in the last one they end whenever they do
			a.until("all that runs is adopted, and more has come", func(root *supervisor.Node, code int) bool {
				return connected(root, 0) && metric(a, "magne_deliveries_adopted_total") >= 20*(round+1) && metric(a, "magne_tasks_orphaned") == 0
			})
		}
		e.release()
		e.hasDone(t, (round+1)*each)
	}
	a.empty("p")
	for task, n := range e.begunRuns() {
		if n != 1 {
			t.Errorf("task %s was run %d times", task, n)
		}
	}
	dial(t, node.URL).holds(queue, 0)
	t.Logf("%d tasks, %d deliveries lost, %d adopted, %d results after the loss, %d recalled", rounds*each,
		metric(a, "magne_deliveries_lost_total"), metric(a, "magne_deliveries_adopted_total"),
		metric(a, "magne_results_after_loss_total"), metric(a, "magne_deliveries_recalled_total"))
	a.stop()
}

// metric is the figure of the pool p, -1 while there is none.
func metric(a probed, name string) int {
	a.t.Helper()
	_, page := a.get("/metrics")
	m := regexp.MustCompile(`(?m)^` + name + `\{pool="p"\} (\d+)$`).FindStringSubmatch(page)
	if m == nil {
		return -1
	}
	n, _ := strconv.Atoi(m[1])
	return n
}
