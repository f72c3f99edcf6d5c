package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/magne-actors/magne-actors/actors"
	"github.com/magne-actors/magne-actors/supervisor"
)

// namespace is what all names begin with.
const namespace = "magne"

// Metric describes one metric for a document.
type Metric struct {
	Name   string
	Type   string // counter, gauge or histogram
	Labels []string
	Help   string
}

// Describe are the metrics of this package in the order of the document.
func Describe() []Metric {
	list := newFamilies().list
	out := make([]Metric, len(list))
	for i, f := range list {
		out[i] = f.Metric
	}
	return out
}

// family is a metric with what Prometheus wants to know of it.
type family struct {
	Metric
	desc *prometheus.Desc
	kind prometheus.ValueType
}

// families are the metrics; those of the list perPool have a value for each pool
// that is read as it is.
type families struct {
	list    []*family
	perPool []poolFamily

	build, up, nodes, events, restarts    *family
	brokerUp, reconnects, consumerState   *family
	spool                                 []spoolFamily
	settlements, durations                *family
	slots, slotMemory, slotCPU, slotTasks *family
}

// spoolFamily has a value where there is a spool.
type spoolFamily struct {
	*family
	value func(*supervisor.Spool) float64
}

type poolFamily struct {
	*family
	value func(*actors.PoolStats) float64
}

func newFamilies() *families {
	f := &families{}
	f.ofProcess()
	f.ofBroker()
	f.ofSpool()
	f.ofPools()
	f.ofSlots()
	return f
}

func (f *families) ofProcess() {
	f.build = f.gauge("build_info", "Always 1; the version of magne-actors and of Go.", "version", "goversion")
	f.up = f.gauge("up", "1 while the root of the supervision tree is up, 0 while it starts and stops.")
	f.nodes = f.gauge("nodes", "Nodes of the supervision tree by kind and state.", "kind", "state")
	f.restarts = f.counter("restarts_total", "Restarts of nodes of the supervision tree, by why the incarnation before had ended.",
		"kind", "child", "reason")
	f.events = f.counter("supervision_events_total", "Events of the supervision tree by type.", "type")
}

func (f *families) ofBroker() {
	f.brokerUp = f.gauge("broker_up", "1 while there is a session with the broker.")
	f.reconnects = f.counter("broker_reconnects_total", "Sessions with the broker that were lost. They count towards no restart intensity.")
}

func (f *families) ofSpool() {
	type spool = supervisor.Spool
	add := func(added *family, value func(*spool) float64) { f.spool = append(f.spool, spoolFamily{added, value}) }
	add(f.gauge("spool_messages", "Messages on the disk that the broker has not confirmed yet; with broker.spool.dir, as the others below."),
		func(s *spool) float64 { return float64(s.Messages) })
	add(f.gauge("spool_bytes", "Bytes of the files of the spool, of all processes that share it."), func(s *spool) float64 { return float64(s.Bytes) })
	add(f.gauge("spool_max_bytes", "The bound of magne_spool_bytes."), func(s *spool) float64 { return float64(s.MaxBytes) })
	add(f.gauge("spool_oldest_timestamp_seconds", "When the oldest message was put, in Unix time; 0 without one."), func(s *spool) float64 {
		if s.Oldest == nil {
			return 0
		}
		return float64(s.Oldest.Unix())
	})
	add(f.counter("spool_published_total", "Messages of the spool that the broker has confirmed."), func(s *spool) float64 { return float64(s.Published) })
	add(f.counter("spool_refused_total", "Messages that the spool had no room for."), func(s *spool) float64 { return float64(s.Refused) })
}

func (f *families) ofPools() {
	type stats = actors.PoolStats
	gauge, counter := prometheus.GaugeValue, prometheus.CounterValue
	f.pool(gauge, "consuming", "1 while the pool's consumer is there.", func(s *stats) float64 { return truth(s.Consuming) })
	f.pool(gauge, "suspended", "1 while an operator has paused the pool.", func(s *stats) float64 { return truth(s.Suspended) })
	f.pool(gauge, "parked", "1 while the pool is given up and waits for an operator.", func(s *stats) float64 { return truth(s.Parked) })
	f.pool(gauge, "workers", "Workers that are up.", func(s *stats) float64 { return float64(s.Workers) })
	f.pool(gauge, "in_flight", "Deliveries accepted and not settled: what the watermarks limit.", func(s *stats) float64 { return float64(s.InFlight) })
	f.pool(gauge, "tasks_queued", "Deliveries that wait for a worker.", func(s *stats) float64 { return float64(s.Queued) })
	f.pool(gauge, "tasks_running", "Tasks that run.", func(s *stats) float64 { return float64(s.Running) })
	f.pool(gauge, "tasks_abandoned", "Tasks that outlived their timeout, are not waited for, and still run.", func(s *stats) float64 { return float64(s.Abandoned) })
	f.pool(gauge, "watermark_high", "Deliveries in flight at which the intake pauses.", func(s *stats) float64 { return float64(s.High) })
	f.pool(gauge, "watermark_low", "Deliveries in flight at which the intake resumes.", func(s *stats) float64 { return float64(s.Low) })
	f.pool(gauge, "watermark_paused", "1 while the intake is paused by the high watermark.", func(s *stats) float64 { return truth(s.Paused) })
	f.pool(counter, "watermark_pauses_total", "How often the high watermark was reached.", func(s *stats) float64 { return float64(s.Pauses) })
	f.pool(counter, "deliveries_total", "Deliveries accepted from the broker.", func(s *stats) float64 { return float64(s.Delivered) })
	f.consumerState = f.gauge("consumer_state", "1 for the state that the pool's consumer is in, 0 for the others.", "pool", "state")
	f.pool(gauge, "consumer_starved", "1 while messages wait, there is room, and none comes.", func(s *stats) float64 { return truth(s.Liveness.Starved) })
	f.pool(gauge, "consumers_isolated", "Consumers that are kept apart for deliveries near the broker's ack timeout.", func(s *stats) float64 { return float64(s.Liveness.Isolated) })
	f.pool(gauge, "deliveries_old", "Deliveries that have been unsettled for half of the broker's ack timeout.", func(s *stats) float64 { return float64(s.Liveness.Old) })
	f.pool(gauge, "last_delivery_timestamp_seconds", "When the last delivery came, in seconds since 1970; 0 before the first.", func(s *stats) float64 { return unix(s.Liveness.LastDelivery) })
	f.settlements = f.counter("settlements_total", "Deliveries settled, by verdict.", "pool", "verdict")
	f.pool(counter, "deliveries_lost_total", "Deliveries whose consumer died before they were settled; the broker delivers them again.", func(s *stats) float64 { return float64(s.Lost) })
	f.pool(counter, "deliveries_adopted_total", "Messages that came again while their task ran: it was not started twice.", func(s *stats) float64 { return float64(s.Adopted) })
	f.pool(counter, "deliveries_recalled_total", "Messages that came again when their task was done: they were settled with its result.", func(s *stats) float64 { return float64(s.Recalled) })
	f.pool(counter, "deliveries_duplicate_total", "Messages that were published twice and acked with the other one.", func(s *stats) float64 { return float64(s.Duplicates) })
	f.pool(counter, "results_after_loss_total", "Tasks that ended when their delivery was lost.", func(s *stats) float64 { return float64(s.ResultAfterLoss) })
	f.pool(gauge, "tasks_orphaned", "Tasks that run although their delivery is lost, until it comes again.", func(s *stats) float64 { return float64(s.Orphans) })
	f.pool(gauge, "suspects_waiting", "Tasks that wait to run alone, for a worker process has died under them; they are in magne_tasks_queued, too.", func(s *stats) float64 { return float64(s.Suspects) })
	f.pool(counter, "suspects_run_total", "Runs of such tasks, alone in a worker process.", func(s *stats) float64 { return float64(s.Quarantined) })
	f.pool(counter, "suspects_cleared_total", "Such tasks that succeeded.", func(s *stats) float64 { return float64(s.Cleared) })
	f.pool(counter, "suspects_convicted_total", "Such tasks under which their worker has died again, and that are dead letters with the reason worker_lost.", func(s *stats) float64 { return float64(s.Convicted) })
	f.durations = f.add("histogram", prometheus.UntypedValue, "task_duration_seconds", "How long handlers ran, whatever came of it.", "pool")
}

func (f *families) ofSlots() {
	f.slots = f.gauge("slots", "Worker processes' seats by state, of pools with mode process.", "pool", "state")
	f.slotMemory = f.gauge("slot_resident_memory_bytes", "Resident memory of a worker process and its descendants.", "pool", "slot")
	f.slotCPU = f.gauge("slot_cpu_usage_ratio", "Processors that a worker process and its descendants keep busy; 1 is one of them.", "pool", "slot")
	f.slotTasks = f.counter("slot_tasks_total", "Tasks that ended in a seat of a worker process, by result.", "pool", "slot", "result")
}

func (f *families) gauge(name, help string, labels ...string) *family {
	return f.add("gauge", prometheus.GaugeValue, name, help, labels...)
}

func (f *families) counter(name, help string, labels ...string) *family {
	return f.add("counter", prometheus.CounterValue, name, help, labels...)
}

func (f *families) pool(kind prometheus.ValueType, name, help string, value func(*actors.PoolStats) float64) {
	word := "gauge"
	if kind == prometheus.CounterValue {
		word = "counter"
	}
	f.perPool = append(f.perPool, poolFamily{f.add(word, kind, name, help, "pool"), value})
}

func (f *families) add(word string, kind prometheus.ValueType, name, help string, labels ...string) *family {
	full := prometheus.BuildFQName(namespace, "", name)
	added := &family{
		Metric: Metric{Name: full, Type: word, Labels: labels, Help: help},
		desc:   prometheus.NewDesc(full, help, labels, nil), kind: kind,
	}
	f.list = append(f.list, added)
	return added
}

// unix is a moment as Prometheus has it.
func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixNano()) / 1e9
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
