package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/internal/treeview"
	"github.com/magne-actors/magne-actors/supervisor"
)

func newPsCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ps",
		Short: "List the actors of a running instance",
		Long: "ps lists every node of the supervision tree, one a line: what waits for it and what runs on it, how\n" +
			"long it has been busy with one message, how often it was restarted, and its last error. With -o json\n" +
			"it is a list of nodes whose children are left out. It asks no actor.\n\n" + healthText,
		Example: "  magne-actors ps\n  magne-actors ps -w\n  magne-actors ps -o json",
		Args:    noArgs,
	}
	e.look(cmd, func(ctx context.Context, l *looker, _ []string) error {
		root, err := l.client.Tree(ctx)
		if err != nil {
			return err
		}
		if err := l.print(alone(treeview.Flat(root)), treeview.PS(root, time.Now(), l.options())); err != nil {
			return err
		}
		return healthStatus(control.TreeHealth(root))
	}).watched(cmd)
	return cmd
}

// alone are copies of nodes without their children.
func alone(nodes []*supervisor.Node) []*supervisor.Node {
	list := make([]*supervisor.Node, len(nodes))
	for i, n := range nodes {
		c := *n
		c.Children = []*supervisor.Node{}
		list[i] = &c
	}
	return list
}
