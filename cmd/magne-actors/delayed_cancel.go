package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
)

// changeFlags are the flags of the commands that change what waits.
type changeFlags struct {
	*deadFlags
	filter *delayFilter
	dryRun bool
	yes    *bool
}

func addChangeFlags(cmd *cobra.Command) *changeFlags {
	f := &changeFlags{deadFlags: addDeadFlags(cmd, moveLimit, moveTimeout), filter: addDelayFilter(cmd)}
	hideAsIs(cmd)
	fs := cmd.Flags()
	fs.BoolVar(&f.filter.all, "all", false, "all of them")
	fs.BoolVar(&f.dryRun, "dry-run", false, "say what would be done, and do nothing")
	f.yes = addYesFlag(cmd)
	return f
}

// check completes the flags with the arguments, which are ids. What names single
// messages needs no question.
func (f *changeFlags) check(e *env, args []string) error {
	f.filter.ids = append(f.filter.ids, args...)
	if err := f.filter.check(); err != nil {
		return err
	}
	if len(f.filter.ids) > 0 || f.dryRun {
		*f.yes = true
	}
	if !*f.yes && !isTerminal(e.stdin) {
		return usageError(errors.New("it asks before it does that to more than is named by ids, and there is no terminal to ask on"), "--yes does it at once, --dry-run says what it would do")
	}
	return nil
}

// ask counts what is meant and asks whether to go on.
func (f *changeFlags) ask(ctx context.Context, g *graveyard, what string) error {
	if *f.yes {
		return nil
	}
	limit := g.limit
	c := &climb{g: g, filter: f.filter, show: newProgress(g.e.stderr, "looking")}
	err := c.run(ctx)
	g.limit = limit
	if err != nil || c.matched == 0 {
		return err
	}
	fmt.Fprintf(g.e.stderr, "%s %s? [y/N] ", what, count(c.matched, "message"))
	return agreed(ctx, bufio.NewReader(g.e.stdin))
}

// delayChange is what delayed cancel and reschedule print with -o json.
type delayChange struct {
	LookedAt    int       `json:"looked_at"`
	Matched     int       `json:"matched"`
	Cancelled   *int      `json:"cancelled,omitempty"`
	Rescheduled *int      `json:"rescheduled,omitempty"`
	Failed      int       `json:"failed"` // not confirmed, and as before
	DryRun      bool      `json:"dry_run"`
	Messages    []waiting `json:"messages"` // that are meant, at most so many as a list shows
}

// maxTold is how many messages are listed by a command that changes them.
const maxTold = 100

func (c *delayChange) add(w *waiting) {
	if len(c.Messages) < maxTold {
		c.Messages = append(c.Messages, *w)
	}
}

func newDelayedCancelCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cancel [ID...]",
		Short: "Remove tasks that wait for their time",
		Long: "cancel removes messages from the broker, so that their tasks never run. There is no way back. Name them\n" +
			"by their ids, or say which with --queue and --task: then it asks first on a terminal, with how many are\n" +
			"meant, and elsewhere wants --yes. What is due by then runs: exit status 1 says that nothing fitted.",
		Example: "  magne-actors delayed cancel 7c9e6679-7425-40de-944b-e07fc1f90ae7\n" +
			"  magne-actors delayed cancel --task resize --dry-run\n" +
			"  magne-actors delayed cancel --all --yes -o json",
	}
	f := addChangeFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := f.check(e, args); err != nil {
			return err
		}
		return e.withDead(cmd, f.deadFlags, func(ctx context.Context, g *graveyard) error {
			if err := f.ask(ctx, g, "cancel"); err != nil {
				return undelayed(err)
			}
			return g.cancelDelayed(ctx, f)
		})
	}
	return cmd
}

func (g *graveyard) cancelDelayed(ctx context.Context, f *changeFlags) error {
	done := 0
	out := delayChange{Cancelled: &done, DryRun: f.dryRun, Messages: []waiting{}}
	c := &climb{g: g, filter: f.filter, show: newProgress(g.e.stderr, "looking")}
	c.visit = func(t *amqp.Taking, d *broker.Delivery, w *waiting) error {
		out.add(w)
		if f.dryRun {
			return nil
		}
		err := t.Ack(d.Tag)
		if err == nil {
			done++
		}
		return err
	}
	err := c.run(ctx)
	out.LookedAt, out.Matched = c.seen, c.matched
	if err == nil && c.matched == 0 && !f.filter.empty() {
		err = f.filter.none()
	}
	text := fmt.Sprintf("cancelled %d, looked at %s\n", done, count(c.seen, "message"))
	if f.dryRun {
		text = fmt.Sprintf("would cancel %d, looked at %s\n", c.matched, count(c.seen, "message"))
	}
	return errors.Join(g.e.print(out, text), undelayed(err))
}
