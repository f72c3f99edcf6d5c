package actors

import (
	"sync/atomic"
	"time"

	"github.com/magne-actors/magne-actors/broker"
)

// PoolStats are the figures of one pool. Counters count from the start of the
// pool.
type PoolStats struct {
	Pool  string
	Queue string

	Consuming bool // its consumer is there
	Paused    bool // by the watermark
	Suspended bool // by an operator
	Parked    bool // it gave up

	Liveness Liveness // the state of its consumer, and its evidence

	High, Low                                     int64
	InFlight, Queued, Running, Workers, Abandoned int64 // as of now
	Size                                          int64 // workers that it is to have; Workers of them are up

	Pauses       int64 // by the watermark
	Delivered    int64
	Acked        int64 // tasks that are done
	Requeued     int64 // given back to the queue
	Retried      int64 // acked after a copy for the next attempt was confirmed
	DeadLettered int64 // acked after a copy for the dead-letter queue was confirmed
	Lost         int64 // their consumer died before the settlement; the broker delivers them again

	Adopted         int64 // came again while their task ran; settled when it ended
	ResultAfterLoss int64 // tasks that ended when their delivery was lost and had not come again
	Recalled        int64 // came again when their task was done; settled with its result, not run
	Duplicates      int64 // published twice; acked with the other one, in none of the counters above
	Orphans         int64 // tasks that run as of now although their delivery is lost

	Copies      int64     // of InFlight: the task has ended, and its copy (a retry, a dead letter) is not confirmed
	CopiesSince time.Time // since when none of them was confirmed; zero: there are none

	Suspects    int64 // of Queued: they wait to run alone, see Pool.Quarantine
	Quarantined int64 // runs of suspects, alone
	Cleared     int64 // of those, that succeeded
	Convicted   int64 // of those, under which the worker has died and that are dead letters for it

	Durations Histogram
}

// Histogram counts the durations of runs of handlers.
type Histogram struct {
	Bounds []float64 // seconds: upper bounds of all buckets but the last
	Counts []int64   // one more than Bounds
	Sum    float64   // seconds
}

// bounds are the upper bounds of the durations' buckets.
func bounds() []time.Duration {
	return []time.Duration{
		time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
		50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second,
		2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute, 5 * time.Minute,
	}
}

// durations is a histogram that any goroutine may add to.
type durations struct {
	bounds []time.Duration
	counts []atomic.Int64
	sum    atomic.Int64 // nanoseconds
}

func newDurations() durations {
	b := bounds()
	return durations{bounds: b, counts: make([]atomic.Int64, len(b)+1)}
}

// add is a scan: most tasks are in the first buckets or take so long that the
// scan does not matter.
func (h *durations) add(d time.Duration) {
	i := 0
	for i < len(h.bounds) && d > h.bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

func (h *durations) read() Histogram {
	r := Histogram{Sum: time.Duration(h.sum.Load()).Seconds()}
	for _, b := range h.bounds {
		r.Bounds = append(r.Bounds, b.Seconds())
	}
	for i := range h.counts {
		r.Counts = append(r.Counts, h.counts[i].Load())
	}
	return r
}

// counters are the settlements of a pool by what they meant, written by its
// router.
type counters struct {
	delivered, acked, requeued, retried, dead, lost atomic.Int64
	adopted, outlived, recalled, duplicates         atomic.Int64
	quarantined, cleared, convicted                 atomic.Int64
}

// count counts a settlement of f.
func (c *counters) count(f *flight, v broker.Verdict) {
	switch {
	case v.Returns():
		c.requeued.Add(1)
	case f.verdict.action == retryIt:
		c.retried.Add(1)
	case f.verdict.action == deadLetterIt:
		c.dead.Add(1)
	default:
		c.acked.Add(1)
	}
}

// Stats are the figures of all pools. It asks no actor.
func (s *System) Stats() []PoolStats {
	var list []PoolStats
	for _, p := range s.all() {
		list = append(list, p.stats())
	}
	return list
}

// Reconnects is how often a connection to the broker was lost.
func (s *System) Reconnects() int64 { return s.status.reconnects.Load() }

func (p *pool) stats() PoolStats {
	c := &p.counters
	s := PoolStats{
		Pool: p.Name, Queue: p.Queue.Name, Consuming: p.live.Load().state == LiveConsuming,
		Suspended: p.suspended.Load(), Parked: p.parked.Load(), Queued: p.backlog.Load(),
		Delivered: c.delivered.Load(), Acked: c.acked.Load(), Requeued: c.requeued.Load(),
		Retried: c.retried.Load(), DeadLettered: c.dead.Load(), Lost: c.lost.Load(),
		Adopted: c.adopted.Load(), ResultAfterLoss: c.outlived.Load(), Recalled: c.recalled.Load(), Duplicates: c.duplicates.Load(),
		Suspects: p.suspects.Load(), Quarantined: c.quarantined.Load(), Cleared: c.cleared.Load(), Convicted: c.convicted.Load(),
		Orphans: p.orphans.Load(), Durations: p.durations.read(),
	}
	limits := p.limits.Load()
	s.Size = p.size.Load()
	s.High, s.Low = int64(limits.high), int64(limits.low)
	if w := p.window.Load(); w != nil {
		s.InFlight, s.Paused, s.Pauses = w.mark.Depth(), w.mark.Paused(), p.pauses.Load()+w.mark.Pauses()
	}
	for _, w := range p.workers.all() {
		s.Running += w.running.Load()
		s.Abandoned += w.abandoned.Load()
	}
	s.Workers, s.Liveness = p.up.Load(), p.liveness()
	s.Copies, s.CopiesSince = p.copies.read()
	return s
}
