package copies

import (
	"context"
	"errors"
	"time"
)

// Run starts everything and blocks. When ctx ends it stops the copies warm, and
// returns nil, or which of them had to be killed. It returns ErrAborted after
// Abort, an *ExitError when a copy has ended in a way that a restart does not
// change, after the others were stopped warm, and a *supervisor.ExhaustedError when
// the root supervisor gave up. It may be called once.
func (g *Group) Run(ctx context.Context) error {
	defer g.system.Close()
	root, stopRoot := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRoot()
	ended := make(chan error, 1)
	guard(func() { ended <- g.system.Run(root, "root", g.o.Root, g.children()...) },
		func(err error) { ended <- err })
	var err error
	select {
	case err = <-ended:
		return err
	case err = <-g.failed:
	case <-g.finished:
	case <-ctx.Done():
	case <-g.aborted:
	}
	over, early := g.drain(ended)
	stopRoot()
	if !over {
		early = <-ended
	}
	if isDone(g.aborted) {
		return ErrAborted
	}
	return errors.Join(err, early, g.killed())
}

// drain stops the copies while the rest of the tree goes on, so that it can be
// looked at meanwhile. It reports whether the tree has ended meanwhile, and how.
func (g *Group) drain(ended <-chan error) (over bool, err error) {
	close(g.draining)
	limit := time.NewTimer(g.o.Grace + 2*coldTime)
	defer limit.Stop()
	for _, m := range g.members {
		p := m.proc.Load()
		if p == nil {
			continue
		}
		select {
		case <-p.Done():
		case err := <-ended:
			return true, err
		case <-limit.C: // what is left is the Host's
			return false, nil
		}
	}
	return false, nil
}

// killed says which copies did not stop as they were told to.
func (g *Group) killed() error {
	var errs []error
	for _, m := range g.members {
		if err := m.bad.Load(); err != nil {
			errs = append(errs, *err)
		}
	}
	return joined(errs)
}
