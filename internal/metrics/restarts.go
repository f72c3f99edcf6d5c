package metrics

import (
	"errors"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/magne-actors/magne-actors/supervisor"
)

// restarts counts the events of the tree. A restart is a generation that follows
// another one; that a child was restarted is known only when the new incarnation
// shows itself, by having started or failed at it.
type restarts struct {
	count  *prometheus.CounterVec
	events *prometheus.CounterVec

	mu   sync.Mutex
	last map[string]incarnation // by node id
}

// incarnation is the newest one of a node, and why it ended.
type incarnation struct {
	generation int
	reason     string
}

func newRestarts(f *families) *restarts {
	vec := func(f *family) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: f.Name, Help: f.Help}, f.Labels)
	}
	return &restarts{count: vec(f.restarts), events: vec(f.events), last: map[string]incarnation{}}
}

func (r *restarts) collect(out chan<- prometheus.Metric) {
	r.count.Collect(out)
	r.events.Collect(out)
}

func (r *restarts) observe(e supervisor.Event) {
	r.events.WithLabelValues(string(e.Type)).Inc()
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e.Type {
	case supervisor.EventRemoved:
		r.remove(e.ID)
		return
	case supervisor.EventStarted, supervisor.EventEnded, supervisor.EventFailed, supervisor.EventAbandoned,
		supervisor.EventGaveUp, supervisor.EventParked:
	default: // of no incarnation, or its end is another event
		return
	}
	was, known := r.last[e.ID]
	if known && e.Generation > was.generation {
		pool, _ := seat(e.ID)
		r.count.WithLabelValues(e.Kind, pool, was.reason).Add(float64(e.Generation - was.generation))
	}
	r.last[e.ID] = incarnation{e.Generation, reasonOf(e)}
}

// remove forgets a node, and with a pool what belongs to it. A worker leaves the
// series, which is that of its pool.
func (r *restarts) remove(id string) {
	delete(r.last, id)
	if strings.ContainsAny(id, "/:") {
		return
	}
	r.count.DeletePartialMatch(prometheus.Labels{"child": id})
	for other := range r.last {
		if ownerOf(other) == id {
			delete(r.last, other)
			child, _ := seat(other)
			r.count.DeletePartialMatch(prometheus.Labels{"child": child})
		}
	}
}

// ownerOf is the pool that a node belongs to, if it belongs to one.
func ownerOf(id string) string {
	if _, name, found := strings.Cut(id, ":"); found {
		return name
	}
	pool, _ := seat(id)
	return pool
}

// The words of the label reason.
const (
	reasonPanic     = "panic"
	reasonError     = "error"
	reasonGaveUp    = "gave_up"
	reasonParked    = "parked"
	reasonAbandoned = "abandoned"
	reasonNormal    = "normal"
	reasonShutdown  = "shutdown" // with a sibling or a parent, or by an operator
)

// reasonOf is why an incarnation ended, or will have if it does so unseen.
func reasonOf(e supervisor.Event) string {
	_, panicked := errors.AsType[*supervisor.PanicError](e.Err)
	_, exhausted := errors.AsType[*supervisor.ExhaustedError](e.Err)
	switch {
	case e.Type == supervisor.EventAbandoned:
		return reasonAbandoned
	case e.Type == supervisor.EventParked:
		return reasonParked
	case exhausted:
		return reasonGaveUp
	case panicked:
		return reasonPanic
	case e.Err != nil:
		return reasonError
	case e.Reason == supervisor.Normal.String():
		return reasonNormal
	}
	return reasonShutdown
}
