package control

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/magne-actors/magne-actors/supervisor"
)

// againEvery is how often an instance is asked whether a restart is done that has
// taken its control API with it.
const againEvery = 50 * time.Millisecond

// Restart has the node with that id run anew and returns nil when it does. Where the
// control API stands after the node it is restarted, too, and cannot answer: then
// Restart asks the new one how it went.
func (c Client) Restart(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	before, _ := c.Inspect(ctx, id) // if it cannot tell, post says why
	err := c.post(ctx, "/v1/restart/"+escape(id), nil, nil, &done{})
	if before == nil || !errors.Is(err, ErrUnreachable) {
		return err
	}
	again := time.NewTicker(againEvery)
	defer again.Stop()
	for {
		select {
		case <-again.C:
		case <-ctx.Done():
			return err
		}
		now, _ := c.Inspect(ctx, id) // not yet, most probably
		if now != nil && now.Restarts != nil && *now.Restarts > restarts(before) {
			if over, err := restarted(now); over {
				return err
			}
		}
	}
}

func restarts(n *supervisor.Node) int64 {
	if n.Restarts == nil {
		return 0
	}
	return *n.Restarts
}

// restarted reports whether the restart of a node is over, and why it failed.
func restarted(n *supervisor.Node) (over bool, err error) {
	switch n.State {
	case "starting", "stopping", "down":
		return false, nil
	case "backoff", "failed", "abandoned":
		return true, &refusal{problem{Error: fmt.Sprintf("%s is in state %s: %s", n.ID, n.State, n.LastError)}}
	}
	return true, nil
}
