package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/internal/dlq"
	"github.com/magne-actors/magne-actors/internal/ladder"
)

func newDelayedRescheduleCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reschedule [ID...] --in TIME | --at TIME",
		Short: "Give tasks that wait another time",
		Long: "reschedule publishes a copy of each message for the new time, and removes the old one when the broker has\n" +
			"confirmed the copy, not before. A command that is killed can leave both of some: their tasks run twice.\n" +
			"Which messages are meant is said as for cancel. What is due at once by the new time is delivered at once.",
		Example: "  magne-actors delayed reschedule 7c9e6679-7425-40de-944b-e07fc1f90ae7 --in 2h\n" +
			"  magne-actors delayed reschedule --queue mail --at 2026-12-01T08:00Z --yes",
	}
	f := addChangeFlags(cmd)
	due := &dueFlags{}
	due.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		at, err := due.read(time.Now())
		if err == nil && at == nil {
			err = usageError(errors.New("when?"), "say --in 10m or --at 2026-12-01T08:00Z")
		}
		if err == nil {
			err = f.check(e, args)
		}
		if err != nil {
			return err
		}
		return e.withDead(cmd, f.deadFlags, func(ctx context.Context, g *graveyard) error {
			if err := f.ask(ctx, g, "reschedule"); err != nil {
				return undelayed(err)
			}
			r := &rescheduling{g: g, f: f, due: *at, out: delayChange{DryRun: f.dryRun, Messages: []waiting{}}}
			return r.run(ctx)
		})
	}
	return cmd
}

// rescheduling is one run of the command.
type rescheduling struct {
	g     *graveyard
	f     *changeFlags
	due   time.Time
	mover *mover // nil: dry run
	out   delayChange
}

func (r *rescheduling) run(ctx context.Context) error {
	if !r.f.dryRun {
		session, err := r.g.dial.Dial(ctx)
		if err != nil {
			return unreachable(r.g.file, err)
		}
		defer session.Close(r.g.ctx) //nolint:errcheck,contextcheck // every confirm that matters is in, and this outlasts the command
		r.mover = newMover(session, &pace{}, nil)
	}
	c := &climb{g: r.g, filter: r.f.filter, show: newProgress(r.g.e.stderr, "looking")}
	already := 0
	c.visit = func(t *amqp.Taking, d *broker.Delivery, w *waiting) error {
		if w.Due != nil && w.Due.Equal(r.due) {
			already++ // such as a copy of ours that is looked at now
			return nil
		}
		return r.message(ctx, t, d, w)
	}
	c.end = func(_ *amqp.Taking, err error) error {
		if r.mover == nil {
			return err
		}
		return r.mover.finish(r.g.ctx, err)
	}
	err := c.run(ctx)
	done := 0
	if r.mover != nil {
		done, r.out.Failed = r.mover.done, r.mover.bad
	}
	r.out.LookedAt, r.out.Matched, r.out.Rescheduled = c.seen-already, c.matched-already, &done
	if err == nil && c.matched == 0 && !r.f.filter.empty() {
		err = r.f.filter.none()
	}
	text := fmt.Sprintf("rescheduled %d of %s to %s\n", done, count(r.out.Matched, "message"), r.due.Format(time.RFC3339))
	if r.f.dryRun {
		text = fmt.Sprintf("would reschedule %d, looked at %s\n", r.out.Matched, count(c.seen, "message"))
	}
	return errors.Join(r.g.e.print(r.out, text), undelayed(err))
}

func (r *rescheduling) message(ctx context.Context, t *amqp.Taking, d *broker.Delivery, w *waiting) error {
	p, err := dlq.Again(d, w.Queue)
	if err != nil {
		return failed(exitError, err, "cancel it, and publish it again")
	}
	r.out.add(w)
	if r.mover == nil {
		return nil
	}
	ladder.Postpone(p, w.Queue, r.due, time.Now())
	r.mover.confirmed = t.Ack
	return r.mover.publish(ctx, d.Tag, p)
}
