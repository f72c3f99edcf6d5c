package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/internal/control"
)

// restarted is what restart prints with -o json.
type restarted struct {
	ID        string `json:"id"`
	Restarted bool   `json:"restarted"`
}

func newRestartCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restart NODE",
		Short: "Restart one node of a running instance",
		Long: "restart stops a node as its supervisor would and starts it again, with the siblings that its failure\n" +
			"would restart; one that is down, failed, parked or in backoff is started at once, alone. It waits until\n" +
			"the node is up. It counts as no restart. What a router had in flight returns to its queue.\n\n" +
			"Exit status: 0 it is up, 1 it is not, 2 no such node, 3 no instance answers.",
		Example: "  magne-actors restart pool:mail\n  magne-actors restart mail/3",
		Args:    oneNode,
	}
	e.look(cmd, func(ctx context.Context, l *looker, args []string) error {
		id := args[0]
		err := l.client.Restart(ctx, id)
		switch {
		case errors.Is(err, control.ErrNotFound):
			return l.notFound(ctx, err, id)
		case errors.Is(err, control.ErrUnreachable):
			return err
		case err != nil:
			return failed(exitError, err, "magne-actors why %s says more", id)
		}
		text := printable(id) + " is up\n"
		if n, err := l.client.Inspect(ctx, id); err == nil && control.TreeHealth(n) != control.Healthy {
			text = fmt.Sprintf("%[1]s is up, but not all of it is healthy yet: `magne-actors why %[1]s` says more\n", printable(id))
		}
		return l.print(restarted{id, true}, text)
	})
	return cmd
}
