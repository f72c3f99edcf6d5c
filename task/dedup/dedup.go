package dedup

import (
	"context"
	"errors"
	"time"
)

// State is what a Store knows of a key.
type State uint8

const (
	Fresh   State = iota + 1 // the caller holds the key now, and is to run the task
	Running                  // somebody else holds it
	Done                     // the task is done
)

// String returns fresh, running or done.
func (s State) String() string {
	switch s {
	case Fresh:
		return "fresh"
	case Running:
		return "running"
	case Done:
		return "done"
	}
	return "unknown"
}

// Token is a fencing token: each later holder of a key has a larger one.
type Token int64

// ErrLostLease: the key is held by somebody else, or by nobody. It is the cause of a
// handler's context that ends for that reason.
var ErrLostLease = errors.New("the lease of the task was lost")

// Store is shared by the processes. All methods are safe for concurrent use, block for
// a round trip at most until ctx ends, and take the time from one clock, that of the
// server where there is one.
type Store interface {
	// Begin takes the key for the time of the lease unless it is done, or held by
	// somebody whose lease is not over. The Token is that of a Fresh one, else 0.
	Begin(ctx context.Context, key string, lease time.Duration) (State, Token, error)

	// Renew has the lease last from now on. The error wraps ErrLostLease when the
	// token does not hold the key any more.
	Renew(ctx context.Context, key string, t Token, lease time.Duration) error

	// Done marks the key for the store's retention. The error wraps ErrLostLease when
	// the token does not hold the key any more, and then nothing is marked.
	Done(ctx context.Context, key string, t Token) error

	// Release gives the key back unmarked; of one that the token does not hold it
	// does nothing.
	Release(ctx context.Context, key string, t Token) error
}
