package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/internal/treeview"
)

// followFor is how long one request of -w waits.
const followFor = 30 * time.Second

func newEventsCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "events [NODE]",
		Short: "Show what happened to the tree of a running instance",
		Long: "events shows what happened to the nodes of the tree, or to one of them and those below it, oldest\n" +
			"first: started, ended, failed, backoff, killed, abandoned, gave_up, parked, added, removed, and what the\n" +
			"nodes report themselves: connected, connection_lost, blocked, unblocked, consuming, not_consuming,\n" +
			"starved, flowing, task_old, isolated, suspended, draining, limited, quarantined, cleared, convicted (see\n" +
			"docs/process-mode.md), and for each fault of a connection or a consumer one of its own, see\n" +
			"docs/liveness.md. An instance remembers the last 1024 events. With -w it\n" +
			"goes on with those that come; -o json is then one event a line.\n\n" +
			"Exit status: 0 ok, 3 no instance answers.",
		Example: "  magne-actors events\n  magne-actors events mail/3\n  magne-actors events --type failed --type parked\n  magne-actors events -w -o json",
		Args:    atMostOne,
	}
	f := &follower[control.Event]{
		fetch: control.Client.EventsOf, seq: func(e control.Event) uint64 { return e.Seq }, table: treeview.Events,
	}
	l := e.look(cmd, f.once)
	l.appends = true
	l.watched(cmd)
	f.add(cmd)
	cmd.Flags().StringSliceVar(&f.query.Types, "type", nil, "only events of this `type`; may be given several times")
	return cmd
}

// follower shows the entries of a list that grows.
type follower[T any] struct {
	fetch func(control.Client, context.Context, control.Query) ([]T, error)
	seq   func(T) uint64
	table func([]T, treeview.Options) string

	query   control.Query
	begun   bool
	nothing bool // to be shown of what there is already
}

// add adds the flags that both lists have.
func (f *follower[T]) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.query.Node, "node", "", "the same as NODE")
	cmd.Flags().IntVar(&f.query.Tail, "tail", -1, "only the last so many; all that is remembered if below 0")
}

// once shows what there is, and after that what has come since, for which it
// waits.
func (f *follower[T]) once(ctx context.Context, l *looker, args []string) error {
	if err := f.begin(args); err != nil {
		return err
	}
	first := !f.begun
	f.begun = true
	list, err := f.fetch(l.client, ctx, f.query)
	if errors.Is(err, control.ErrBusy) { // then by asking again and again
		pass(ctx, watchEvery)
		f.query.Wait = 0
		list, err = f.fetch(l.client, ctx, f.query)
	}
	if err != nil {
		return err
	}
	if len(list) > 0 {
		f.query.After = f.seq(list[len(list)-1])
	}
	if first && f.nothing {
		list = list[:0]
	}
	f.query.Wait, f.query.Tail = followFor, 0
	o := l.options()
	o.Untitled, o.Steady = !first, *l.watch
	switch {
	case len(list) == 0 && !first:
		return nil
	case *l.watch && l.json():
		return eachLine(l, list)
	case len(list) == 0 && f.query.Node != "" && !*l.watch:
		fmt.Fprintf(l.stderr, "nothing is remembered of %s; magne-actors ps lists the nodes\n", printable(f.query.Node))
	}
	return l.print(list, f.table(list, o))
}

// begin takes the arguments, once.
func (f *follower[T]) begin(args []string) error {
	if f.begun {
		return nil
	}
	if len(args) > 0 {
		if f.query.Node != "" {
			return usageError(errors.New("the node is named twice"), "leave --node out")
		}
		f.query.Node = args[0]
	}
	f.nothing = f.query.Tail == 0
	if f.nothing {
		f.query.Tail = 1 // where it begins
	}
	f.query.Tail = max(f.query.Tail, 0)
	return nil
}

// eachLine prints one value a line, as JSON.
func eachLine[T any](l *looker, list []T) error {
	enc := json.NewEncoder(l.stdout)
	enc.SetEscapeHTML(false)
	for _, v := range list {
		if err := enc.Encode(v); err != nil {
			return err
		}
	}
	return nil
}
