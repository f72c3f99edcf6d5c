package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/internal/treeview"
	"github.com/magne-actors/magne-actors/supervisor"
)

const slotStatus = "Exit status: 0 it is done, 1 it is not, 2 no such slot or signal, 3 no instance answers."

// operated is what the commands for worker processes print with -o json.
type operated struct {
	Slot   string   `json:"slot"` // or the pool of Slots
	Done   string   `json:"done"` // signal, restart or kill
	Signal string   `json:"signal,omitempty"`
	Slots  []string `json:"slots,omitempty"`
}

// workerOps are the subcommands of worker that act on the processes of a running
// instance.
func workerOps(e *env) []*cobra.Command {
	return []*cobra.Command{newWorkerSignalCmd(e), newWorkerRestartCmd(e), newWorkerKillCmd(e)}
}

func newWorkerSignalCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "signal SLOT SIGNAL",
		Short: "Send a signal to a worker process",
		Long: "signal sends a signal, by its name or number, to the process of a slot: to make it dump its stacks,\n" +
			"or open its log again. To end one, use restart or kill.\n\n" + slotStatus,
		Example: "  magne-actors worker signal mail/3 USR1",
		Args:    exactly("a slot", "a signal"),
	}
	e.look(cmd, func(ctx context.Context, l *looker, args []string) error {
		if _, err := control.ParseSignal(args[1]); err != nil {
			return usageError(err, "kill -l lists them")
		}
		if err := l.client.Signal(ctx, args[0], args[1]); err != nil {
			return l.slotError(ctx, err, args[0])
		}
		return l.print(operated{Slot: args[0], Done: "signal", Signal: args[1]}, printable(args[0])+" got "+printable(args[1])+"\n")
	})
	return cmd
}

func newWorkerRestartCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restart SLOT|POOL",
		Short: "Put other processes in the place of worker processes, without a gap",
		Long: "restart starts another process for a slot and waits until it is ready; then the old one ends its tasks\n" +
			"and exits. It counts as no restart and no loss. With the name of a pool it does so for each of its slots,\n" +
			"one after the other, and stops at the first one whose new process does not get ready: the old ones stay.\n" +
			"This is how a pool gets a new version of its program. For a slot that is down, or whose process hangs,\n" +
			"there are `magne-actors restart SLOT` and `worker kill`.\n\n" + slotStatus,
		Example: "  magne-actors worker restart mail/3\n  magne-actors worker restart mail",
		Args:    exactly("a slot or a pool"),
	}
	e.look(cmd, func(ctx context.Context, l *looker, args []string) error {
		root, err := l.client.Tree(ctx)
		if err != nil {
			return err
		}
		if slots := slotsOf(root, poolName(args[0])); len(slots) > 0 {
			return l.roll(ctx, poolName(args[0]), slots)
		}
		if err := l.client.Recycle(ctx, args[0]); err != nil {
			return l.slotError(ctx, err, args[0])
		}
		return l.print(operated{Slot: args[0], Done: "restart"}, printable(args[0])+" has another process\n")
	})
	return cmd
}

// slotsOf are the slots of a pool with mode process, in all copies of it; nil if the
// pool is none.
func slotsOf(root *supervisor.Node, pool string) []string {
	var ids []string
	for _, p := range treeview.Flat(root) {
		if base, _ := control.CutCopy(p.ID); p.Kind != "pool" || p.ID != "pool:"+pool && base != "pool:"+pool {
			continue
		}
		for _, n := range treeview.Flat(p) {
			if n.Kind == "slot" {
				ids = append(ids, n.ID)
			}
		}
	}
	return ids
}

// roll replaces the processes of a pool. A slot that the load has taken away
// meanwhile is none any more.
func (l *looker) roll(ctx context.Context, pool string, slots []string) error {
	done := operated{Slot: pool, Done: "restart"}
	for _, id := range slots {
		switch err := l.client.Recycle(ctx, id); {
		case errors.Is(err, control.ErrNotFound):
		case err != nil:
			return l.refused(fmt.Errorf("%d of %d processes were replaced: %w", len(done.Slots), len(slots), err), id)
		default:
			done.Slots = append(done.Slots, id)
		}
	}
	return l.print(done, printable(pool)+": "+count(len(done.Slots), "slot")+" with another process\n")
}

func newWorkerKillCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kill SLOT",
		Short: "Kill a worker process, with all that it has started",
		Long: "kill ends the process of a slot and those that it has started at once. Its supervisor starts another\n" +
			"one, and what it ran is tried again as after a crash.\n\n" + slotStatus,
		Example: "  magne-actors worker kill mail/3",
		Args:    exactly("a slot"),
	}
	e.look(cmd, func(ctx context.Context, l *looker, args []string) error {
		if err := l.client.Kill(ctx, args[0]); err != nil {
			return l.slotError(ctx, err, args[0])
		}
		return l.print(operated{Slot: args[0], Done: "kill"}, printable(args[0])+" is killed\n")
	})
	return cmd
}

// slotError says which slots there are, if that was the error.
func (l *looker) slotError(ctx context.Context, err error, slot string) error {
	if errors.Is(err, control.ErrNotFound) {
		return l.notFound(ctx, err, slot)
	}
	return l.refused(err, slot)
}
