// Command embed runs Go handlers with magne-actors as a library. It makes small
// pictures from large ones, one for each message in the queue "resize".
//
//	go run ./examples/embed                               everything in code
//	go run ./examples/embed -c examples/embed/magne.yaml  sizes from a file
package main

import (
	"cmp"
	"context"
	"flag"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/magne-actors/magne-actors/actors"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/config"
	"github.com/magne-actors/magne-actors/task"
	"github.com/magne-actors/magne-actors/task/codec"
)

func main() {
	file := flag.String("c", "", "configuration `file`; without it the sizes are those in the code")
	flag.Parse()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := run(*file, log); err != nil {
		log.Error("embed", "err", err)
		os.Exit(1)
	}
}

// run blocks until SIGTERM or SIGINT; running tasks finish first.
func run(file string, log *slog.Logger) error {
	mux := task.NewMux()
	mux.Use(timed(log))
	mux.Handle("resize", task.Func(resize))

	o, err := options(file, log, mux)
	if err != nil {
		return err
	}
	sys, err := actors.New(o)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	return sys.Run(ctx)
}

// options come from a magne.yaml whose pools have no tasks, or from here.
func options(file string, log *slog.Logger, mux *task.Mux) (actors.Options, error) {
	if file != "" {
		f, err := config.Load(file)
		if err != nil {
			return actors.Options{}, err
		}
		return f.Options(log, mux)
	}
	return actors.Options{
		Dialer: amqp.Dialer{URL: cmp.Or(os.Getenv("AMQP_URL"), "amqp://guest:guest@127.0.0.1:5672/")},
		Pools: []actors.Pool{{
			Queue:   amqp.QuorumQueue("resize"),
			Codec:   codec.JSON{},
			Mux:     mux,
			Workers: 4,
			Slots:   2,
			Timeout: 20 * time.Second,
			Retry:   actors.Retry{MaxAttempts: 3, MaxSnoozes: 2},
		}},
		Logger: log,
	}, nil
}

// timed is middleware: it logs every attempt with the time it took.
func timed(log *slog.Logger) task.Middleware {
	return func(next task.Handler) task.Handler {
		return task.HandlerFunc(func(ctx context.Context, m *task.Message) error {
			begin := time.Now()
			err := next.Handle(ctx, m)
			log.Info("attempt", "task", m.Name, "id", m.ID, "attempt", m.Attempt,
				"outcome", task.OutcomeOf(err).Kind, "took", time.Since(begin), "err", err)
			return err
		})
	}
}
