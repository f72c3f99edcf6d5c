package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/internal/treeview"
)

func newTasksCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tasks",
		Short: "List the tasks that a running instance runs",
		Long: "tasks lists the tasks that run: their names, the ids of their messages, on which worker, for how long,\n" +
			"and which attempt it is. Those that wait are counted by ps and tree. It asks no actor.\n\n" +
			"Exit status: 0 ok, 3 no instance answers.",
		Example: "  magne-actors tasks\n  magne-actors tasks -w\n  magne-actors tasks -o json",
		Args:    noArgs,
	}
	e.look(cmd, func(ctx context.Context, l *looker, _ []string) error {
		list, err := l.client.Tasks(ctx)
		if err != nil {
			return err
		}
		return l.print(list, treeview.Tasks(list, time.Now(), l.options()))
	}).watched(cmd)
	return cmd
}
