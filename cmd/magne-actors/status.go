package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/internal/treeview"
)

func newStatusCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how a running instance is",
		Long: "status sums a running instance up on one screen: its health, what it has in flight, and the nodes\n" +
			"that are not healthy with their last errors. Its exit status is for health checks.\n\n" + healthText,
		Example: "  magne-actors status\n  magne-actors status -o yaml\n  magne-actors status >/dev/null || alert",
		Args:    noArgs,
	}
	e.look(cmd, func(ctx context.Context, l *looker, _ []string) error {
		s, err := l.client.Status(ctx)
		if err != nil {
			return err
		}
		if err := l.print(s, treeview.Status(s, time.Now(), l.options())); err != nil {
			return err
		}
		return healthStatus(s.Health)
	}).watched(cmd)
	return cmd
}
