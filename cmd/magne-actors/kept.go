package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
)

// kept is a server that outlives its node of the tree: a node that is restarted only
// because one before it was, as rest_for_one has it, finds it as it was, and who has
// asked for just that gets an answer.
type kept struct {
	life  context.Context //nolint:containedctx // of the server, which no call bounds
	serve func(ctx context.Context) error
	all   *sync.WaitGroup // of what end waits for
	ended chan error      // of the server that runs; nil: none does
}

// keeper keeps the servers of one instance.
type keeper struct {
	life context.Context //nolint:containedctx // of all of them
	stop context.CancelFunc
	all  sync.WaitGroup
}

func newKeeper(ctx context.Context) *keeper {
	k := &keeper{}
	k.life, k.stop = context.WithCancel(context.WithoutCancel(ctx))
	return k
}

// keep returns the service of a server. serve blocks until its context ends.
func (k *keeper) keep(serve func(ctx context.Context) error) func(ctx context.Context) error {
	s := &kept{life: k.life, serve: serve, all: &k.all}
	return s.run
}

// end ends the servers and waits for them.
func (k *keeper) end() {
	k.stop()
	k.all.Wait()
}

// around has run return when the servers have ended as well: until then there is
// somebody to hear signals.
func (k *keeper) around(run func(ctx context.Context) error) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		defer k.end()
		return run(ctx)
	}
}

// run is the service: one of it runs at a time. It fails with its server.
func (s *kept) run(ctx context.Context) error {
	if s.ended == nil && s.life.Err() == nil {
		s.ended = make(chan error, 1)
		s.all.Go(s.guarded(s.ended))
	}
	select {
	case err := <-s.ended:
		s.ended = nil
		if s.life.Err() == nil {
			return err
		}
	case <-ctx.Done():
		return nil
	}
	<-ctx.Done() // the server was told to end, and the tree will be
	return nil
}

// guarded calls serve and tells ended how that went, whatever happens in it.
func (s *kept) guarded(ended chan<- error) func() {
	return func() {
		err := errors.New("its goroutine has ended")
		defer func() {
			if v := recover(); v != nil {
				err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
			}
			ended <- err
		}()
		err = s.serve(s.life)
	}
}
