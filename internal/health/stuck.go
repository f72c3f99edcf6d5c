package health

import (
	"fmt"
	"slices"
	"time"

	"github.com/magne-actors/magne-actors/supervisor"
)

// Stuck returns an error that names a supervisor, router or broker actor that has
// been handling one message for longer than limit, or nil. None of them ever
// blocks, so such a one hangs, and what is below it is no longer looked after.
// Workers are left out: one of them is no reason to give up the others.
func Stuck(n *supervisor.Node, now time.Time, limit time.Duration) error {
	if n == nil {
		return nil
	}
	vital := slices.Contains([]string{"root", "sup", "broker", "router", "pool"}, n.Kind)
	if vital && n.BusySince != nil {
		if busy := now.Sub(*n.BusySince); busy > limit {
			return fmt.Errorf("%s has been handling one message for %v", n.ID, busy.Round(time.Millisecond))
		}
	}
	for _, c := range n.Children {
		if err := Stuck(c, now, limit); err != nil {
			return err
		}
	}
	return nil
}
