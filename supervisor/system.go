package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
)

// System runs one supervision tree on one protoactor system. Its methods may be
// called from any goroutine.
type System struct {
	log        *slog.Logger
	actors     *actor.ActorSystem
	dispatcher *dispatcher
	clock      *clock
	observer   func(Event) // set before Run
	root       atomic.Pointer[node]
	closed     atomic.Bool
}

// NewSystem makes a system without a tree; nothing runs before Run. A nil logger
// discards. It costs a few milliseconds and megabytes: make one for each process.
func NewSystem(log *slog.Logger) *System {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	// Whatever protoactor has to say below an error is said by us, once.
	quiet := slog.New(atLeast{slog.LevelError, log.Handler()})
	as := actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return quiet }))
	muteDeadLetters(as)
	return &System{log: log, actors: as, dispatcher: newDispatcher(), clock: newClock()}
}

// Send sends a message to an actor and does not wait. A message to an actor that
// has ended is dropped, and so is one to a nil pid.
func (s *System) Send(pid *actor.PID, msg any) {
	if pid != nil {
		s.actors.Root.Send(pid, msg)
	}
}

// Run starts the tree whose root is a supervisor with the given id, and blocks
// until the tree has ended. When ctx is done the children are stopped in reverse
// order, each within its shutdown time, and Run returns nil; it does so as well
// when the root shuts down by itself, see AutoShutdown. When the root gives up, Run returns an *ExhaustedError; when the specification is wrong, or Run
// was called before, another error, before anything has started.
func (s *System) Run(ctx context.Context, id string, spec Spec, children ...Child) error {
	root, err := newTree(&Child{ID: id, Kind: "root", Supervisor: &spec, Children: children})
	if err != nil {
		return err
	}
	if !s.root.CompareAndSwap(nil, root) {
		return errors.New("supervisor: run: the system has run before")
	}
	down := make(chan Exit, 1) // the root's hook sends one
	inc := &incarnation{node: root, gen: 1, gone: make(chan struct{}), tell: func(m any) {
		if m, ok := m.(childDown); ok {
			down <- m.exit
		}
	}}
	pid, err := s.spawn(inc)
	if err != nil {
		return fmt.Errorf("supervisor: start %s: %w", id, err)
	}
	select {
	case exit := <-down:
		return exit.Err
	case <-ctx.Done():
	}
	s.stop(pid, inc)
	exit := <-down
	return exit.Err
}

// Close releases the goroutines that the system keeps for its actors. Call it
// after Run has returned; actors that were abandoned can still run after it.
func (s *System) Close() {
	if s.closed.CompareAndSwap(false, true) {
		s.dispatcher.close()
	}
}

// spawn starts the actor of an incarnation. It has no protoactor parent, see
// mailbox. A panic of the producer is an error.
func (s *System) spawn(inc *incarnation) (pid *actor.PID, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = caught(v)
		}
	}()
	n := inc.node
	inc.name = n.id + "#" + strconv.Itoa(inc.gen)
	box := &mailbox{Mailbox: actor.Unbounded()(), system: s.actors, inc: inc, clock: s.clock}
	if old := n.box.Load(); old != nil {
		box.before = old.total()
	}
	props := actor.PropsFromProducer(func() actor.Actor {
		a := s.produce(inc)
		_, inc.drains = a.(Drainer)
		_, inc.starts = a.(Starter)
		return a
	}, actor.WithMailbox(func() actor.Mailbox { return box }), actor.WithDispatcher(s.dispatcher))
	n.set(inc.gen, stateStarting)
	n.parked.Store(false)
	n.box.Store(box)
	if pid, err = s.actors.Root.SpawnNamed(props, inc.name); err != nil {
		return nil, err
	}
	return pid, nil
}

func (s *System) produce(inc *incarnation) actor.Actor {
	if inc.node.spec.Supervisor == nil {
		return inc.node.spec.Producer()
	}
	return newSupervisor(s, inc)
}

// stop asks an actor to stop.
func (s *System) stop(pid *actor.PID, inc *incarnation) {
	inc.asked.Store(true)
	if inc.drains {
		sendSystem(s.actors, pid, &Drain{})
		return
	}
	s.actors.Root.Stop(pid)
}

// abandon waits no longer for an actor and reports whether it was still running.
// What is sent to it from now on is dropped, unless it is a Drainer: that one
// needs its messages to come to its end.
func (s *System) abandon(pid *actor.PID, inc *incarnation) bool {
	if !inc.abandon() {
		return false
	}
	if !inc.drains {
		s.actors.ProcessRegistry.Remove(pid)
	}
	return true
}
