package actors

import (
	"time"

	"github.com/magne-actors/magne-actors/task"
)

// Task is a task that runs.
type Task struct {
	ID      string // of the message; may be empty
	Name    string
	Pool    string
	Worker  string // the id of its node
	Attempt int
	Since   time.Time
	// Abandoned says that it has outlived its timeout and is not waited for. Such
	// a one is shown until another task takes its place.
	Abandoned bool
}

// show makes a flight that runs known to System.Tasks. Its place is that in the
// ledger, so that nothing needs to be looked for.
func (p *pool) show(f *flight, m *task.Message) {
	if f.slot < len(p.shown) {
		f.message, f.began = m, time.Now().UnixNano()
		p.shown[f.slot].Store(f)
	}
}

// hide is called at the end of each flight that ran; another one may have its
// place if it was abandoned.
func (p *pool) hide(f *flight) {
	if f.slot < len(p.shown) {
		p.shown[f.slot].CompareAndSwap(f, nil)
	}
}

// Tasks are the tasks that run now, by pools. It asks no actor, so that it
// answers while all of them are busy; tasks may begin and end meanwhile.
func (s *System) Tasks() []Task {
	var list []Task
	for _, p := range s.pools {
		for i := range p.shown {
			if f := p.shown[i].Load(); f != nil {
				list = append(list, Task{
					ID: f.message.ID, Name: f.message.Name, Pool: p.Name, Worker: p.workerID(f.worker),
					Attempt: f.message.Attempt, Since: time.Unix(0, f.began), Abandoned: f.state.Load() == stateAbandoned,
				})
			}
		}
	}
	return list
}
