package metrics_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/magne-actors/magne-actors/actors"
	"github.com/magne-actors/magne-actors/internal/metrics"
	"github.com/magne-actors/magne-actors/supervisor"
)

func sampleStats() []actors.PoolStats {
	return []actors.PoolStats{{
		Pool: "mail", Queue: "q.mail", Consuming: true, Paused: true, Suspended: true, Parked: true,
		High: 64, Low: 32, InFlight: 60, Queued: 52, Running: 8, Workers: 7, Abandoned: 1, Pauses: 3,
		Delivered: 100, Acked: 30, Requeued: 4, Retried: 5, DeadLettered: 6, Lost: 2,
		Durations: actors.Histogram{Bounds: []float64{0.1, 1}, Counts: []int64{10, 20, 3}, Sum: 12.5},
	}}
}

func sampleTree() *supervisor.Node {
	return &supervisor.Node{ID: "root", Kind: "root", State: "up", Children: []*supervisor.Node{
		{ID: "broker", Kind: "broker", State: "connected", Spool: &supervisor.Spool{
			Messages: 3, Bytes: 4000, MaxBytes: 65536, Oldest: new(time.Unix(1e9, 0)), Published: 5, Refused: 6,
		}},
		{ID: "mail", Kind: "sup", State: "up", Children: []*supervisor.Node{
			{ID: "mail/1", Kind: "worker", State: "up"},
			{ID: "mail/2", Kind: "worker", State: "up"},
			{ID: "mail/3", Kind: "worker", State: "backoff"},
		}},
		{ID: "resize/1", Kind: "slot", State: "busy", RSS: 1 << 20, CPU: 150, TasksDone: new(int64(9)), TasksFailed: new(int64(1))},
	}}
}

func sample() *metrics.Collector {
	return metrics.New(metrics.Source{
		Version: "0.1.0", Stats: sampleStats, Tree: sampleTree, Reconnects: func() int64 { return 9 },
	})
}

// expect compares all but the build's metric, which has Go's version in it.
func expect(t *testing.T, c *metrics.Collector, want string) {
	t.Helper()
	var names []string
	for _, m := range metrics.Describe() {
		if m.Name != "magne_build_info" && strings.Contains(want, " "+m.Name+" ") {
			names = append(names, m.Name)
		}
	}
	if err := testutil.CollectAndCompare(c, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

func TestSpoolIsShown(t *testing.T) {
	expect(t, sample(), `
# HELP magne_spool_messages Messages on the disk that the broker has not confirmed yet; with broker.spool.dir, as the others below.
# TYPE magne_spool_messages gauge
magne_spool_messages 3
# HELP magne_spool_bytes Bytes of the files of the spool, of all processes that share it.
# TYPE magne_spool_bytes gauge
magne_spool_bytes 4000
# HELP magne_spool_max_bytes The bound of magne_spool_bytes.
# TYPE magne_spool_max_bytes gauge
magne_spool_max_bytes 65536
# HELP magne_spool_oldest_timestamp_seconds When the oldest message was put, in Unix time; 0 without one.
# TYPE magne_spool_oldest_timestamp_seconds gauge
magne_spool_oldest_timestamp_seconds 1e+09
# HELP magne_spool_published_total Messages of the spool that the broker has confirmed.
# TYPE magne_spool_published_total counter
magne_spool_published_total 5
# HELP magne_spool_refused_total Messages that the spool had no room for.
# TYPE magne_spool_refused_total counter
magne_spool_refused_total 6
`)
}

func TestPoolsAreShown(t *testing.T) {
	expect(t, sample(), `
# HELP magne_deliveries_total Deliveries accepted from the broker.
# TYPE magne_deliveries_total counter
magne_deliveries_total{pool="mail"} 100
# HELP magne_deliveries_lost_total Deliveries whose consumer died before they were settled; the broker delivers them again.
# TYPE magne_deliveries_lost_total counter
magne_deliveries_lost_total{pool="mail"} 2
# HELP magne_settlements_total Deliveries settled, by verdict.
# TYPE magne_settlements_total counter
magne_settlements_total{pool="mail",verdict="acked"} 30
magne_settlements_total{pool="mail",verdict="dead_lettered"} 6
magne_settlements_total{pool="mail",verdict="requeued"} 4
magne_settlements_total{pool="mail",verdict="retried"} 5
# HELP magne_task_duration_seconds How long handlers ran, whatever came of it.
# TYPE magne_task_duration_seconds histogram
magne_task_duration_seconds_bucket{pool="mail",le="0.1"} 10
magne_task_duration_seconds_bucket{pool="mail",le="1"} 30
magne_task_duration_seconds_bucket{pool="mail",le="+Inf"} 33
magne_task_duration_seconds_sum{pool="mail"} 12.5
magne_task_duration_seconds_count{pool="mail"} 33
# HELP magne_in_flight Deliveries accepted and not settled: what the watermarks limit.
# TYPE magne_in_flight gauge
magne_in_flight{pool="mail"} 60
# HELP magne_watermark_pauses_total How often the high watermark was reached.
# TYPE magne_watermark_pauses_total counter
magne_watermark_pauses_total{pool="mail"} 3
`)
}

// Each figure of the statistics is one metric: none is forgotten and none is
// another's.
func TestEachFigureOfAPoolHasItsMetric(t *testing.T) {
	page := scrape(sample())
	for name, want := range map[string]float64{
		"consuming": 1, "suspended": 1, "parked": 1, "watermark_paused": 1, "workers": 7, "in_flight": 60,
		"tasks_queued": 52, "tasks_running": 8, "tasks_abandoned": 1, "watermark_high": 64, "watermark_low": 32,
	} {
		if line := fmt.Sprintf("\nmagne_%s{pool=\"mail\"} %v\n", name, want); !strings.Contains(page, line) {
			t.Errorf("no %q in\n%s", line, page)
		}
	}
}

// scrape is the page that Prometheus gets.
func scrape(c *metrics.Collector) string {
	w := httptest.NewRecorder()
	metrics.Handler(c, nil).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

func TestTheTreeIsShown(t *testing.T) {
	expect(t, sample(), `
# HELP magne_up 1 while the root of the supervision tree is up, 0 while it starts and stops.
# TYPE magne_up gauge
magne_up 1
# HELP magne_broker_up 1 while there is a session with the broker.
# TYPE magne_broker_up gauge
magne_broker_up 1
# HELP magne_broker_reconnects_total Sessions with the broker that were lost. They count towards no restart intensity.
# TYPE magne_broker_reconnects_total counter
magne_broker_reconnects_total 9
# HELP magne_nodes Nodes of the supervision tree by kind and state.
# TYPE magne_nodes gauge
magne_nodes{kind="broker",state="connected"} 1
magne_nodes{kind="root",state="up"} 1
magne_nodes{kind="slot",state="busy"} 1
magne_nodes{kind="sup",state="up"} 1
magne_nodes{kind="worker",state="backoff"} 1
magne_nodes{kind="worker",state="up"} 2
# HELP magne_slots Worker processes' seats by state, of pools with mode process.
# TYPE magne_slots gauge
magne_slots{pool="resize",state="busy"} 1
# HELP magne_slot_resident_memory_bytes Resident memory of a worker process and its descendants.
# TYPE magne_slot_resident_memory_bytes gauge
magne_slot_resident_memory_bytes{pool="resize",slot="1"} 1.048576e+06
# HELP magne_slot_cpu_usage_ratio Processors that a worker process and its descendants keep busy; 1 is one of them.
# TYPE magne_slot_cpu_usage_ratio gauge
magne_slot_cpu_usage_ratio{pool="resize",slot="1"} 1.5
# HELP magne_slot_tasks_total Tasks that ended in a seat of a worker process, by result.
# TYPE magne_slot_tasks_total counter
magne_slot_tasks_total{pool="resize",result="done",slot="1"} 9
magne_slot_tasks_total{pool="resize",result="failed",slot="1"} 1
`)
}

func TestWithoutATreeNothingIsUp(t *testing.T) {
	expect(t, metrics.New(metrics.Source{Tree: func() *supervisor.Node { return nil }}), `
# HELP magne_up 1 while the root of the supervision tree is up, 0 while it starts and stops.
# TYPE magne_up gauge
magne_up 0
# HELP magne_broker_up 1 while there is a session with the broker.
# TYPE magne_broker_up gauge
magne_broker_up 0
`)
}

// What promlint asks of names, units and help texts.
func TestNamesFollowTheConventions(t *testing.T) {
	c := sample()
	c.Observe(supervisor.Event{Type: supervisor.EventStarted, ID: "mail/1", Kind: "worker", Generation: 1})
	c.Observe(supervisor.Event{Type: supervisor.EventStarted, ID: "mail/1", Kind: "worker", Generation: 2})
	problems, err := testutil.CollectAndLint(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if got, want := testutil.CollectAndCount(c, names()...), len(metrics.Describe()); got < want {
		t.Errorf("%d series of %d metrics: the sample leaves some out", got, want)
	}
}

func names() []string {
	var list []string
	for _, m := range metrics.Describe() {
		list = append(list, m.Name)
	}
	return list
}

// Labels that a message could fill would be without bound.
func TestLabelsAreBounded(t *testing.T) {
	allowed := []string{"pool", "slot", "kind", "child", "state", "reason", "type", "verdict", "result", "version", "goversion"}
	for _, m := range metrics.Describe() {
		for _, l := range m.Labels {
			if !slices.Contains(allowed, l) {
				t.Errorf("%s has the label %s: how many values can it have?", m.Name, l)
			}
		}
	}
	c := sample()
	for i := range 1000 {
		id := "mail/" + slog.IntValue(i).String()
		c.Observe(supervisor.Event{Type: supervisor.EventStarted, ID: id, Kind: "worker", Generation: 1})
		c.Observe(supervisor.Event{Type: supervisor.EventFailed, ID: id, Kind: "worker", Generation: 1, Err: errors.New(id)})
		c.Observe(supervisor.Event{Type: supervisor.EventStarted, ID: id, Kind: "worker", Generation: 2})
	}
	if got := testutil.CollectAndCount(c, "magne_restarts_total"); got != 1 {
		t.Errorf("1000 workers of one pool have %d series, want 1", got)
	}
}

func TestHandlerHasTheRuntimeToo(t *testing.T) {
	page := scrape(sample())
	for _, want := range []string{"magne_up 1", `magne_build_info{goversion="go`, "go_goroutines ", "process_resident_memory_bytes "} {
		if !strings.Contains(page, "\n"+want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
}

// Two pools of one name cannot be; if they were, the rest would still be shown.
func TestAMetricThatIsWrongLeavesTheOthers(t *testing.T) {
	var log strings.Builder
	twice := metrics.New(metrics.Source{Stats: func() []actors.PoolStats { return append(sampleStats(), sampleStats()...) }})
	w := httptest.NewRecorder()
	metrics.Handler(twice, slog.New(slog.NewTextHandler(&log, nil))).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 || !strings.Contains(w.Body.String(), "magne_up 0") || !strings.Contains(log.String(), "magne_in_flight") {
		t.Errorf("got %d and the log %s", w.Code, log.String())
	}
}

func TestScrapesAndEventsAtOnce(t *testing.T) {
	c := sample()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(c)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for gen := range 1000 {
			c.Observe(supervisor.Event{Type: supervisor.EventStarted, ID: "mail/1", Kind: "worker", Generation: gen + 1})
		}
	}()
	for range 20 {
		if _, err := r.Gather(); err != nil {
			t.Fatal(err)
		}
	}
	<-done
	expect(t, c, `
# HELP magne_restarts_total Restarts of nodes of the supervision tree, by why the incarnation before had ended.
# TYPE magne_restarts_total counter
magne_restarts_total{child="mail",kind="worker",reason="shutdown"} 999
`)
}

func BenchmarkScrape(b *testing.B) {
	for _, workers := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("nodes-%d", workers), func(b *testing.B) {
			root := sampleTree()
			for i := range workers {
				root.Children = append(root.Children, &supervisor.Node{ID: fmt.Sprintf("big/%d", i+1), Kind: "worker", State: "up"})
			}
			c := metrics.New(metrics.Source{Stats: sampleStats, Tree: func() *supervisor.Node { return root }})
			r := prometheus.NewRegistry()
			r.MustRegister(c)
			for b.Loop() {
				if _, err := r.Gather(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkObserve(b *testing.B) {
	c := metrics.New(metrics.Source{})
	for b.Loop() {
		c.Observe(supervisor.Event{Type: supervisor.EventStarted, ID: "mail/1", Kind: "worker", Generation: 1})
	}
}
