package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/internal/control"
)

// canceled is what cancel prints with -o json.
type canceled struct {
	ID        string `json:"id"`
	Cancelled int    `json:"cancelled"` // tasks
}

func newCancelCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cancel TASK",
		Short: "Cancel a task that a running instance runs",
		Long: "cancel ends the context of the running tasks with that id, which tasks shows; in a worker process the\n" +
			"task is told, and its process killed if that does not help. The message goes to the dead-letter queue\n" +
			"with the reason cancelled, and is not tried again. A task that heeds no context runs on.\n\n" +
			"Exit status: 0 it is told, 1 it cannot be, 2 no such task runs, 3 no instance answers.",
		Example: "  magne-actors tasks\n  magne-actors cancel 6f1c3a52-9d0e-4c55-a0f1-2f6f3a3f7a1e\n  magne-actors cancel mail#17",
		Args:    exactly("the id of a task"),
	}
	e.look(cmd, func(ctx context.Context, l *looker, args []string) error {
		id := args[0]
		n, err := l.client.Cancel(ctx, id)
		switch {
		case errors.Is(err, control.ErrNotFound), err == nil && n == 0:
			return usageError(errors.New("no task that runs has the id "+printable(id)), "magne-actors tasks lists those that run")
		case errors.Is(err, control.ErrUnreachable), errors.Is(err, control.ErrNotOffered):
			return err
		case err != nil:
			return failed(exitError, err, "magne-actors tasks says what runs")
		}
		return l.print(canceled{id, n}, fmt.Sprintf("%s is cancelled: %s\n", printable(id), count(n, "task")))
	})
	return cmd
}
