package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/internal/dlq"
)

const (
	// moveTimeout keeps away from RabbitMQ's consumer_timeout of half an hour, which
	// is also how long it lets a message be looked at.
	moveTimeout = 15 * time.Minute
	moveLimit   = 100_000
)

// replayFlags are the flags of dlq replay.
type replayFlags struct {
	*deadFlags
	filter     *filterFlags
	dryRun     bool
	rate, to   string
	maxReplays int
	force      bool
}

// replayed is what dlq replay prints with -o json.
type replayed struct {
	Queue    string         `json:"queue"`
	Ready    int            `json:"ready"` // at first
	LookedAt int            `json:"looked_at"`
	Matched  int            `json:"matched"`
	Replayed int            `json:"replayed"` // confirmed, and removed from here
	Refused  int            `json:"refused"`  // by the loop guard, or without a way to copy them
	Failed   int            `json:"failed"`   // not confirmed
	To       map[string]int `json:"to"`       // how many were for which queue
	DryRun   bool           `json:"dry_run"`
	Seconds  float64        `json:"seconds"`
}

func newDlqReplayCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "replay POOL",
		Short: "Run dead letters again",
		Long: "replay publishes copies of dead letters to the queue that they came from, with all attempts before\n" +
			"them. A dead letter is removed when the broker has confirmed its copy, and not before: what is\n" +
			"interrupted, refused or unroutable stays. A command that is killed can leave copies of letters that\n" +
			"are still there, at most some hundred: their tasks may run twice, as with any queue.\n\n" +
			"Say which: all that is named must fit. Only what is there at first is looked at, so that a task that\n" +
			"fails again at once is not replayed again. A copy has the header x-replays; one that was replayed\n" +
			"--max-replays times is refused without --force. See docs/dead-letters.md.",
		Example: "  magne-actors dlq replay work --group 1f0c9a3e --dry-run\n" +
			"  magne-actors dlq replay work --reason timeout --task resize --rate 10/s\n" +
			"  magne-actors dlq replay work --before 24h --to work.slow -o json",
		Args: exactly("a pool"),
	}
	f := &replayFlags{deadFlags: addDeadFlags(cmd, moveLimit, moveTimeout), filter: addFilterFlags(cmd)}
	fs := cmd.Flags()
	fs.BoolVar(&f.filter.All, "all", false, "all of them")
	fs.BoolVar(&f.dryRun, "dry-run", false, "say what would be done, and do nothing")
	fs.StringVar(&f.rate, "rate", "", "at most so many, as 10/s, 600/m or 5/h")
	fs.StringVar(&f.to, "to", "", "the `queue` to replay to (default: the one that they came from)")
	fs.IntVar(&f.maxReplays, "max-replays", 3, "refuse what was replayed so often")
	fs.BoolVar(&f.force, "force", false, "replay however often that was done before")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p, err := f.check()
		if err != nil {
			return err
		}
		return e.withDead(cmd, f.deadFlags, func(ctx context.Context, g *graveyard) error {
			q, err := g.find(args[0], f.asIs)
			if err != nil {
				return err
			}
			if f.to == q.Name {
				return usageError(errors.New("--to is the queue of dead letters itself"), "--to names the queue of a pool")
			}
			r := &replay{g: g, f: f, q: q, out: replayed{Queue: q.Name, To: map[string]int{}, DryRun: f.dryRun}, show: newProgress(e.stderr, "looking")}
			return r.run(ctx, p)
		})
	}
	return cmd
}

// check completes the flags.
func (f *replayFlags) check() (*pace, error) {
	if err := f.filter.read(); err != nil {
		return nil, err
	}
	if err := f.filter.Check(); err != nil {
		return nil, usageError(err, "name some with --id, --group, --reason, --task or --before, or all of them with --all")
	}
	if f.maxReplays < 1 {
		return nil, usageError(fmt.Errorf("--max-replays %d", f.maxReplays), "--max-replays takes a number from 1 up; --force switches the guard off")
	}
	if f.force {
		f.maxReplays = 0
	}
	return parsePace(f.rate)
}

// replay is one run of the command.
type replay struct {
	g     *graveyard
	f     *replayFlags
	q     deadQueue
	out   replayed
	show  *progress
	mover *mover // nil: dry run
	first error  // of those that were refused
}

func (r *replay) run(ctx context.Context, p *pace) error {
	begin := time.Now()
	if !r.f.dryRun {
		session, err := r.g.dial.Dial(ctx)
		if err != nil {
			return unreachable(r.g.file, err)
		}
		defer session.Close(r.g.ctx) //nolint:errcheck,contextcheck // every confirm that matters is in, and this outlasts the command
		r.mover = newMover(session, p, nil)
	}
	s, err := r.g.scan(ctx, r.q.Name, func(t *amqp.Taking, d *broker.Delivery, l *dlq.Letter) error {
		return r.letter(ctx, t, d, l)
	}, r.end)
	r.show.end()
	r.out.Ready, r.out.LookedAt, r.out.Seconds = s.Ready, s.Seen, time.Since(begin).Seconds()
	if r.mover != nil {
		r.out.Replayed, r.out.Failed = r.mover.done, r.mover.bad
	}
	if err == nil {
		err = r.destinations(ctx)
	}
	if err != nil {
		err = unmoved(err)
	} else {
		err = r.verdict()
	}
	return errors.Join(r.g.e.print(r.out, r.out.text()), err)
}

// letter replays one letter, if it is meant.
func (r *replay) letter(ctx context.Context, t *amqp.Taking, d *broker.Delivery, l *dlq.Letter) error {
	defer func() { r.show.show(r.out.LookedAt, t.Ready, "%d fit", r.out.Matched) }()
	r.out.LookedAt++
	if !r.f.filter.Match(l) {
		return nil
	}
	r.out.Matched++
	to := r.f.to
	if to == "" {
		to = dlq.Destination(l, r.q.Work)
	}
	if to == "" || to == r.q.Name {
		r.refuse(fmt.Errorf("message %q does not say which queue it came from", l.ID))
		return nil
	}
	p, err := dlq.Replay(d, to, r.f.maxReplays, time.Now())
	if err != nil {
		r.refuse(err)
		return nil
	}
	r.out.To[to]++
	if r.mover == nil {
		return nil
	}
	r.mover.confirmed = t.Ack
	return r.mover.publish(ctx, d.Tag, p)
}

// refuse counts a letter that stays.
func (r *replay) refuse(err error) {
	if r.out.Refused++; r.first == nil {
		r.first = err
	}
}

// end waits for the confirms, before the rest goes back.
func (r *replay) end(_ *amqp.Taking, err error) error {
	if r.mover == nil {
		return err
	}
	return r.mover.finish(r.g.ctx, err)
}

// destinations tells at a dry run what would be unroutable.
func (r *replay) destinations(ctx context.Context) error {
	if !r.f.dryRun {
		return nil
	}
	for _, name := range sortedKeys(r.out.To) {
		if _, err := r.g.admin.Queue(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// verdict is the error of a run in which nothing went wrong.
func (r *replay) verdict() error {
	switch {
	case errors.Is(r.first, dlq.ErrLoop):
		return failed(exitError, fmt.Errorf("%s refused: %w", count(r.out.Refused, "message"), r.first),
			"it fails again and again: look at it with `magne-actors dlq show`; --force replays it all the same")
	case r.first != nil:
		return failed(exitError, fmt.Errorf("%s refused: %w", count(r.out.Refused, "message"), r.first), "--to says which queue, where that is what is missing")
	case r.out.Matched == 0 && !r.f.filter.Empty():
		return failed(exitError, fmt.Errorf("no such dead letter in %s", printable(r.q.Name)), "`magne-actors dlq groups` shows what is there")
	}
	return nil
}

func (o *replayed) text() string {
	var b strings.Builder
	did, n := "replayed", o.Replayed
	if o.DryRun {
		did, n = "would replay", o.Matched-o.Refused
	}
	fmt.Fprintf(&b, "%s %d of %s in %s", did, n, count(o.Ready, "message"), printable(o.Queue))
	if o.Refused+o.Failed > 0 {
		fmt.Fprintf(&b, ", %d refused, %d not confirmed", o.Refused, o.Failed)
	}
	b.WriteByte('\n')
	for _, to := range sortedKeys(o.To) {
		fmt.Fprintf(&b, "   %d for queue %s\n", o.To[to], printable(to))
	}
	if o.LookedAt < o.Ready {
		fmt.Fprintf(&b, "   %d were not looked at\n", o.Ready-o.LookedAt)
	}
	return b.String()
}
