package supervisor

import "context"

// ping is the number of a request that asks for nothing but an answer.
type ping int

func (ping) isEvent() {}

// Ping blocks until the root supervisor has handled a message that asks for
// nothing, or ctx ends. Nil says that the root is alive and that actors run; it
// says nothing of the actors below the root. Before Run and after it the error
// wraps ErrNotRunning.
func (s *System) Ping(ctx context.Context) error {
	root := s.root.Load()
	if root == nil {
		return about("ping", ErrNotRunning)
	}
	_, err := s.ask(ctx, root, func(req int) event { return ping(req) })
	return about("ping", err)
}
