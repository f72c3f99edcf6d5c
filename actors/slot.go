package actors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"syscall"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/supervisor/process"
)

// slotWorker is the worker of mode process: the actor of a slot, which keeps a
// process, that also takes tasks as a worker does.
type slotWorker struct {
	worker
	process actor.Actor
}

// Starts makes it a Starter: it is up when its process is.
func (w *slotWorker) Starts() {}

// Drains makes it a Drainer: it ends when its process has.
func (w *slotWorker) Drains() {}

// Receive never blocks.
func (w *slotWorker) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *assign:
		w.onAssign((*flight)(m))
		return
	case *abandon:
		return // what it runs ends with its process
	case *actor.Started:
		w.onStarted()
		self := ctx.Self()
		w.state.slot.Available(func(able bool) {
			w.pool.toRouter(&workerAble{w.index, self, able})
		})
	}
	w.process.Receive(ctx)
}

// freshWorker makes what lasts of the worker with index i.
func (p *pool) freshWorker(i int) *workerState {
	s := new(workerState)
	switch p.Mode {
	case Process:
		s.slot = process.NewSlot(p.workerID(i), *p.Process)
	case Oneshot:
		s.oneshot = process.NewOneshot(*p.Process)
	}
	return s
}

// newWorker makes the actor of the worker with index i.
func newWorker(p *pool, i int) actor.Actor {
	w := worker{pool: p, index: i, state: p.grow(i)}
	switch p.Mode {
	case Process:
		w.handle = w.state.slot.Run
		return &slotWorker{w, w.state.slot.Actor()}
	case Oneshot:
		w.handle = w.state.oneshot.Run
	default:
		w.handle = p.Mux.Run
	}
	return &w
}

// slot finds the slot of mode process with that id.
func (s *System) slot(id string) (*process.Slot, error) {
	for _, p := range s.all() {
		for i, w := range p.workers.all() {
			if w.slot != nil && p.workerID(i) == id {
				return w.slot, nil
			}
		}
	}
	if s.system.Inspect(id) != nil {
		return nil, fmt.Errorf("actors: %q has no process of its own", id)
	}
	return nil, fmt.Errorf("actors: %q: %w", id, supervisor.ErrNotFound)
}

// Signal sends a signal to the process of a slot.
func (s *System) Signal(id string, sig syscall.Signal) error {
	slot, err := s.slot(id)
	if err != nil {
		return err
	}
	return slot.Signal(sig)
}

// Recycle replaces the process of a slot: the new one is started, and the old one
// finishes what it has when that is ready. It blocks until then or until ctx ends,
// and returns why there is no new one.
func (s *System) Recycle(ctx context.Context, id string) error {
	slot, err := s.slot(id)
	if err != nil {
		return err
	}
	return slot.Recycle(ctx)
}

// Kill kills the process of a slot with all that it has started. What it runs is
// treated as if the process had died by itself.
func (s *System) Kill(id string) error {
	slot, err := s.slot(id)
	if err != nil {
		return err
	}
	return slot.Kill()
}

// roll has the slots of a pool replace their processes by those of new options, one
// after the other. It gives up after Roll.MaxUnready that did not become ready.
func (p *pool) roll(ctx context.Context, o process.Options) error {
	unready, most := 0, cmp.Or(p.Roll.MaxUnready, 2)
	var errs []error
	for i, w := range p.workers.all() {
		if w.slot == nil {
			continue
		}
		err := w.slot.Replace(ctx, o)
		if err == nil {
			continue
		}
		errs = append(errs, fmt.Errorf("%s: %w", p.workerID(i), err))
		if unready++; unready >= most || ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// onlyProcessDiffers reports whether o, which has its defaults, differs from the
// pool in its processes only.
func (p *pool) onlyProcessDiffers(o Pool) bool {
	if p.Mode != Process || o.Mode != Process || p.Slots != o.Slots {
		return false
	}
	was := p.Pool
	was.Process, o.Process = nil, nil
	return reflect.DeepEqual(was, o)
}
