package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/internal/dlq"
	"github.com/magne-actors/magne-actors/internal/ladder"
)

func newDelayedCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delayed",
		Short: "Look at tasks that wait for their time, cancel and reschedule them",
		Long: "delayed works on the tasks that `publish --in` and `--at` have sent and on retries that wait on the\n" +
			"broker, by AMQP and so alike on RabbitMQ and the embedded broker.\n\n" +
			"To look at a message is to take it and to give it back: the broker has it all the time, and a command\n" +
			"that is killed loses nothing. What becomes due during a look is delivered after it, so that a look at\n" +
			"very many messages can make some late; --limit bounds it. A message that moves on from one delay queue\n" +
			"to the next is found in the next one; one that is due is no longer there.\n\n" +
			"Exit status: 0 ok, 1 no such message, refused or interrupted, 2 usage,\n" +
			"3 the broker cannot be reached, 75 temporary, try again.",
		Example: "  magne-actors delayed list\n" +
			"  magne-actors delayed cancel 7c9e6679-7425-40de-944b-e07fc1f90ae7\n" +
			"  magne-actors delayed reschedule --task resize --in 1h",
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },

		SuggestionsMinimumDistance: 2,
	}
	cmd.AddCommand(newDelayedListCmd(e), newDelayedShowCmd(e), newDelayedCancelCmd(e), newDelayedRescheduleCmd(e))
	return cmd
}

// waiting is a message that waits for its time, as -o json shows it.
type waiting struct {
	ID       string     `json:"id"` // the message id, or one made from the content
	Task     string     `json:"task,omitempty"`
	Queue    string     `json:"queue"`              // that it is for
	Due      *time.Time `json:"due"`                // null for a retry
	Attempts int        `json:"attempts,omitempty"` // before it
	Bytes    int        `json:"body_bytes"`
	In       string     `json:"waits_in"`         // the queue for a delay that has it now
	Passed   *time.Time `json:"passed,omitempty"` // when it left the queue for a delay before that one
}

// readWaiting reads a message of the ladder. ok is false for one that is none: anybody
// can publish to a queue.
func readWaiting(d *broker.Delivery, l *dlq.Letter) (w waiting, ok bool) {
	_, queue, ok := ladder.Parse(d.RoutingKey)
	w = waiting{ID: l.ID, Task: l.Task, Queue: queue, Attempts: l.Attempts, Bytes: len(d.Body), In: d.Queue}
	if text, is := d.Headers[ladder.HeaderETA].(string); is {
		if due, err := time.Parse(time.RFC3339, text); err == nil {
			w.Due = new(due.UTC())
		}
	}
	if len(l.Deaths) > 0 {
		w.Passed = l.Deaths[0].Time
	}
	return w, ok
}

// delayFilter says which of them are meant: those that fit all of what is set.
type delayFilter struct {
	ids, queues, tasks []string
	all                bool
}

func addDelayFilter(cmd *cobra.Command) *delayFilter {
	f := &delayFilter{}
	fs := cmd.Flags()
	fs.StringArrayVar(&f.ids, "id", nil, "only the message with this `ID`; may be given again")
	fs.StringSliceVar(&f.queues, "queue", nil, "only for this `QUEUE`; may be given again")
	fs.StringSliceVar(&f.tasks, "task", nil, "only of this `TASK`; may be given again")
	return f
}

func (f *delayFilter) match(w *waiting) bool {
	fits := func(list []string, value string) bool { return len(list) == 0 || slices.Contains(list, value) }
	return fits(f.ids, w.ID) && fits(f.queues, w.Queue) && fits(f.tasks, w.Task)
}

func (f *delayFilter) empty() bool { return len(f.ids)+len(f.queues)+len(f.tasks) == 0 }

// check refuses a filter by which something would be changed that nobody has named.
func (f *delayFilter) check() error {
	switch {
	case f.empty() && !f.all:
		return usageError(errors.New("which messages?"), "name some by their ids, with --queue or --task, or all of them with --all")
	case !f.empty() && f.all:
		return usageError(errors.New("all messages, and only some of them?"), "--all goes with nothing else")
	}
	return nil
}

// rungs are the queues of the ladder from the longest delay to the shortest: a message
// that moves on during a look comes to one that was not looked at.
func rungs() []string {
	var names []string
	for level := ladder.Levels - 1; level >= 0; level-- {
		for digit := 15; digit > 0; digit-- {
			names = append(names, ladder.DelayQueue(level, digit))
		}
	}
	return names
}

// climb is a look at all of the ladder.
type climb struct {
	g    *graveyard
	show *progress

	// visit is called for what the filter means; what it does not ack goes back. It may
	// be nil, and so may end, which is called after each queue, before it goes back.
	filter *delayFilter
	visit  func(*amqp.Taking, *broker.Delivery, *waiting) error
	end    ending

	ready, seen, matched int
}

// run looks at up to limit messages.
func (c *climb) run(ctx context.Context) error {
	limit := c.g.limit
	defer c.show.end()
	for i, name := range rungs() {
		if err := ctx.Err(); err != nil {
			return err
		}
		counts, err := c.g.admin.Queue(ctx, name)
		if errors.Is(err, amqp.ErrNoQueue) && i == 0 {
			return nil // nothing was ever delayed
		}
		if err != nil {
			return err
		}
		c.ready += counts.Ready
		if counts.Ready == 0 || c.seen >= limit {
			continue
		}
		c.g.limit = limit - c.seen
		_, err = c.g.scan(ctx, name, c.look, c.end)
		if err != nil {
			return err
		}
	}
	if c.seen < c.ready && c.seen >= limit {
		fmt.Fprintf(c.g.e.stderr, "looked at %d of some %d messages: --limit looks at more\n", c.seen, c.ready)
	}
	return nil
}

func (c *climb) look(t *amqp.Taking, d *broker.Delivery, l *dlq.Letter) error {
	c.seen++
	defer func() { c.show.show(c.seen, max(c.ready, c.seen), "%d fit", c.matched) }()
	w, ok := readWaiting(d, l)
	if !ok || !c.filter.match(&w) {
		return nil
	}
	c.matched++
	if c.visit == nil {
		return nil
	}
	return c.visit(t, d, &w)
}

// undelayed gives an error of these commands its exit status and a hint.
func undelayed(err error) error {
	if errors.Is(err, amqp.ErrNoQueue) {
		return failed(exitError, err, "the queues for delays are only there in part: `magne-actors publish --in 1s` declares them")
	}
	return unmoved(err)
}

// none is the error of a command that has found nothing although something was named.
func (f *delayFilter) none() error {
	return failed(exitError, errors.New("no such message waits"), "it may be delivered by now; `magne-actors delayed list` shows what waits")
}
