package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/internal/dlq"
)

const (
	lookTimeout = 2 * time.Minute
	lookLimit   = 10_000
	listLimit   = 1_000
)

// deadRow is what dlq list prints with -o json, one for each pool.
type deadRow struct {
	Pool  string `json:"pool"`
	Queue string `json:"queue"`
	Name  string `json:"name"`
	Ready int    `json:"ready"`

	// nil when there are more messages than were to be looked at.
	Oldest *time.Time `json:"oldest"`
	Groups *int       `json:"groups"`
}

func newDlqListCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the pools' queues of dead letters",
		Long: "list shows how many dead letters the pools of the configuration have, when the oldest of them failed\n" +
			"first, and in how many groups they are. The last two are - (null with -o json) for a queue with more\n" +
			"than --limit messages: they need a look at each of them.",
		Example: "  magne-actors dlq list\n  magne-actors dlq list --limit 100000 -o json",
		Args:    noArgs,
	}
	f := addDeadFlags(cmd, listLimit, lookTimeout)
	cmd.Flags().Lookup("as-is").Hidden = true
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if f.url != "" || f.asIs {
			return usageError(errors.New("without a configuration there are no pools"), "`magne-actors dlq groups` and `show` take a queue with --url")
		}
		return e.withDead(cmd, f, func(ctx context.Context, g *graveyard) error { return g.list(ctx) })
	}
	return cmd
}

func (g *graveyard) list(ctx context.Context) error {
	rows := []deadRow{}
	for _, q := range g.deadQueues() {
		row := deadRow{Pool: q.Pool, Queue: q.Work, Name: q.Name}
		err := g.fill(ctx, &row)
		if errors.Is(err, amqp.ErrNoQueue) {
			fmt.Fprintf(g.e.stderr, "queue %s is not declared yet: `magne-actors run` does that\n", printable(q.Name))
			continue
		}
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "POOL\tDEAD LETTERS IN\tREADY\tOLDEST\tGROUPS")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", printable(r.Pool), printable(r.Name), r.Ready, when(r.Oldest), known(r.Groups))
	}
	_ = w.Flush() // into memory
	return g.e.print(rows, b.String())
}

// fill looks at a queue; at all of it or at nothing, which keeps its order.
func (g *graveyard) fill(ctx context.Context, row *deadRow) error {
	counts, err := g.admin.Queue(ctx, row.Name)
	row.Ready = counts.Ready
	if err != nil || counts.Ready > g.limit {
		return buried(err)
	}
	var groups dlq.Groups
	s, err := g.look(ctx, row.Name, func(_ *broker.Delivery, l *dlq.Letter) {
		groups.Add(l)
		if l.FirstSeen != nil && (row.Oldest == nil || l.FirstSeen.Before(*row.Oldest)) {
			row.Oldest = l.FirstSeen
		}
	})
	row.Ready, row.Groups = s.Ready, new(len(groups.List()))
	return err
}

// when is a moment, or - for one that is not known.
func when(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

func newDlqGroupsCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "groups POOL",
		Short: "Group dead letters by what ended them",
		Long: "groups counts the dead letters of a pool by task, reason and error. Errors that differ in numbers and\n" +
			"identifiers only are one: GROUP is what show, replay and drop take as --group. FIRST and LAST\n" +
			"are when the oldest and the newest of its messages failed first, EXAMPLE is the id of one.",
		Example: "  magne-actors dlq groups work\n  magne-actors dlq groups --url amqp://mq/ --as-is orders.dlq -o json",
		Args:    exactly("a pool"),
	}
	f := addDeadFlags(cmd, lookLimit, lookTimeout)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return e.withDead(cmd, f, func(ctx context.Context, g *graveyard) error {
			q, err := g.find(args[0], f.asIs)
			if err != nil {
				return err
			}
			var groups dlq.Groups
			if _, err := g.look(ctx, q.Name, func(_ *broker.Delivery, l *dlq.Letter) { groups.Add(l) }); err != nil {
				return err
			}
			return e.print(groups.List(), groupTable(groups.List()))
		})
	}
	return cmd
}

// maxErrorColumn is how many characters of an error a table shows.
const maxErrorColumn = 60

func groupTable(list []dlq.Group) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "GROUP\tCOUNT\tREASON\tTASK\tFIRST\tLAST\tEXAMPLE\tERROR")
	for _, g := range list {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\n", g.ID, g.Count, word(g.Reason), shortened(cmp.Or(g.Task, "-")),
			when(g.FirstSeen), when(g.LastSeen), word(g.Example), shortened(g.Error))
	}
	_ = w.Flush() // into memory
	return b.String()
}

// word is a name in a table, - for none.
func word(s string) string {
	if s == "" {
		return "-"
	}
	return printable(s)
}

// shortened is an error, or what a publisher called its task, that fits a line.
func shortened(s string) string {
	if r := []rune(s); len(r) > maxErrorColumn {
		s = string(r[:maxErrorColumn-1]) + "…"
	}
	if strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}
