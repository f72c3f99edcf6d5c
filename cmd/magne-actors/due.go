package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/ladder"
)

// dueFlags are how one says when a task is due.
type dueFlags struct{ in, at string }

func (f *dueFlags) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.in, "in", "", "deliver it after this `TIME`: 90s, 10m, 1h30m, 7d, 2w; at most a year")
	fs.StringVar(&f.at, "at", "", "deliver it at this `TIME`: 2026-12-01T08:00Z, 2026-12-01T08:00:30+01:00; at once when that is over")
	cmd.MarkFlagsMutuallyExclusive("in", "at")
}

// read returns when the task is due, nil when neither flag is given.
func (f *dueFlags) read(now time.Time) (*time.Time, error) {
	var due time.Time
	switch {
	case f.in != "":
		delay, err := parseDelay(f.in)
		if err != nil {
			return nil, err
		}
		due = now.Add(delay)
	case f.at != "":
		var err error
		if due, err = parseMoment(f.at); err != nil {
			return nil, err
		}
	default:
		return nil, nil //nolint:nilnil // at once
	}
	if due.Sub(now) > ladder.MaxDelay {
		return nil, usageError(fmt.Errorf("%s is more than a year from now", due.UTC().Format(time.RFC3339)), "a task can wait for 366 days at most")
	}
	due = due.UTC().Truncate(time.Millisecond)
	return &due, nil
}

// parseDelay reads a duration of Go, or one that begins with weeks or days: 2w, 7d12h.
func parseDelay(text string) (time.Duration, error) {
	rest, total := text, time.Duration(0)
	for _, unit := range []struct {
		letter string
		long   time.Duration
	}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}} {
		number, after, found := strings.Cut(rest, unit.letter)
		n, err := strconv.ParseUint(number, 10, 16)
		if found && err == nil {
			rest, total = after, total+time.Duration(n)*unit.long
		}
	}
	wrong := usageError(fmt.Errorf("--in %q is no time to wait", text), "write --in 90s, 10m, 1h30m, 7d or 2w")
	if rest == "" {
		if rest == text {
			return 0, wrong
		}
		return total, nil
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 && total > 0 {
		return 0, wrong
	}
	return total + d, nil
}

// parseMoment reads RFC 3339, with or without seconds. The zone is required: the local
// one of whoever types is not that of whoever reads the script.
func parseMoment(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04"} {
		if _, err := time.Parse(layout, text); err == nil {
			return time.Time{}, usageError(fmt.Errorf("--at %q has no time zone", text), "write --at %sZ for UTC, or %s+01:00", text, text)
		}
	}
	return time.Time{}, usageError(fmt.Errorf("--at %q is no moment", text), "write --at 2026-12-01T08:00Z, or with seconds and another zone 2026-12-01T08:00:30+01:00")
}

// declareTime is the least that the first declaration of the ladder has: some 500
// exchanges, queues and bindings.
const declareTime = 2 * time.Minute

// prepare declares the ladder of delays and its way into the queue, where this user
// may; who may not relies on somebody having done so.
func (t *target) prepare(ctx context.Context, session broker.Session) error {
	t.count()
	if t.due == nil || time.Until(*t.due) <= 0 {
		return nil
	}
	err := declareDelay(ctx, session, t.queue.Name, t.timeout)
	t.count()
	return err
}

// count has the time of --in begin now: neither a slow login nor a first declaration of
// the ladder is a part of it.
func (t *target) count() {
	if t.in > 0 {
		due := time.Now().Add(t.in).UTC().Truncate(time.Millisecond)
		t.due = &due
	}
}

// declareDelay declares the ladder for a queue, which must exist.
func declareDelay(ctx context.Context, session broker.Session, queue string, timeout time.Duration) error {
	if err := ladder.Routable(queue); err != nil {
		return usageError(err, "a task for it can only be published at once")
	}
	timeout = max(timeout, declareTime)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for _, topology := range []broker.Topology{ladder.Topology(), ladder.Exit(queue)} {
		err := session.Apply(ctx, topology)
		switch {
		case err == nil, errors.Is(err, broker.ErrForbidden):
		case errors.Is(ctx.Err(), context.DeadlineExceeded):
			return late(timeout)
		case errors.Is(err, broker.ErrTopology) && len(topology.Queues) == 0:
			return failed(exitError, err, "there is no queue %q that the task could be for: `magne-actors run` declares the queue of its pools, or check the name", queue)
		case errors.Is(err, broker.ErrTopology):
			return failed(exitError, err, "something else of that name is in the way of the queues for delays")
		default:
			return err
		}
	}
	return nil
}

// delay sends p over the ladder, as long as it has to wait.
func (t *target) delay(p *broker.Publication) {
	if t.due == nil {
		return
	}
	ladder.Postpone(p, t.queue.Name, *t.due, time.Now())
}

func (t *target) dueText() string {
	if t.due == nil {
		return ""
	}
	return dueIn(*t.due, time.Now())
}

// dueIn says when tasks are due, and of those that are due already that they do not wait.
func dueIn(due, now time.Time) string {
	moment := due.Format(time.RFC3339)
	wait := due.Sub(now)
	switch {
	case wait <= 0:
		return fmt.Sprintf(", due %s, which is over: at once", moment)
	case wait < time.Second:
		return fmt.Sprintf(", due %s (in less than 1s)", moment)
	}
	return fmt.Sprintf(", due %s (in %v)", moment, wait.Round(time.Second))
}
