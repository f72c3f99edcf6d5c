package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/internal/treeview"
)

const poolStatus = "Exit status: 0 it is done, 1 it is not, 2 no such pool, 3 no instance answers."

// pooled is what the commands that change a pool print with -o json.
type pooled struct {
	Pool    string `json:"pool"`
	Workers *int   `json:"workers,omitempty"`
	Paused  *bool  `json:"paused,omitempty"`
	High    *int   `json:"high,omitempty"`
	Low     *int   `json:"low,omitempty"`
}

func newScaleCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "scale POOL WORKERS",
		Short: "Give a pool of a running instance another number of workers",
		Long: "scale starts workers, or ends those with the highest numbers, and waits until the new ones are up or\n" +
			"the others down. What runs on them may end first. It lasts until a reload changes the pool, or the next start.\n\n" + poolStatus,
		Example: "  magne-actors scale mail 16",
		Args:    exactly("a pool", "a number of workers"),
	}
	e.look(cmd, func(ctx context.Context, l *looker, args []string) error {
		n, err := strconv.Atoi(args[1])
		if err != nil || n < 1 {
			return usageError(fmt.Errorf("%s is no number of workers", printable(args[1])), "write a number from 1; pause has a pool take nothing")
		}
		pool := poolName(args[0])
		if err := l.client.Scale(ctx, pool, n); err != nil {
			return l.poolError(ctx, err, pool)
		}
		return l.print(pooled{Pool: pool, Workers: &n}, fmt.Sprintf("%s has %s\n", printable(pool), count(n, "worker")))
	})
	return cmd
}

func newPauseCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pause POOL",
		Short: "Have a pool of a running instance take no more tasks",
		Long: "pause has a pool consume nothing until resume: what has not started goes back to its queue, tasks\n" +
			"that run go on. A reload leaves it paused, a start of the instance does not.\n\n" + poolStatus,
		Example: "  magne-actors pause mail\n  magne-actors resume mail",
		Args:    exactly("a pool"),
	}
	e.look(cmd, func(ctx context.Context, l *looker, args []string) error {
		pool := poolName(args[0])
		if err := l.client.Pause(ctx, pool); err != nil {
			return l.poolError(ctx, err, pool)
		}
		return l.print(pooled{Pool: pool, Paused: new(true)}, printable(pool)+" is paused\n")
	})
	return cmd
}

func newResumeCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "resume POOL",
		Short:   "Have a pool of a running instance take tasks again",
		Long:    "resume ends what pause began: the pool consumes again as its watermarks allow.\n\n" + poolStatus,
		Example: "  magne-actors resume mail",
		Args:    exactly("a pool"),
	}
	e.look(cmd, func(ctx context.Context, l *looker, args []string) error {
		pool := poolName(args[0])
		if err := l.client.Resume(ctx, pool); err != nil {
			return l.poolError(ctx, err, pool)
		}
		return l.print(pooled{Pool: pool, Paused: new(false)}, printable(pool)+" takes tasks again\n")
	})
	return cmd
}

func newLimitCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "limit POOL high=N [low=N]",
		Short: "Change the watermarks of a pool of a running instance",
		Long: "limit sets how many deliveries a pool may have in flight before it stops consuming (high), and at how\n" +
			"many it goes on (low; half of high if it is not given). It lasts until a reload changes the pool, or the next start.\n\n" + poolStatus,
		Example: "  magne-actors limit mail high=2000\n  magne-actors limit mail high=2000 low=500",
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return errors.New("a pool is missing")
			case len(args) > 3:
				return fmt.Errorf("unexpected argument %q", args[3])
			}
			_, _, err := watermarks(args[1:])
			return err
		},
	}
	e.look(cmd, func(ctx context.Context, l *looker, args []string) error {
		pool := poolName(args[0])
		high, low, err := watermarks(args[1:])
		if err != nil {
			return err
		}
		if err := l.client.Limit(ctx, pool, high, low); err != nil {
			return l.poolError(ctx, err, pool)
		}
		return l.print(pooled{Pool: pool, High: &high, Low: &low}, fmt.Sprintf("%s stops at %d in flight and goes on at %d\n", printable(pool), high, low))
	})
	return cmd
}

// watermarks reads high=N and low=N, in any order.
func watermarks(args []string) (high, low int, err error) {
	high, low = -1, -1
	for _, arg := range args {
		name, text, _ := strings.Cut(arg, "=")
		n, err := strconv.Atoi(text)
		switch {
		case name != "high" && name != "low":
			return 0, 0, fmt.Errorf("unexpected argument %q: want high=N and low=N", arg)
		case err != nil || n < 0:
			return 0, 0, fmt.Errorf("%s is no number: %q", name, text)
		case name == "high":
			high = n
		default:
			low = n
		}
	}
	switch {
	case high < 0:
		return 0, 0, errors.New("high is missing: write high=N with N from 1")
	case high == 0:
		return 0, 0, errors.New("high is at least 1: pause has a pool take nothing")
	}
	if low < 0 {
		low = min((high+1)/2, high-1) // as in a configuration without it
	}
	if low >= high {
		return 0, 0, fmt.Errorf("low=%d is not below high=%d", low, high)
	}
	return high, low, nil
}

// poolName is the pool that an argument names; the ids of its nodes do, too.
func poolName(arg string) string {
	for _, kind := range []string{"pool:", "router:"} {
		if name, ok := strings.CutPrefix(arg, kind); ok {
			return name
		}
	}
	return arg
}

// poolError says which pools there are, if that was the error.
func (l *looker) poolError(ctx context.Context, err error, pool string) error {
	if !errors.Is(err, control.ErrNotFound) {
		return l.refused(err, "pool:"+pool)
	}
	root, treeErr := l.client.Tree(ctx)
	if treeErr != nil {
		return treeErr
	}
	var names []string
	for _, n := range treeview.Flat(root) {
		if name, ok := strings.CutPrefix(n.ID, "pool:"); ok {
			names = append(names, printable(name))
		}
	}
	return usageError(errors.New("there is no pool "+printable(pool)), "the pools are %s", strings.Join(names, ", "))
}

// refused is an error that the instance has answered, with where to look further.
func (l *looker) refused(err error, node string) error {
	if errors.Is(err, control.ErrUnreachable) || errors.Is(err, control.ErrNotOffered) {
		return err
	}
	return failed(exitError, err, "magne-actors why %s says more", node)
}

// exactly takes so many arguments, and names the first that is missing.
func exactly(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return errors.New(names[len(args)] + " is missing")
		}
		if len(args) > len(names) {
			return fmt.Errorf("unexpected argument %q", args[len(names)])
		}
		return nil
	}
}
