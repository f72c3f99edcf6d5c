package actors

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/task"
)

// Task is a task that runs.
type Task struct {
	ID      string // of the message, or "<pool>#<number>" when it has none
	Name    string
	Pool    string
	Worker  string // the id of its node
	Attempt int
	Since   time.Time
	// Abandoned says that it has outlived its timeout and is not waited for. Such
	// a one is shown until another task takes its place.
	Abandoned bool
	// Lost is how many worker processes have died under it before: above 0 it is a
	// suspect. Alone says that its worker therefore runs nothing else.
	Lost  int
	Alone bool
}

// show makes a flight that runs known to System.Tasks. Its place is that in the
// ledger, so that nothing needs to be looked for.
func (p *pool) show(f *flight, m *task.Message) {
	f.message, f.began = m, time.Now()
	p.shown.at(f.slot).Store(f)
}

// hide is called at the end of each flight that ran; another one may have its
// place if it was abandoned.
func (p *pool) hide(f *flight) {
	f.ended = time.Now()
	if f.message != nil {
		p.durations.add(f.ended.Sub(f.began))
		p.shown.at(f.slot).CompareAndSwap(f, nil)
	}
}

// id is the message's, or one by which it can be told from others while it is in
// flight.
func (p *pool) id(f *flight) string {
	if f.delivery.MessageID != "" {
		return f.delivery.MessageID
	}
	if f.message != nil && f.message.ID != "" {
		return f.message.ID
	}
	return p.Name + "#" + strconv.FormatInt(f.number, 10)
}

// named are the attributes that say in the log which task it is about. One that
// was abandoned may never have been decoded.
func (p *pool) named(f *flight, attrs ...any) []any {
	if f.state.Load() == stateAbandoned && p.shown.at(f.slot).Load() != f {
		return append([]any{"task_id", f.delivery.MessageID}, attrs...)
	}
	if f.message == nil {
		return append([]any{"task_id", p.id(f)}, attrs...)
	}
	return append([]any{"task", f.message.Name, "task_id", p.id(f)}, attrs...)
}

// Tasks are the tasks that run now, by pools. It asks no actor, so that it
// answers while all of them are busy; tasks may begin and end meanwhile.
func (s *System) Tasks() []Task {
	var list []Task
	for _, p := range s.all() {
		p.shown.each(func(f *flight) {
			list = append(list, Task{
				ID: p.id(f), Name: f.message.Name, Pool: p.Name, Worker: p.workerID(f.worker),
				Attempt: f.message.Attempt, Since: f.began.Round(0), Abandoned: f.state.Load() == stateAbandoned,
				Lost: f.lost, Alone: f.alone,
			})
		})
	}
	return list
}

// Cancel ends the contexts of the running tasks with that id, with the cause
// ErrCancelled, and returns how many there are; if none, the error wraps
// supervisor.ErrNotFound. A task that fails then goes to the dead-letter queue with
// the reason cancelled; one that succeeds nevertheless has succeeded. It does not
// wait for the tasks.
func (s *System) Cancel(_ context.Context, id string) (int, error) {
	n := 0
	for _, p := range s.all() {
		p.shown.each(func(f *flight) {
			if p.id(f) == id && f.state.Load() == stateRunning {
				p.log.Warn("cancelling a task as asked", p.named(f, "worker", p.workerID(f.worker))...)
				f.context.cancel(ErrCancelled)
				n++
			}
		})
	}
	if n == 0 {
		return 0, fmt.Errorf("actors: cancel %q: no such task runs: %w", id, supervisor.ErrNotFound)
	}
	return n, nil
}
