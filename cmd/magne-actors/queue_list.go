package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/broker/amqp"
)

func newQueueListCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list [QUEUE...]",
		Short: "List queues with their messages and consumers",
		Long: "list shows the named queues, or those of the pools of the configuration with their dead letters.\n" +
			"READY messages wait in the queue, UNACKED ones are delivered and not settled: AMQP cannot tell\n" +
			"how many, and so they are - (null with -o json) but for the embedded broker and where a management\n" +
			"API is named. --all lists every queue of the broker and needs one of these two as well.",
		Example: "  magne-actors queue list\n" +
			"  magne-actors queue list --url amqp://mq/ mail mail.retry -o json\n" +
			"  magne-actors queue list --all --management http://guest:guest@127.0.0.1:15672/",
	}
	f := addQueueFlags(cmd)
	f.addDetailFlags(cmd)
	all := cmd.Flags().Bool("all", false, "all queues of the broker")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *all {
			if len(args) > 0 {
				return usageError(errors.New("names beside --all"), "one or the other")
			}
			return e.listAll(cmd, f)
		}
		if f.url != "" && len(args) == 0 {
			return usageError(errors.New("no queue named"), "name the queues, or list --all of them: without a configuration there are no pools")
		}
		return e.withQueues(cmd, f, func(ctx context.Context, q *queues) error { return q.list(ctx, args) })
	}
	return cmd
}

// listAll asks those who know of all queues, and not the broker itself.
func (e *env) listAll(cmd *cobra.Command, f *queueFlags) error {
	q, err := e.queues(f)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
	defer cancel()
	return within(ctx, f.timeout, func(ctx context.Context) error {
		all, err := q.all(ctx)
		if errors.Is(err, errNobodyToAsk) {
			return usageError(err, "name the queues; or name who can tell: for RabbitMQ its management API with --management\n"+
				"  http://user:password@host:15672/ (broker.management in the configuration), for an embedded broker --socket")
		}
		if err != nil {
			return err
		}
		q.complete(ctx, all)
		return e.printQueues(all)
	})
}

// complete asks the broker for what the management API does not know yet: the
// counts of queues that are some seconds old.
func (q *queues) complete(ctx context.Context, rows []queueDetails) {
	unknown := func(d queueDetails) bool { return d.Ready == nil }
	if !slices.ContainsFunc(rows, unknown) || q.connect(ctx) != nil {
		return
	}
	defer q.admin.Close(ctx)
	for i, row := range rows {
		if !unknown(row) {
			continue
		}
		if counts, err := q.admin.Queue(ctx, row.Name); err == nil {
			rows[i].Ready, rows[i].Consumers = &counts.Ready, &counts.Consumers
		}
	}
}

// list prints the named queues, or those of the pools. Of the latter those that
// are not declared yet are left out, with a word about it.
func (q *queues) list(ctx context.Context, names []string) error {
	own := len(names) == 0
	if own {
		names = q.poolQueues()
	}
	rows := []queueDetails{}
	var errs []error
	for _, name := range names {
		counts, err := q.admin.Queue(ctx, name)
		switch {
		case err == nil:
			rows = append(rows, queueDetails{Name: name, Ready: &counts.Ready, Consumers: &counts.Consumers})
		case own && errors.Is(err, amqp.ErrNoQueue):
			fmt.Fprintf(q.e.stderr, "queue %s is not declared yet: `magne-actors run` does that\n", name)
		default:
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	q.fill(ctx, rows)
	return errors.Join(q.e.printQueues(rows), refused(errors.Join(errs...)))
}

// fill adds what AMQP cannot tell, if somebody can. The counts of AMQP stay: those
// of the management API are older.
func (q *queues) fill(ctx context.Context, rows []queueDetails) {
	if len(rows) == 0 {
		return
	}
	all, err := q.all(ctx)
	if err != nil {
		if q.f.socket+q.managementURL() != "" { // somebody has said who knows
			fmt.Fprintf(q.e.stderr, "without unacked messages: %v\n", err)
		}
		return
	}
	byName := make(map[string]queueDetails, len(all))
	for _, d := range all {
		byName[d.Name] = d
	}
	for i, row := range rows {
		d, found := byName[row.Name]
		if !found {
			continue
		}
		d.Ready, d.Consumers = row.Ready, row.Consumers
		rows[i] = d
	}
}

func (e *env) printQueues(rows []queueDetails) error {
	if rows == nil {
		rows = []queueDetails{}
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "QUEUE\tREADY\tUNACKED\tCONSUMERS")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", printable(r.Name), known(r.Ready), known(r.Unacked), known(r.Consumers))
	}
	_ = w.Flush() // into memory
	return e.print(rows, b.String())
}

// known is a number, or - for one that is not known.
func known(n *int) string {
	if n == nil {
		return "-"
	}
	return strconv.Itoa(*n)
}

// printable is a name without what a terminal would take for commands.
func printable(name string) string {
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` || name == "" {
		return quoted
	}
	return name
}

func newQueueShowCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show QUEUE",
		Short: "Show all that is known of a queue",
		Long: "show prints how many messages and consumers a queue has; and for the embedded broker, or where a\n" +
			"management API is named, its type and arguments and what is delivered and not settled.",
		Example: "  magne-actors queue show work\n  magne-actors queue show magne.v1.dead.work -o json",
		Args:    exactly("a queue"),
	}
	f := addQueueFlags(cmd)
	f.addDetailFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return e.withQueues(cmd, f, func(ctx context.Context, q *queues) error {
			counts, err := q.admin.Queue(ctx, args[0])
			if err != nil {
				return refused(err)
			}
			rows := []queueDetails{{Name: args[0], Ready: &counts.Ready, Consumers: &counts.Consumers}}
			q.fill(ctx, rows)
			return e.print(rows[0], rows[0].text())
		})
	}
	return cmd
}

// text is one line for each thing that is known.
func (d *queueDetails) text() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	line := func(what, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", what, value)
		}
	}
	line("queue", printable(d.Name))
	line("type", d.Type)
	line("state", d.State)
	line("ready", known(d.Ready))
	line("unacked", cmp.Or(strings.Trim(known(d.Unacked), "-"), "- (AMQP cannot tell)"))
	line("consumers", known(d.Consumers))
	for _, flag := range []struct {
		what string
		set  *bool
	}{{"durable", d.Durable}, {"auto-delete", d.AutoDelete}, {"exclusive", d.Exclusive}} {
		if flag.set != nil {
			line(flag.what, strconv.FormatBool(*flag.set))
		}
	}
	for _, name := range sortedKeys(d.Arguments) {
		value, err := json.Marshal(d.Arguments[name])
		if err == nil {
			line(printable(name), string(value))
		}
	}
	_ = w.Flush() // into memory
	return b.String()
}
