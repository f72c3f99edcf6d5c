package main

import (
	"context"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/internal/treeview"
)

func newLogsCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "logs [NODE]",
		Short: "Show what a running instance has logged",
		Long: "logs shows the log of a running instance, or what it says about one node and those below it: logs mail\n" +
			"is about the pool mail, its router and its workers. The instance remembers the last 4096 records that\n" +
			"its --log-level lets through, in at most 4 MiB. With -w it goes on with those that come; -o json is then\n" +
			"one record a line.\n\n" +
			"Exit status: 0 ok, 3 no instance answers.",
		Example: "  magne-actors logs\n  magne-actors logs mail --level warn\n  magne-actors logs mail/3 -w --tail 20",
		Args:    atMostOne,
	}
	f := &follower[control.Entry]{
		fetch: control.Client.Logs, seq: func(e control.Entry) uint64 { return e.Seq }, table: treeview.Logs,
	}
	level := cmd.Flags().String("level", "debug", "least level that is shown: debug|info|warn|error")
	l := e.look(cmd, func(ctx context.Context, l *looker, args []string) error {
		var least slog.Level
		if err := least.UnmarshalText([]byte(*level)); err != nil {
			return usageError(err, "--level takes debug, info, warn or error")
		}
		f.query.Level = least
		return f.once(ctx, l, args)
	})
	complete(cmd, "level", []string{"debug", "info", "warn", "error"})
	l.appends = true
	l.watched(cmd)
	f.add(cmd)
	return cmd
}
