package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/internal/treeview"
)

func newInspectCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inspect NODE",
		Short: "Show everything about one node of a running instance",
		Long: "inspect shows all that is known of one node: its state and since when, its figures, how close it is to\n" +
			"giving up, its last error with the stack of the panic, and its children. It asks no actor.\n\n" +
			healthText + "\nThe health is that of the node and of those below it; no such node is 2.",
		Example: "  magne-actors inspect router:mail\n  magne-actors inspect mail/3 -o json",
		Args:    oneNode,
	}
	e.look(cmd, func(ctx context.Context, l *looker, args []string) error {
		n, err := l.client.Inspect(ctx, args[0])
		if err != nil {
			return l.notFound(ctx, err, args[0])
		}
		if err := l.print(n, treeview.Inspect(n, time.Now(), l.options())); err != nil {
			return err
		}
		return healthStatus(control.TreeHealth(n))
	}).watched(cmd)
	return cmd
}

// notFound says which nodes there are, if that was the error.
func (l *looker) notFound(ctx context.Context, err error, id string) error {
	if !errors.Is(err, control.ErrNotFound) {
		return err
	}
	root, err := l.client.Tree(ctx)
	if err != nil {
		return err
	}
	return noNode(root, id)
}

// oneNode takes the id of a node.
func oneNode(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return errors.New("the id of a node is missing")
	}
	return atMostOne(cmd, args)
}
