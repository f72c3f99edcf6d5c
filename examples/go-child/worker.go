// Command go-child is a worker process in Go: it counts primes, which takes a CPU
// and is easier to stop as a process.
//
// handlers would be the Mux of a pool with mode thread as well.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/magne-actors/magne-actors/sdk/child"
	"github.com/magne-actors/magne-actors/task"
)

func main() {
	log := slog.New(child.NewLogHandler(nil)) // stderr, where it is no worker process
	if err := child.Serve(context.Background(), handlers(log), child.Options{}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func handlers(log *slog.Logger) *task.Mux {
	mux := task.NewMux()
	mux.Handle("primes", task.Func(func(ctx context.Context, a primesArgs) error { return primes(ctx, log, a) }))
	return mux
}

// primesArgs are the arguments of primes, in this order or by name.
type primesArgs struct {
	UpTo   int    `json:"up_to"`
	Target string `json:"target"` // the file for the count
}

// primes counts the primes up to a number.
func primes(ctx context.Context, log *slog.Logger, a primesArgs) error {
	if a.UpTo < 0 || a.UpTo > 1e8 {
		return task.Discard(errors.New("up_to: want 0 to 100,000,000"))
	}
	composite, count := make([]bool, a.UpTo+1), 0
	for n := 2; n <= a.UpTo; n++ {
		if n%1_000_000 == 0 {
			child.Progress(ctx, float64(n)*100/float64(a.UpTo), "counting")
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		if composite[n] {
			continue
		}
		count++
		for m := n * n; m <= a.UpTo; m += n {
			composite[m] = true
		}
	}
	log.InfoContext(ctx, "counted", "up_to", a.UpTo, "primes", count)
	return os.WriteFile(a.Target, fmt.Appendln(nil, count), 0o600)
}
