package main

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/internal/treeview"
)

func newEventsCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "events [NODE]",
		Short: "Show what happened to the tree of a running instance",
		Long: "events shows what happened to the nodes of the tree, or to one of them, oldest first: started, ended,\n" +
			"failed, backoff, killed, abandoned, gave_up, parked, added, removed. An instance remembers the last\n" +
			"1024 events. With -w it goes on with those that come; -o json is then one event a line.\n\n" +
			"Exit status: 0 ok, 3 no instance answers.",
		Example: "  magne-actors events\n  magne-actors events mail/3\n  magne-actors events -w -o json",
		Args:    atMostOne,
	}
	seen, titled := uint64(0), false
	l := e.look(cmd, func(ctx context.Context, l *looker, args []string) error {
		list, err := l.client.Events(ctx, seen)
		if err != nil {
			return err
		}
		if len(list) > 0 {
			seen = list[len(list)-1].Seq
		}
		if len(args) > 0 {
			list = slices.DeleteFunc(list, func(e control.Event) bool { return e.ID != args[0] })
		}
		if !*l.watch {
			return l.print(list, treeview.Events(list, l.options()))
		}
		o := l.options()
		o.Untitled = titled
		titled = true
		return l.more(list, o)
	})
	l.watched(cmd)
	l.appends = true
	return cmd
}

// more prints events after others.
func (l *looker) more(list []control.Event, o treeview.Options) error {
	if !l.json() {
		return l.print(list, treeview.Events(list, o))
	}
	enc := json.NewEncoder(l.stdout)
	enc.SetEscapeHTML(false)
	for _, e := range list {
		if err := enc.Encode(e); err != nil {
			return err
		}
	}
	return nil
}
