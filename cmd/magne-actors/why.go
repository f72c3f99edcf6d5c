package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/internal/treeview"
)

// explained is what why prints with -o json.
type explained struct {
	ID    string   `json:"id"`
	State string   `json:"state"`
	Why   []string `json:"why"` // sentences, the node first and its causes after it
}

func newWhyCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "why NODE",
		Short: "Say why a node of a running instance is as it is",
		Long: "why says in plain sentences why a node is down, paused, restarting, or idle: the node first, then\n" +
			"what it waits for or suffers from, down to a cause that has none of its own. It reads one snapshot of\n" +
			"the tree and asks no actor. An instance of several copies answers for the node of each, or for that of\n" +
			"one, as in router:mail@2.\n\n" + healthText + "\nThe health is that of the node and of those below it; no such node is 2.",
		Example: "  magne-actors why router:mail\n  magne-actors why root",
		Args:    oneNode,
	}
	e.look(cmd, func(ctx context.Context, l *looker, args []string) error {
		root, err := l.client.Tree(ctx)
		if err != nil {
			return err
		}
		nodes := treeview.FindAll(root, args[0])
		if len(nodes) == 0 {
			return noNode(root, args[0])
		}
		worst := nodes[0]
		var lines []string
		for _, n := range nodes {
			lines = append(lines, treeview.Why(root, n.ID, time.Now())...)
			if control.TreeHealth(n) > control.TreeHealth(worst) {
				worst = n
			}
		}
		if err := l.print(explained{args[0], worst.State, lines}, strings.Join(lines, "\n")+"\n"); err != nil {
			return err
		}
		return healthStatus(control.TreeHealth(worst))
	}).watched(cmd)
	return cmd
}
