package actors

import (
	"context"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/task"
)

// worker runs the tasks that the router assigns to it, up to its slots at once.
// Its mailbox never holds more than that: the router counts. It decides nothing
// and settles nothing; what a task has come to goes straight to the router, so
// that the end of a worker loses no result.
type worker struct {
	pool   *pool
	index  int
	state  *workerState
	handle task.HandlerFunc
	self   *actor.PID
	thread chan *flight // mode thread: the worker's OS thread receives; nil otherwise
	tasks  chan *flight // mode coroutine: what no goroutine has begun; nil otherwise
}

// Receive never blocks.
func (w *worker) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *assign:
		w.onAssign((*flight)(m))
	case *abandon:
		w.onAbandon()
	case *crashed:
		supervisor.Quit(ctx, m.err)
	case *actor.Started:
		w.self = ctx.Self()
		w.onStarted()
	case *actor.Stopping:
		w.releaseThread()
	}
}

func (w *worker) onStarted() {
	if w.pool.Mode != Thread {
		w.tasks = make(chan *flight, w.pool.Slots)
		return
	}
	w.thread = make(chan *flight, 1)
	go w.runThread(w.thread)
}

// onAssign starts a goroutine for the flight, and lets one that is there already
// be quicker: a new goroutine has a small stack, and growing it costs more than a
// short task (4.5 us of CPU time for each task in BenchmarkRoute, 2.6 this way).
func (w *worker) onAssign(f *flight) {
	if w.thread != nil {
		w.toThread(f)
		return
	}
	select {
	case w.tasks <- f:
		go w.runTasks(w.tasks)
	default: // full of flights that were revoked and that nobody has come to yet
		go w.run(f)
	}
}

// toThread hands f to the thread. There is room for the one slot, unless a flight
// that was revoked is still there because the thread is stuck before it.
func (w *worker) toThread(f *flight) {
	select {
	case w.thread <- f:
	default:
		w.onAbandon()
		w.thread <- f
	}
}

// runTasks runs what waits in tasks until there is nothing. There is one such
// goroutine to come for each flight in tasks, so none waits for another to end.
func (w *worker) runTasks(tasks <-chan *flight) {
	for {
		select {
		case f := <-tasks:
			w.run(f)
		default:
			return
		}
	}
}

// onAbandon replaces the thread that a task has kept. The old one ends when the
// task does, if ever.
func (w *worker) onAbandon() {
	if w.thread != nil {
		w.releaseThread()
		w.onStarted()
	}
}

// releaseThread lets the thread end when its task does.
func (w *worker) releaseThread() {
	if w.thread != nil {
		close(w.thread)
		w.thread = nil
	}
}

// runThread runs flights on one OS thread that nothing else uses. The thread is
// never unlocked, so that it ends with the goroutine and takes with it whatever
// a C library has left in its thread-local state.
func (w *worker) runThread(flights <-chan *flight) {
	runtime.LockOSThread()
	closed := false
	defer func() {
		if !closed {
			go w.runThread(flights) // a handler has ended this one by runtime.Goexit
		}
	}()
	for f := range flights {
		w.run(f)
	}
	closed = true
}

// run runs one flight unless it was revoked meanwhile. The router hears of the
// end in any case: by return, panic or runtime.Goexit.
func (w *worker) run(f *flight) {
	if !f.state.CompareAndSwap(stateQueued, stateRunning) {
		return
	}
	s := w.state
	s.running.Add(1)
	err := errGoexit
	var v verdict
	defer func() {
		if r := recover(); r != nil {
			err = &task.PanicError{Value: r, Stack: debug.Stack()}
		}
		if err != nil {
			v = w.pool.judge(f, err, context.Cause(f.current()))
		}
		v.flatten()
		s.running.Add(-1)
		w.pool.hide(f)
		f.context.release()
		if f.key.id != "" {
			f.sum = sumOf(w.pool.seed, f.delivery)
		}
		if f.state.CompareAndSwap(stateRunning, stateEnding) {
			f.verdict = v
			f.state.Store(stateDone)
		} else {
			s.abandoned.Add(-1)
		}
		if v.crash {
			w.crash(v.err) // first: what the router assigns from now on is not begun
		}
		w.pool.toRouter((*finished)(f))
		if w.pool.OnPanic == CrashWorker && v.stack != nil {
			w.crash(panicOf(&v))
		}
	}()
	v = w.pool.attempt(f, w.handle)
	err = nil
}

// crash ends the worker as if the failure of its task had been its own. What else it
// runs goes on and is settled: it is the next tasks that wait for its restart. Where
// several tasks do so, the worker is gone after the first.
func (w *worker) crash(err error) { w.pool.system.Send(w.self, &crashed{err}) }

// panicOf is the panic of a task, after flatten.
func panicOf(v *verdict) error {
	return &supervisor.PanicError{Value: strings.TrimPrefix(v.err.Error(), "panic: "), Stack: v.stack}
}
