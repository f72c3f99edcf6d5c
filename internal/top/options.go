package top

import (
	"cmp"
	"context"
	"time"

	"github.com/magne-actors/magne-actors/supervisor"
)

// Options is what a Model has of the world. All functions but Now run in
// goroutines of their own and may block until their context ends.
type Options struct {
	// Fetch returns a new snapshot. It is called again after it has returned,
	// never twice at once. Needed.
	Fetch func(ctx context.Context) (Snapshot, error)
	// Inspect returns all that is known of a node; nil: the details are those of
	// the snapshot.
	Inspect func(ctx context.Context, id string) (*supervisor.Node, error)

	// What the operator may do to the node with that id, or to the pool with that
	// name. Nil: there is no key for it.
	Restart func(ctx context.Context, id string) error
	Pause   func(ctx context.Context, pool string) error
	Resume  func(ctx context.Context, pool string) error
	Scale   func(ctx context.Context, pool string, workers int) error

	Interval time.Duration    // between two snapshots; 0 is one second
	Timeout  time.Duration    // of Fetch and Inspect; 0 is five seconds
	Now      func() time.Time // nil is time.Now
	Version  string           // of the program that shows, for the title
	Color    bool             // ANSI colours; bold and reverse are used without it, too
}

func (o Options) withDefaults() Options {
	o.Interval = cmp.Or(o.Interval, time.Second)
	o.Timeout = cmp.Or(o.Timeout, 5*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}
