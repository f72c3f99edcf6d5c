package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/dlq"
)

// filterFlags are how one says which letters are meant.
type filterFlags struct {
	dlq.Filter
	before string
}

func addFilterFlags(cmd *cobra.Command) *filterFlags {
	f := &filterFlags{}
	fs := cmd.Flags()
	fs.StringArrayVar(&f.IDs, "id", nil, "only the message with this `ID`; may be given again")
	fs.StringSliceVar(&f.Groups, "group", nil, "only this `GROUP` of dlq groups; may be given again")
	fs.StringSliceVar(&f.Reasons, "reason", nil, "only with this `REASON`, as max_attempts; may be given again")
	fs.StringSliceVar(&f.Tasks, "task", nil, "only of this `TASK`; may be given again")
	fs.StringVar(&f.before, "before", "", "only what failed first before this `TIME`: 2026-12-01T08:00:00Z, 2026-12-01, or 24h ago as 24h")
	return f
}

// read completes the filter.
func (f *filterFlags) read() (err error) {
	if f.before == "" {
		return nil
	}
	if f.Before, err = dlq.ParseBefore(f.before, time.Now()); err != nil {
		return usageError(fmt.Errorf("--before %w", err), "write --before 24h")
	}
	return nil
}

func newDlqShowCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show POOL [ID]",
		Short: "Show dead letters with all that is known of them",
		Long: "show prints dead letters: why they are ones, after how many attempts, on which worker, how the worker\n" +
			"process ended that they were the last to run on, RabbitMQ's own account of them, their headers and the\n" +
			"beginning of their bodies. ID is the message id; a message without one has an id made from its content.",
		Example: "  magne-actors dlq show work\n" +
			"  magne-actors dlq show work 7c9e6679-7425-40de-944b-e07fc1f90ae7\n" +
			"  magne-actors dlq show work --group 1f0c9a3e -n 1 -o json",
		Args: cobra.RangeArgs(1, 2),
	}
	f := addDeadFlags(cmd, lookLimit, lookTimeout)
	filter := addFilterFlags(cmd)
	n := cmd.Flags().IntP("number", "n", 10, "how many messages to show, at most")
	body := cmd.Flags().Int("body", 1024, "how many bytes of each body to show, at most")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *n < 1 || *body < 0 {
			return usageError(fmt.Errorf("-n %d --body %d", *n, *body), "-n takes a number from 1 up, --body one from 0 up")
		}
		if len(args) == 2 {
			filter.IDs = append(filter.IDs, args[1])
		}
		if err := filter.read(); err != nil {
			return err
		}
		return e.withDead(cmd, f, func(ctx context.Context, g *graveyard) error {
			q, err := g.find(args[0], f.asIs)
			if err != nil {
				return err
			}
			return g.show(ctx, q, &filter.Filter, *n, *body)
		})
	}
	return cmd
}

func (g *graveyard) show(ctx context.Context, q deadQueue, filter *dlq.Filter, n, body int) error {
	out, found := []shownLetter{}, 0
	_, err := g.look(ctx, q.Name, func(d *broker.Delivery, l *dlq.Letter) {
		if !filter.Match(l) {
			return
		}
		if found++; len(out) < n {
			out = append(out, shownLetter{Letter: *l, Message: bounded(d, body), Bytes: len(d.Body)})
		}
	})
	if err != nil {
		return err
	}
	var text strings.Builder
	for i := range out {
		out[i].write(&text)
	}
	switch {
	case found == 0 && !filter.Empty():
		return errors.Join(g.e.print(out, ""), failed(exitError, fmt.Errorf("no such dead letter in %s", printable(q.Name)),
			"`magne-actors dlq groups` shows what is there"))
	case found == 0:
		fmt.Fprintf(&text, "no dead letters in %s\n", printable(q.Name))
	case found > len(out):
		fmt.Fprintf(&text, "%d of %d shown: -n shows more\n", len(out), found)
	}
	return g.e.print(out, text.String())
}

// shownLetter is a dead letter as -o json shows it.
type shownLetter struct {
	dlq.Letter
	Bytes   int    `json:"body_bytes"` // of the whole body
	Message peeked `json:"message"`    // with the beginning of it
}

// bounded is a message with the first n bytes of its body, of text none that is not
// whole.
func bounded(d *broker.Delivery, n int) peeked {
	short := *d
	if len(d.Body) > n {
		short.Body = d.Body[:n]
		for cut := n; utf8.Valid(d.Body) && !utf8.Valid(short.Body); cut-- {
			short.Body = d.Body[:cut]
		}
	}
	return show(&short)
}

// write prints a dead letter for people.
func (s *shownLetter) write(b *strings.Builder) {
	line := func(what, format string, args ...any) {
		fmt.Fprintf(b, "   %-9s %s\n", what, harmless(fmt.Sprintf(format, args...)))
	}
	fmt.Fprintf(b, "%s: reason %s, task %s, group %s\n", printable(s.ID), word(s.Reason), word(s.Task), s.Group)
	if s.Error != "" {
		line("error", "%s", s.Error)
	}
	line("tried", "%s on %s, from queue %s, failed first %s", count(s.Attempts, "attempt"), word(s.Node), word(s.Queue), when(s.FirstSeen))
	if s.Replays > 0 {
		line("replayed", "%s, the last time %s; its first reason was %s", count(s.Replays, "time"), when(s.ReplayedAt), word(s.FirstReason))
	}
	if s.Lost > 0 {
		line("lost", "worker processes that died under it: %d", s.Lost)
	}
	for text := range strings.Lines(s.Autopsy) {
		line("autopsy", "%s", strings.TrimRight(text, "\r\n"))
	}
	for _, d := range s.Deaths {
		line("x-death", "%s in queue %s, %s, first %s", d.Reason, d.Queue, count(int(d.Count), "time"), when(d.Time))
	}
	if s.Unreadable {
		line("headers", "cannot be read by this client; the broker has them whole")
	}
	for _, name := range sortedKeys(s.Message.Headers) {
		if value, err := json.Marshal(s.Message.Headers[name]); err == nil && name != "x-death" && name != "x-autopsy" {
			line("header", "%s: %s", printable(name), value)
		}
	}
	switch {
	case s.Message.Body == nil:
		line("body", "%d bytes that are no text", s.Bytes)
	case s.Bytes > len(*s.Message.Body):
		line("body", "%s… (%d bytes)", *s.Message.Body, s.Bytes)
	default:
		line("body", "%s", *s.Message.Body)
	}
}
