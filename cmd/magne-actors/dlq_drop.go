package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/internal/dlq"
)

// dropped is what dlq drop prints with -o json.
type dropped struct {
	Queue    string `json:"queue"`
	Ready    int    `json:"ready"` // at first
	LookedAt int    `json:"looked_at"`
	Dropped  int    `json:"dropped"`
	DryRun   bool   `json:"dry_run"` // Dropped are those that would be
}

func newDlqDropCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "drop POOL",
		Short: "Throw away dead letters",
		Long: "drop removes dead letters. There is no way back: it asks first on a terminal, with how many are meant,\n" +
			"and elsewhere wants --yes. Say which: all that is named must fit. --dry-run counts them, and does nothing.",
		Example: "  magne-actors dlq drop work --group 1f0c9a3e\n  magne-actors dlq drop work --reason decode --before 720h --yes -o json",
		Args:    exactly("a pool"),
	}
	f, filter := addDeadFlags(cmd, moveLimit, moveTimeout), addFilterFlags(cmd)
	cmd.Flags().BoolVar(&filter.All, "all", false, "all of them")
	yes := addYesFlag(cmd)
	dryRun := cmd.Flags().Bool("dry-run", false, "say what would be done, and do nothing")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := filter.read(); err != nil {
			return err
		}
		if err := filter.Check(); err != nil {
			return usageError(err, "name some with --id, --group, --reason, --task or --before, or all of them with --all")
		}
		if !*yes && !*dryRun && !isTerminal(e.stdin) {
			return usageError(errors.New("drop asks before it does it, and there is no terminal to ask on"), "--yes does it at once, --dry-run says what it would do")
		}
		return e.withDead(cmd, f, func(ctx context.Context, g *graveyard) error {
			q, err := g.find(args[0], f.asIs)
			if err != nil {
				return err
			}
			return g.drop(ctx, q, &filter.Filter, *yes, *dryRun)
		})
	}
	return cmd
}

// drop takes the letters that are meant, asks, and acks them; a dry run counts them.
func (g *graveyard) drop(ctx context.Context, q deadQueue, filter *dlq.Filter, yes, dryRun bool) error {
	out := dropped{Queue: q.Name, DryRun: dryRun}
	var meant []uint64
	show := newProgress(g.e.stderr, "looking")
	s, err := g.scan(ctx, q.Name, func(t *amqp.Taking, d *broker.Delivery, l *dlq.Letter) error {
		if filter.Match(l) {
			meant = append(meant, d.Tag)
		}
		out.LookedAt++
		show.show(out.LookedAt, t.Ready, "%d fit", len(meant))
		return nil
	}, func(t *amqp.Taking, err error) error {
		show.end()
		if dryRun {
			out.Dropped = len(meant)
			return err
		}
		if err == nil && !yes && len(meant) > 0 {
			fmt.Fprintf(g.e.stderr, "drop %s of %s in %s? [y/N] ", count(len(meant), "dead letter"), count(t.Ready, "message"), printable(q.Name))
			err = agreed(ctx, bufio.NewReader(g.e.stdin))
		}
		for _, tag := range meant {
			if err != nil {
				return err
			}
			if err = t.Ack(tag); err == nil {
				out.Dropped++
			}
		}
		return err
	})
	out.Ready, out.LookedAt = s.Ready, s.Seen
	if err == nil && len(meant) == 0 && !filter.Empty() {
		err = failed(exitError, fmt.Errorf("no such dead letter in %s", printable(q.Name)), "`magne-actors dlq groups` shows what is there")
	}
	verb := "dropped"
	if dryRun {
		verb = "would drop"
	}
	return errors.Join(g.e.print(out, fmt.Sprintf("%s %d of %s in %s\n", verb, out.Dropped, count(out.Ready, "message"), printable(q.Name))), unmoved(err))
}
