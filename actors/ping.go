package actors

import "context"

// Ping blocks until the root supervisor has handled a message, or ctx ends; nil
// says that the runtime makes progress, see supervisor.System.Ping.
func (s *System) Ping(ctx context.Context) error { return s.system.Ping(ctx) }
