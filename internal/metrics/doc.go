// Package metrics shows a running System to Prometheus.
//
//	c := metrics.New(metrics.Source{Stats: system.Stats, Tree: system.Tree, ...})
//	options.Observe = c.Observe                 // restarts are counted as they happen
//	http.Handle("GET /metrics", metrics.Handler(c, log))
//
// docs/metrics.md lists the metrics; it is generated from Describe by go generate,
// and a test holds it, as one holds the dashboard of deploy/grafana.
//
// # Guarantees
//
// Blocking: a scrape reads atomics and asks no actor, so it is answered while
// every worker is blocked. Observe takes one lock for a map access and never
// waits for a scrape's client.
//
// Cardinality: labels are pools, slots, kinds of nodes and words of this package.
// No label has the name or the id of a task, nor anything else out of a message. A
// pool that is removed takes its series with it.
//
// Counters count from the start of the process, or of the pool if that is later.
package metrics
