package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/config"
)

func newQueueCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "queue",
		Short: "Look at queues and change them",
		Long: "queue looks at the queues of a broker and changes them, by AMQP and so alike for RabbitMQ and for\n" +
			"the embedded broker. The broker is that of the configuration, or the one that --url names.\n\n" +
			"Exit status: 0 ok, 1 no such queue, locked, in use or otherwise refused, 2 usage,\n" +
			"3 the broker cannot be reached, 75 it has not answered in time.",
		Example: "  magne-actors queue list\n  magne-actors queue peek work -n 3",
		Args:    noSuchCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },

		SuggestionsMinimumDistance: 2,
	}
	cmd.AddCommand(newQueueListCmd(e), newQueueShowCmd(e), newQueuePeekCmd(e), newQueuePurgeCmd(e), newQueueDeclareCmd(e), newQueueDeleteCmd(e))
	return cmd
}

// queueFlags say which broker is meant.
type queueFlags struct {
	file, url, management, socket string
	timeout                       time.Duration
}

// addQueueFlags adds the flags that all of them have.
func addQueueFlags(cmd *cobra.Command) *queueFlags {
	f := &queueFlags{}
	file := addConfigFlag(cmd)
	fs := cmd.Flags()
	fs.StringVar(&f.url, "url", "", "broker `url` to use instead of a configuration")
	fs.DurationVar(&f.timeout, "timeout", 30*time.Second, "how long the whole command may take")
	cmd.MarkFlagsMutuallyExclusive("url", "config")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		f.file = *file
		if f.timeout <= 0 {
			return fmt.Errorf("--timeout %v: want more than 0", f.timeout)
		}
		return nil
	}
	return f
}

// addDetailFlags adds those of the commands that show what AMQP cannot tell.
func (f *queueFlags) addDetailFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.management, "management", "", "`url` of RabbitMQ's management API (default: broker.management)")
	cmd.Flags().StringVar(&f.socket, "socket", "", "control socket of the embedded broker (default: as run and broker with the same -c)")
}

// queues is a broker, and what the configuration says of its queues.
type queues struct {
	e     *env
	f     *queueFlags
	file  *config.File // nil with --url
	dial  amqp.Dialer
	admin *amqp.Admin
}

// withQueues connects to the broker for the time of do.
func (e *env) withQueues(cmd *cobra.Command, f *queueFlags, do func(context.Context, *queues) error) error {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	q, err := e.queues(f)
	if err != nil {
		return err
	}
	return within(ctx, f.timeout, func(ctx context.Context) error {
		if err := q.connect(ctx); err != nil {
			return err
		}
		defer q.admin.Close(ctx)
		return do(ctx, q)
	})
}

// queues finds the broker; it connects to nothing.
func (e *env) queues(f *queueFlags) (*queues, error) {
	q := &queues{e: e, f: f}
	if f.url != "" {
		if !plausibleURL(f.url) {
			return nil, errURL()
		}
		q.dial = amqp.Dialer{URL: f.url}
	} else {
		var err error
		if q.file, err = e.read(f.file); err != nil {
			return nil, err
		}
		if q.dial, err = q.file.AMQP(nil); err != nil {
			return nil, err
		}
	}
	q.dial.ConnectionName = "magne-actors queue"
	return q, nil
}

func (q *queues) connect(ctx context.Context) (err error) {
	if q.admin, err = q.dial.Admin(ctx); err != nil {
		return unreachable(q.file, err)
	}
	return nil
}

// poolQueues are the queues of the pools and those of their dead letters.
func (q *queues) poolQueues() []string {
	var names []string
	seen := map[string]bool{}
	for i := range q.file.Pools {
		own := q.file.Pools[i].BrokerQueue()
		for b := &own; b != nil; b = b.Dead {
			if !seen[b.Name] {
				seen[b.Name] = true
				names = append(names, b.Name)
			}
		}
	}
	return names
}

// refused gives what the broker has against an operation a hint.
func refused(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, amqp.ErrNoQueue):
		return failed(exitError, err, "`magne-actors run` declares the queues of its pools, `magne-actors queue declare` any other; or check the name")
	case errors.Is(err, amqp.ErrLocked):
		return failed(exitError, err, "it belongs to another connection alone and ends with it, or only its single active consumer may read it")
	case errors.Is(err, amqp.ErrConflict):
		return failed(exitError, err, "`magne-actors queue show` shows how it is")
	case errors.Is(err, amqp.ErrLost):
		return failed(exitTemporary, err, "try again: the broker may have done it or not")
	case errors.Is(err, broker.ErrDenied):
		return failed(exitError, err, "the user of the broker's URL lacks a permission; --url or MAGNE_BROKER_URL names another")
	}
	return err
}
