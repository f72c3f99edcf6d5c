package metrics

import (
	"runtime"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/magne-actors/magne-actors/actors"
	"github.com/magne-actors/magne-actors/supervisor"
)

// Source is what a Collector reads at each scrape. The functions are called on the
// goroutine of the scrape, several at once, and must read atomics only. One that
// is nil has nothing to tell.
type Source struct {
	Version    string // of the program
	Stats      func() []actors.PoolStats
	Tree       func() *supervisor.Node // nil before the tree is there
	Reconnects func() int64
}

// Collector is a prometheus.Collector of one System. Make it with New.
type Collector struct {
	src      Source
	fams     *families
	restarts *restarts
}

var _ prometheus.Collector = (*Collector)(nil)

// New makes a Collector. Give its Observe to the System, and itself to Handler or
// to a registry, of which it may be in one only.
func New(src Source) *Collector {
	f := newFamilies()
	return &Collector{src: src, fams: f, restarts: newRestarts(f)}
}

// Observe counts an event of the supervision tree. It does not block, and may be
// called by several goroutines.
func (c *Collector) Observe(e supervisor.Event) { c.restarts.observe(e) }

// Describe implements prometheus.Collector.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, f := range c.fams.list {
		out <- f.desc
	}
}

// Collect implements prometheus.Collector. It asks no actor.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	e := emitter(out)
	e.emit(c.fams.build, 1, c.src.Version, runtime.Version())
	c.restarts.collect(out)
	if c.src.Reconnects != nil {
		e.emit(c.fams.reconnects, float64(c.src.Reconnects()))
	}
	c.collectTree(e)
	if c.src.Stats == nil {
		return
	}
	for _, s := range c.src.Stats() {
		c.collectPool(e, &s)
	}
}

// emitter is where a scrape's values go.
type emitter chan<- prometheus.Metric

// emit panics if the number of labels is wrong, which a test would see.
func (e emitter) emit(f *family, value float64, labels ...string) {
	e <- prometheus.MustNewConstMetric(f.desc, f.kind, value, labels...)
}

func (c *Collector) collectPool(e emitter, s *actors.PoolStats) {
	for _, f := range c.fams.perPool {
		e.emit(f.family, f.value(s), s.Pool)
	}
	for _, v := range []struct {
		verdict string
		n       int64
	}{{"acked", s.Acked}, {"requeued", s.Requeued}, {"retried", s.Retried}, {"dead_lettered", s.DeadLettered}} {
		e.emit(c.fams.settlements, float64(v.n), s.Pool, v.verdict)
	}
	for _, state := range actors.LiveStates() {
		e.emit(c.fams.consumerState, truth(s.Liveness.State == state), s.Pool, state)
	}
	count, buckets := cumulate(s.Durations)
	e <- prometheus.MustNewConstHistogram(c.fams.durations.desc, count, s.Durations.Sum, buckets, s.Pool)
}

// cumulate turns counts by bucket into those of Prometheus, where each has all
// below it.
func cumulate(h actors.Histogram) (count uint64, buckets map[float64]uint64) {
	buckets = make(map[float64]uint64, len(h.Bounds))
	for i, n := range h.Counts {
		count += uint64(max(n, 0))
		if i < len(h.Bounds) {
			buckets[h.Bounds[i]] = count
		}
	}
	return count, buckets
}

// kindState is what nodes are counted by.
type kindState struct{ kind, state string }

func (c *Collector) collectTree(e emitter) {
	up, broker := 0.0, 0.0
	nodes, slots := map[kindState]float64{}, map[kindState]float64{}
	var root *supervisor.Node
	if c.src.Tree != nil {
		root = c.src.Tree()
	}
	walk(root, func(n *supervisor.Node) {
		nodes[kindState{n.Kind, n.State}]++
		switch {
		case n == root:
			up = truth(n.State == "up")
		case n.ID == "broker":
			broker = truth(n.State == "connected")
			c.collectSpool(e, n.Spool)
		case n.Kind == "slot":
			pool, _ := seat(n.ID)
			slots[kindState{pool, n.State}]++
			c.collectSlot(e, n)
		}
	})
	e.emit(c.fams.up, up)
	e.emit(c.fams.brokerUp, broker)
	for k, n := range nodes {
		e.emit(c.fams.nodes, n, k.kind, k.state)
	}
	for k, n := range slots {
		e.emit(c.fams.slots, n, k.kind, k.state)
	}
}

func (c *Collector) collectSpool(e emitter, s *supervisor.Spool) {
	if s == nil {
		return
	}
	for _, f := range c.fams.spool {
		e.emit(f.family, f.value(s))
	}
}

// walk calls f for each node of a tree, which may be nil.
func walk(n *supervisor.Node, f func(*supervisor.Node)) {
	if n == nil {
		return
	}
	f(n)
	for _, c := range n.Children {
		walk(c, f)
	}
}

// seat takes the id of a worker apart: mail/3 is of pool mail. Other ids are their
// own, without a number.
func seat(id string) (pool, number string) {
	pool, number, _ = strings.Cut(id, "/")
	return pool, number
}
