package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/internal/treeview"
)

func newTreeCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tree [NODE]",
		Short: "Show the supervision tree of a running instance",
		Long: "tree shows every actor of a running instance, or those below one node: its state, restarts and\n" +
			"last error, what each worker runs, and how full the window of each pool is. It reads counters and\n" +
			"asks no actor, so that it answers while all of them are busy.\n\n" + healthText,
		Example: "  magne-actors tree\n  magne-actors tree mail -w\n  magne-actors tree --socket ./magne.sock -o json",
		Args:    atMostOne,
	}
	e.look(cmd, func(ctx context.Context, l *looker, args []string) error {
		root, err := l.client.Tree(ctx)
		if err == nil && len(args) > 0 {
			root, err = node(root, args[0])
		}
		if err != nil {
			return err
		}
		if err := l.print(root, treeview.Render(root, time.Now(), l.options())); err != nil {
			return err
		}
		return healthStatus(control.TreeHealth(root))
	}).watched(cmd)
	return cmd
}

// atMostOne takes one argument or none.
func atMostOne(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return fmt.Errorf("unexpected argument %q", args[1])
	}
	return nil
}
