package actors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"syscall"
	"time"

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
		self := ctx.Self() // not crash's: a process panics on its own
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
		s.slot = process.NewSlot(p.workerID(i), *p.latest.Load())
	case Oneshot:
		s.oneshot = process.NewOneshot(*p.latest.Load())
	case Coroutine, Thread: // nothing of theirs outlives the actor
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
			switch {
			case p.workerID(i) != id:
			case w.slot != nil:
				return w.slot, nil
			case w.oneshot != nil:
				return nil, fmt.Errorf("actors: %q has a process for each of its tasks (mode oneshot): cancel a task to end that", id)
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

// ErrKept is wrapped by the error of a ReplacePool that has changed nothing: the new
// processes did not get ready, and the pool runs on with the old ones.
var ErrKept = errors.New("the pool keeps its processes")

// roll has the slots of a pool replace their processes by those of new options, one
// after the other, those that did not become ready once more at the end. After
// how.MaxUnready failures it gives up and gives the slots that have a new one an old
// one again.
func (p *pool) roll(ctx context.Context, o process.Options, how Roll) error {
	var todo, rolled []*process.Slot
	for _, w := range p.workers.all() {
		if w.slot != nil && !w.slot.Has(o) {
			todo = append(todo, w.slot)
		}
	}
	var errs []string
	for len(todo) > 0 {
		slot := todo[0]
		todo = todo[1:]
		err := slot.Replace(ctx, o)
		if err == nil {
			rolled = append(rolled, slot)
			continue
		}
		todo, errs = append(todo, slot), append(errs, err.Error())
		if len(errs) < cmp.Or(how.MaxUnready, 2) && ctx.Err() == nil {
			continue
		}
		why := strings.Join(errs, "; ")
		if err := p.rollBack(ctx, rolled); err != nil {
			return fmt.Errorf("actors: pool %q has new and old processes: %s; going back: %w", p.Name, why, err)
		}
		return fmt.Errorf("actors: pool %q: %w: %s", p.Name, ErrKept, why)
	}
	return nil
}

// rollBack also goes on when ctx has ended: half of the slots are of no use.
func (p *pool) rollBack(ctx context.Context, rolled []*process.Slot) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollBackLimit)
	defer cancel()
	p.log.Warn("the new processes do not become ready, going back to the old ones", "replaced", len(rolled))
	var errs []error
	for _, slot := range rolled {
		errs = append(errs, slot.Replace(ctx, *p.latest.Load()))
	}
	return errors.Join(errs...)
}

const rollBackLimit = time.Minute

// canTurnInto reports whether the pool of mode Process need not be stopped to become
// o, which has its defaults.
func (p *pool) canTurnInto(o Pool) bool {
	if p.Mode != Process || o.Mode != Process || p.Slots != o.Slots || (p.Size == nil) != (o.Size == nil) {
		return false
	}
	rest := func(o Pool) Pool {
		o.Process, o.Roll, o.Size, o.Workers, o.High, o.Low = nil, Roll{}, nil, 0, 0, 0
		return o
	}
	return reflect.DeepEqual(rest(p.Pool), rest(o))
}

// turnInto changes the pool while it runs, the processes first: if those cannot be
// replaced, nothing is changed.
func (s *System) turnInto(ctx context.Context, p *pool, o Pool) error {
	options := s.processes(p.Name, *o.Process)
	if err := p.roll(ctx, options, o.Roll); err != nil {
		return err
	}
	p.latest.Store(&options)
	if err := p.roll(ctx, options, o.Roll); err != nil { // one that was added meanwhile
		return err
	}
	if l := p.limits.Load(); l.high != o.High || l.low != o.Low {
		s.limit(p, o.High, o.Low)
	}
	p.sizing.Store(o.Size)
	if o.Size != nil || int(p.size.Load()) == o.Workers {
		return nil
	}
	return p.scale(ctx, o.Workers)
}
