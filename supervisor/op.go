package supervisor

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// The calls by which an operator changes a running tree. Each blocks, at the
// latest until its context is done; what it asked for goes on then. Do not call
// one in Receive or in a function of a Child: it might wait for its caller. None
// of them counts as a restart.

// ErrNotFound says that no child has the id.
var ErrNotFound = errors.New("no such child")

// ErrNotRunning says that the supervisor of the child, or to be scaled or added
// to, is not running, so that nobody is there to carry out what is asked for.
var ErrNotRunning = errors.New("its supervisor is not running")

// Add gives a supervisor one more child, the last in its start order, and returns
// nil when it is up. If the child fails before it is up, or its specification is
// wrong, it is not added and the error says why. A child that was added stays when
// its supervisor is restarted. A Dynamic supervisor is scaled instead.
func (s *System) Add(ctx context.Context, supervisor string, child Child) error {
	err := s.add(ctx, supervisor, &child)
	return about("add "+child.ID, err)
}

func (s *System) add(ctx context.Context, supervisor string, child *Child) error {
	sup := s.find(supervisor)
	switch {
	case sup == nil:
		return fmt.Errorf("%s: %w", supervisor, ErrNotFound)
	case sup.spec.Supervisor == nil:
		return fmt.Errorf("%s is not a supervisor", supervisor)
	case sup.spec.Supervisor.Strategy == Dynamic:
		return fmt.Errorf("%s is dynamic: scale it", supervisor)
	}
	n, err := sup.tree.grow(sup, child, 0)
	if err != nil {
		return err
	}
	begun, err := s.ask(ctx, sup, func(req int) event { return evAdd{req, []*node{n}} })
	if !begun {
		sup.tree.drop(n)
	}
	return err
}

// Terminate stops a child as its supervisor would, and returns nil when it is
// down or abandoned. It stays down until Restart, or until a sibling's failure
// restarts it. A child of a Dynamic supervisor is removed.
func (s *System) Terminate(ctx context.Context, id string) error {
	return s.about(ctx, "terminate", id, func(req, key int) event { return evTerminate{req: req, i: key} })
}

// Remove is Terminate, and then the child is forgotten, with all below it.
func (s *System) Remove(ctx context.Context, id string) error {
	return s.about(ctx, "remove", id, func(req, key int) event { return evTerminate{req, key, true} })
}

// Restart has a child run anew and returns nil when it is up, or the error with
// which it failed; it is then treated like any child that failed. A running child
// is stopped first, and those siblings are restarted with it that its failure
// would restart. One that is down, failed, parked or in backoff is started at
// once, alone.
func (s *System) Restart(ctx context.Context, id string) error {
	return s.about(ctx, "restart", id, func(req, key int) event { return evRestart{req, key} })
}

// Scale gives a Dynamic supervisor the given number of children. It returns nil
// when the new ones are up, or those with the highest numbers down and removed.
// New ones take the lowest free numbers. If one fails at first the error says so,
// but it belongs to the supervisor like the others. The size stays when the
// supervisor is restarted.
func (s *System) Scale(ctx context.Context, id string, size int) error {
	return about("scale "+id, s.scale(ctx, id, size))
}

func (s *System) scale(ctx context.Context, id string, size int) error {
	sup := s.find(id)
	switch {
	case sup == nil:
		return ErrNotFound
	case sup.spec.Template == nil:
		return errors.New("it is not dynamic")
	case size < 0:
		return fmt.Errorf("size of %d", size)
	}
	_, err := s.ask(ctx, sup, func(req int) event { return scale{req, size} })
	return err
}

func about(what string, err error) error {
	if err != nil {
		return fmt.Errorf("supervisor: %s: %w", what, err)
	}
	return nil
}

// about asks the supervisor of a child.
func (s *System) about(ctx context.Context, what, id string, ev func(req, key int) event) error {
	n := s.find(id)
	if n == nil {
		return about(what+" "+id, ErrNotFound)
	}
	if n.parent == nil {
		return about(what+" "+id, errors.New("the root has no supervisor"))
	}
	_, err := s.ask(ctx, n.parent, func(req int) event { return onChild{req, n, ev} })
	return about(what+" "+id, err)
}

func (s *System) find(id string) *node {
	if root := s.root.Load(); root != nil {
		return root.tree.find(id)
	}
	return nil
}

// request is what an operator asks a supervisor for.
type request struct {
	event func(req int) event
	taken atomic.Bool // by the supervisor, or by the asker who gives up
	reply chan error  // the supervisor sends one
}

// Requests that become an event of the machine when the supervisor knows more.
type (
	scale   struct{ req, size int }
	onChild struct {
		req  int
		node *node
		ev   func(req, key int) event
	}
)

func (scale) isEvent()   {}
func (onChild) isEvent() {}

// askAgain is how long a request waits until it is sent again. An incarnation is
// known a moment before messages reach it, and what came in that moment is lost;
// it takes a request once, however often that comes.
const askAgain = 20 * time.Millisecond

// ask has the supervisor of a node handle an event and waits for the reply. It
// reports as well whether the supervisor has begun to.
func (s *System) ask(ctx context.Context, sup *node, ev func(req int) event) (begun bool, err error) {
	box := sup.box.Load()
	if box == nil {
		return false, ErrNotRunning
	}
	r := &request{event: ev, reply: make(chan error, 1)}
	again := time.NewTicker(askAgain)
	defer again.Stop()
	for err == nil {
		if !r.taken.Load() {
			s.Send(s.actors.NewLocalPID(box.inc.name), r)
		}
		select {
		case err = <-r.reply:
			return true, err
		case <-again.C:
			if sup.box.Load() != box && !r.taken.Load() {
				err = ErrNotRunning
			}
		case <-box.inc.gone:
			err = ErrNotRunning
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}
	if r.taken.CompareAndSwap(false, true) {
		return false, err
	}
	select {
	case err = <-r.reply: // just in time
	default:
	}
	return true, err
}
