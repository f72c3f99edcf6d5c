package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/internal/dlq"
)

// exported is what dlq export prints with -o json.
type exported struct {
	Queue    string `json:"queue"`
	Ready    int    `json:"ready"`
	LookedAt int    `json:"looked_at"`
	Exported int    `json:"exported"`
	Refused  int    `json:"refused"` // headers that cannot be read
}

func newDlqExportCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export POOL FILE",
		Short: "Write dead letters to a file",
		Long: "export writes dead letters to a new file, one JSON object a line: all properties, the headers with their\n" +
			"AMQP types, and the body in base64. They stay in the queue. FILE - is standard output. Without a filter\n" +
			"it writes all of them.",
		Example: "  magne-actors dlq export work work.jsonl\n  magne-actors dlq export work - --reason decode | jq -r .body_base64",
		Args:    exactly("a pool", "a file"),
	}
	f, filter := addDeadFlags(cmd, moveLimit, moveTimeout), addFilterFlags(cmd)
	cmd.Flags().BoolVar(&filter.All, "all", false, "all of them, as without a filter")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := filter.read(); err != nil {
			return err
		}
		if filter.All && !filter.Empty() {
			return usageError(dlq.ErrAllAndMore, "leave out --all or what filters")
		}
		return e.withDead(cmd, f, func(ctx context.Context, g *graveyard) error {
			q, err := g.find(args[0], f.asIs)
			if err != nil {
				return err
			}
			return g.export(ctx, q, &filter.Filter, args[1])
		})
	}
	return cmd
}

// export writes the file, and removes it again when it is not whole.
func (g *graveyard) export(ctx context.Context, q deadQueue, filter *dlq.Filter, name string) error {
	if name == "-" {
		out, err := g.write(ctx, q, filter, g.e.stdout)
		fmt.Fprint(g.e.stderr, out.text("standard output"))
		return errors.Join(err, out.verdict())
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return failed(exitError, err, "it is not overwritten: name another one")
	}
	if err != nil {
		return err
	}
	out, err := g.write(ctx, q, filter, file)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return errors.Join(g.e.print(out, out.text(printable(name))), out.verdict())
}

func (g *graveyard) write(ctx context.Context, q deadQueue, filter *dlq.Filter, to io.Writer) (exported, error) {
	out := exported{Queue: q.Name}
	w := bufio.NewWriter(to)
	show := newProgress(g.e.stderr, "looking")
	s, err := g.scan(ctx, q.Name, func(t *amqp.Taking, d *broker.Delivery, l *dlq.Letter) error {
		out.LookedAt++
		show.show(out.LookedAt, t.Ready, "%d written", out.Exported)
		if !filter.Match(l) {
			return nil
		}
		if l.Unreadable {
			out.Refused++
			return nil
		}
		line, err := dlq.Encode(d)
		if err != nil {
			return fmt.Errorf("message %q: %w", l.ID, err)
		}
		out.Exported++
		_, err = w.Write(line)
		return err
	}, nil)
	show.end()
	out.Ready, out.LookedAt = s.Ready, s.Seen
	if err = errors.Join(err, w.Flush()); err != nil {
		return out, unmoved(err)
	}
	return out, nil
}

func (o *exported) text(file string) string {
	text := fmt.Sprintf("exported %d of %s in %s to %s\n", o.Exported, count(o.Ready, "message"), printable(o.Queue), file)
	if o.LookedAt < o.Ready {
		text += fmt.Sprintf("   %d were not looked at: --limit looks at more\n", o.Ready-o.LookedAt)
	}
	return text
}

func (o *exported) verdict() error {
	if o.Refused == 0 {
		return nil
	}
	return failed(exitError, fmt.Errorf("%s not exported: %w", count(o.Refused, "message"), dlq.ErrUnreadable), "they are in the queue as before")
}

// imported is what dlq import prints with -o json.
type imported struct {
	Lines    int            `json:"lines"`
	Imported int            `json:"imported"` // confirmed
	Failed   int            `json:"failed"`
	To       map[string]int `json:"to"`
}

func newDlqImportCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Publish dead letters from a file",
		Long: "import publishes what `dlq export` has written, each to the queue that it was in, or to --to. Every\n" +
			"message is mandatory and confirmed. What only a broker may set is not: x-death, whose reason is kept in\n" +
			"x-reason, and the user id. FILE - is standard input. The file is read to its end before anything\n" +
			"is published: a line that cannot be read is named, and then nothing is imported.",
		Example: "  magne-actors dlq import work.jsonl\n  magne-actors dlq import work.jsonl --to magne.v1.dead.other --rate 100/s -o json",
		Args:    exactly("a file"),
	}
	f := addQueueFlags(cmd)
	f.timeout = moveTimeout
	fs := cmd.Flags()
	fs.Lookup("timeout").DefValue = moveTimeout.String()
	to := fs.String("to", "", "the `queue` to publish to (default: the one that they were in)")
	rate := fs.String("rate", "", "at most so many, as 10/s, 600/m or 5/h")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p, err := parsePace(*rate)
		if err != nil {
			return err
		}
		letters, err := e.letters(args[0])
		if err != nil {
			return err
		}
		dead := &deadFlags{queueFlags: f, limit: moveLimit}
		return e.withDead(cmd, dead, func(ctx context.Context, g *graveyard) error { return g.importAll(ctx, letters, *to, p) })
	}
	return cmd
}

// letters reads a file.
func (e *env) letters(name string) ([]*broker.Delivery, error) {
	var text []byte
	var err error
	if name == "-" {
		text, err = io.ReadAll(e.stdin)
		name = "stdin"
	} else if text, err = os.ReadFile(name); err != nil {
		err = usageError(err, "FILE is what `magne-actors dlq export` has written")
	}
	if err != nil {
		return nil, err
	}
	var all []*broker.Delivery
	number := 0
	for line := range bytes.Lines(text) {
		if number++; len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		d, err := dlq.Decode(line)
		if err != nil {
			return nil, usageError(fmt.Errorf("%s:%d: %w", name, number, err), "nothing was imported; a line is what `magne-actors dlq export` has written")
		}
		all = append(all, d)
	}
	return all, nil
}

// importAll publishes letters, and waits for the confirms.
func (g *graveyard) importAll(ctx context.Context, letters []*broker.Delivery, to string, p *pace) error {
	out := imported{Lines: len(letters), To: map[string]int{}}
	copies := make([]*broker.Publication, len(letters))
	for i, d := range letters {
		queue := cmp.Or(to, d.Queue)
		if queue == "" {
			return usageError(fmt.Errorf("message %q does not say which queue it was in", dlq.IDOf(d)), "--to says it; nothing was imported")
		}
		var err error
		if copies[i], err = dlq.Copy(d, queue); err != nil {
			return err
		}
	}
	session, err := g.dial.Dial(ctx)
	if err != nil {
		return unreachable(g.file, err)
	}
	defer session.Close(g.ctx) //nolint:errcheck,contextcheck // every confirm that matters is in, and this outlasts the command
	show := newProgress(g.e.stderr, "importing")
	m := newMover(session, p, func(tag uint64) error {
		out.To[copies[tag].RoutingKey]++
		return nil
	})
	for i, c := range copies {
		if err = m.publish(ctx, uint64(i), c); err != nil {
			break
		}
		show.show(i+1, len(copies), "%d confirmed", m.done)
	}
	err = m.finish(g.ctx, err) //nolint:contextcheck // it outlasts the command
	show.end()
	out.Imported, out.Failed = m.done, m.bad
	return errors.Join(g.e.print(out, fmt.Sprintf("imported %d of %s\n", out.Imported, count(out.Lines, "message"))), unmoved(err))
}
