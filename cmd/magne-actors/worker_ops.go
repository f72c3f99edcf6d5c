package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/internal/control"
)

const slotStatus = "Exit status: 0 it is done, 1 it is not, 2 no such slot or signal, 3 no instance answers."

// operated is what the commands for worker processes print with -o json.
type operated struct {
	Slot   string `json:"slot"`
	Done   string `json:"done"` // signal, restart or kill
	Signal string `json:"signal,omitempty"`
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
		return l.print(operated{args[0], "signal", args[1]}, printable(args[0])+" got "+printable(args[1])+"\n")
	})
	return cmd
}

func newWorkerRestartCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restart SLOT",
		Short: "Put another process in the place of a worker process",
		Long: "restart lets the process of a slot end its tasks, ends it, and starts another one in its place, which\n" +
			"it waits for. It counts as no restart and no loss. For a slot that is down, or whose process hangs,\n" +
			"there are `magne-actors restart SLOT` and `worker kill`.\n\n" + slotStatus,
		Example: "  magne-actors worker restart mail/3",
		Args:    exactly("a slot"),
	}
	e.look(cmd, func(ctx context.Context, l *looker, args []string) error {
		if err := l.client.Recycle(ctx, args[0]); err != nil {
			return l.slotError(ctx, err, args[0])
		}
		return l.print(operated{Slot: args[0], Done: "restart"}, printable(args[0])+" has another process\n")
	})
	return cmd
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
