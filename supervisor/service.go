package supervisor

import (
	"context"
	"errors"
	"log/slog"

	"github.com/asynkron/protoactor-go/actor"
)

// Service makes the producer of an actor that owns one goroutine, in which it
// calls run. To stop it, its context is cancelled, and the actor ends when run
// has returned; if that takes longer than its shutdown time it is abandoned. If
// run returns before that, panics, or calls runtime.Goexit, the actor exits
// abnormally with that error, or with one that says so if the error is nil. An
// error after the cancellation has nobody left to act on it and is logged; a nil
// log drops it.
func Service(log *slog.Logger, run func(context.Context) error) func() actor.Actor {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return func() actor.Actor { return &service{log: log, run: run} }
}

type service struct {
	log    *slog.Logger
	run    func(context.Context) error
	cancel context.CancelFunc
	asked  bool
}

// returned is how the goroutine tells its actor that run has ended.
type returned struct{ err error }

// Drains makes it a Drainer.
func (s *service) Drains() {}

// Receive never blocks.
func (s *service) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		c, cancel := context.WithCancel(context.Background())
		s.cancel = cancel
		root, self := ctx.ActorSystem().Root, ctx.Self()
		go s.work(c, func(err error) { root.Send(self, returned{err}) })
	case *Drain:
		s.asked = true
		s.cancel()
	case returned:
		s.returned(ctx, m.err)
	case *actor.Stopping:
		s.cancel()
	}
}

func (s *service) work(ctx context.Context, tell func(error)) {
	done := false
	var err error
	defer func() {
		if !done {
			err = caught(recover())
		}
		tell(err)
	}()
	err = s.run(ctx)
	done = true
}

func (s *service) returned(ctx actor.Context, err error) {
	switch {
	case !s.asked && err == nil:
		Quit(ctx, errReturnedEarly)
	case !s.asked:
		Quit(ctx, err)
	default:
		if err != nil && !errors.Is(err, context.Canceled) {
			s.log.Warn("error while stopping", "actor", ctx.Self().Id, "err", err)
		}
		Quit(ctx, nil)
	}
}
