package actors

import (
	"cmp"
	"fmt"
	"strconv"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/quarantine"
	"github.com/magne-actors/magne-actors/supervisor"
)

// This file is what the router does so that suspects run alone: tasks under which a
// worker process has died. What it decides is in package internal/quarantine.

// isolation is the router's side of the quarantine. Without suspects it costs a
// comparison for each dispatch.
type isolation struct {
	ward    *quarantine.Ward
	waiting backlog             // the suspects that no worker has been kept for
	workers []quarantine.Worker // room for a view
}

// suspect is one that runs alone, for inspections.
type suspect struct {
	lost  int
	since time.Time
}

// quarantines reports whether suspects of the pool run alone. With one task at a
// time all do.
func (p *pool) quarantines() bool {
	if p.Mode != Process || p.Quarantine.Slots < 0 {
		return false
	}
	o := p.latest.Load()
	return o != nil && o.Concurrency > 1
}

// lostUnder is how many worker processes have died under the task of a delivery.
func (p *pool) lostUnder(d *broker.Delivery) int {
	if p.Process == nil {
		return 0
	}
	return count(d.Headers[headerLost], 0)
}

func (r *router) beginIsolation() {
	r.isolated.ward = quarantine.New(r.pool.Quarantine.Slots, r.pool.Slots)
	for _, w := range r.pool.workers.all() {
		w.kept.Store(false)
		w.alone.Store(nil)
	}
}

// line is where f waits for a worker.
func (r *router) line(f *flight) *backlog {
	if f.lost > 0 && r.pool.quarantines() {
		return &r.isolated.waiting
	}
	return &r.backlog
}

// retain keeps those of the waiting flights that keep says yes to.
func (r *router) retain(keep func(*flight) bool) {
	r.isolated.waiting.retain(keep)
	r.backlog.retain(keep)
}

func (r *router) countWaiting() {
	r.pool.suspects.Store(int64(r.isolated.waiting.n))
	r.pool.backlog.Store(int64(r.isolated.waiting.n + r.backlog.n))
}

// isolate carries out what the ward decides.
func (r *router) isolate() {
	in := &r.isolated
	if in.waiting.n == 0 && in.ward.Idle() {
		return
	}
	in.workers = in.workers[:0]
	for i := range r.workers {
		w := &r.workers[i]
		// What runs for no router of today counts as well.
		busy := max(r.balance.Depth(i), int(w.state.running.Load()))
		in.workers = append(in.workers, quarantine.Worker{Up: w.up, Busy: busy})
	}
	for _, a := range in.ward.Next(quarantine.View{Suspects: in.waiting.n, Others: r.backlog.n, Workers: in.workers}) {
		w := &r.workers[a.Worker]
		w.state.kept.Store(a.Do != quarantine.Free)
		switch a.Do {
		case quarantine.Keep:
			r.balance.Down(a.Worker)
		case quarantine.Free:
			if w.up {
				r.balance.Up(a.Worker)
			}
		case quarantine.Admit:
			r.balance.Down(a.Worker)
			r.admit(in.waiting.pop(), a.Worker)
		}
	}
}

// admit gives a suspect to a worker that has nothing else.
func (r *router) admit(f *flight, worker int) {
	f.alone = true
	r.workers[worker].state.alone.Store(&suspect{f.lost, time.Now()})
	r.pool.counters.quarantined.Add(1)
	r.pool.log.Info("a suspect runs alone", "task_id", f.name(r.pool), "worker", r.pool.workerID(worker), "lost", f.lost)
	r.tellSuspect(EventQuarantined, f.name(r.pool), fmt.Sprintf("runs alone in %s: its worker died %s", r.pool.workerID(worker), times(f.lost)))
	r.balance.Take(worker)
	r.assign(f, worker)
}

// discharge is called when a worker has done with f, before the verdict on it is
// carried out.
func (r *router) discharge(f *flight) {
	if !f.alone {
		return
	}
	r.isolated.ward.Left(f.worker)
	r.workers[f.worker].state.alone.Store(nil)
	if s := f.state.Load(); s != stateDone {
		return
	}
	switch v := &f.verdict; {
	case v.action == ackIt:
		r.pool.counters.cleared.Add(1)
		r.tellSuspect(EventCleared, r.pool.id(f), fmt.Sprintf("has succeeded, alone; its worker had died %s", times(f.lost)))
	case v.action == deadLetterIt && v.reason == reasonLost:
		r.pool.counters.convicted.Add(1)
		r.tellSuspect(EventConvicted, r.pool.id(f), fmt.Sprintf("is a dead letter: its worker died %s, the last time with nothing else in it", times(v.lost)))
	}
}

func (r *router) tellSuspect(t supervisor.EventType, id, what string) {
	r.pool.tell(supervisor.Event{Type: t, Error: "task " + id + " " + what})
}

// name is the id of a flight whose message has not been decoded.
func (f *flight) name(p *pool) string {
	return cmp.Or(f.delivery.MessageID, p.Name+"#"+strconv.FormatInt(f.number, 10))
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return strconv.Itoa(n) + " times"
}

// inspectIsolation tells of a worker what it has to do with suspects.
func (s *workerState) inspectIsolation(n *supervisor.Node) {
	if !s.kept.Load() {
		return
	}
	n.Quarantine = &supervisor.Quarantine{Kept: true}
	if alone := s.alone.Load(); alone != nil {
		n.Quarantine.Lost, n.Quarantine.Since = alone.lost, &alone.since
	}
}

// inspectIsolation tells of a router how many suspects there are.
func (p *pool) inspectIsolation(n *supervisor.Node) {
	q := supervisor.Quarantine{Waiting: p.suspects.Load()}
	for _, w := range p.workers.all() {
		if w.alone.Load() != nil {
			q.Running++
		}
	}
	if q != (supervisor.Quarantine{}) {
		n.Quarantine = &q
	}
}
