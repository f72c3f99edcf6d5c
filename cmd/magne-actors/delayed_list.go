package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
)

func newDelayedListCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List tasks that wait for their time",
		Long: "list shows what waits on the broker, what is due first at the top. DUE is - (null with -o json) for a\n" +
			"retry, which says only how long it waits.",
		Example: "  magne-actors delayed list\n  magne-actors delayed list --task resize --limit 100000 -o json",
		Args:    noArgs,
	}
	f, filter := addDeadFlags(cmd, lookLimit, lookTimeout), addDelayFilter(cmd)
	hideAsIs(cmd)
	n := cmd.Flags().IntP("number", "n", 100, "how many messages to show, at most")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *n < 1 {
			return usageError(fmt.Errorf("-n %d", *n), "-n takes a number from 1 up")
		}
		return e.withDead(cmd, f, func(ctx context.Context, g *graveyard) error { return g.listDelayed(ctx, filter, *n) })
	}
	return cmd
}

// hideAsIs hides a flag that has no meaning for delays.
func hideAsIs(cmd *cobra.Command) { cmd.Flags().Lookup("as-is").Hidden = true }

func (g *graveyard) listDelayed(ctx context.Context, filter *delayFilter, n int) error {
	list := []waiting{}
	c := &climb{g: g, filter: filter, show: newProgress(g.e.stderr, "looking")}
	c.visit = func(_ *amqp.Taking, _ *broker.Delivery, w *waiting) error {
		list = append(list, *w)
		return nil
	}
	if err := c.run(ctx); err != nil {
		return undelayed(err)
	}
	slices.SortStableFunc(list, func(a, b waiting) int { return cmp.Compare(a.order(), b.order()) })
	if len(list) > n {
		fmt.Fprintf(g.e.stderr, "%d of %d shown: -n shows more\n", n, len(list))
		list = list[:n]
	}
	return g.e.print(list, waitingTable(list, time.Now()))
}

// order sorts by when it is due; what does not say comes last.
func (w *waiting) order() int64 {
	if w.Due == nil {
		return 1<<63 - 1
	}
	return w.Due.UnixMilli()
}

func waitingTable(list []waiting, now time.Time) string {
	if len(list) == 0 {
		return "nothing waits\n"
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tTASK\tQUEUE\tDUE\tIN\tATTEMPTS\tWAITS IN")
	for _, m := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", printable(m.ID), word(m.Task), word(m.Queue), when(m.Due), remaining(m.Due, now), m.Attempts, m.In)
	}
	_ = w.Flush() // into memory
	return b.String()
}

// remaining is how long it is until then.
func remaining(due *time.Time, now time.Time) string {
	if due == nil {
		return "-"
	}
	return max(0, due.Sub(now)).Round(time.Second).String()
}

func newDelayedShowCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show ID...",
		Short: "Show tasks that wait, with their headers and bodies",
		Long: "show prints messages with all that they say. ID is the message id; a message without one has an id made\n" +
			"from its content, which list shows.",
		Example: "  magne-actors delayed show 7c9e6679-7425-40de-944b-e07fc1f90ae7 -o json",
		Args:    cobra.MinimumNArgs(1),
	}
	f := addDeadFlags(cmd, lookLimit, lookTimeout)
	hideAsIs(cmd)
	body := cmd.Flags().Int("body", 1024, "how many bytes of each body to show, at most")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *body < 0 {
			return usageError(fmt.Errorf("--body %d", *body), "--body takes a number from 0 up")
		}
		return e.withDead(cmd, f, func(ctx context.Context, g *graveyard) error {
			return g.showDelayed(ctx, &delayFilter{ids: args}, *body)
		})
	}
	return cmd
}

// shownWaiting is a message that waits as `delayed show -o json` shows it.
type shownWaiting struct {
	waiting
	Message peeked `json:"message"`
}

func (g *graveyard) showDelayed(ctx context.Context, filter *delayFilter, body int) error {
	out := []shownWaiting{}
	c := &climb{g: g, filter: filter, show: newProgress(g.e.stderr, "looking")}
	c.visit = func(_ *amqp.Taking, d *broker.Delivery, w *waiting) error {
		out = append(out, shownWaiting{waiting: *w, Message: bounded(d, body)})
		return nil
	}
	if err := c.run(ctx); err != nil {
		return undelayed(err)
	}
	var text strings.Builder
	for i := range out {
		m := &out[i]
		fmt.Fprintf(&text, "%s: task %s for queue %s, due %s (in %s), waits in %s\n", printable(m.ID), word(m.Task), word(m.Queue),
			when(m.Due), remaining(m.Due, time.Now()), m.In)
		m.Message.write(&text, i+1)
	}
	err := g.e.print(out, text.String())
	if len(out) == 0 {
		err = errors.Join(err, filter.none())
	}
	return err
}
