package magne_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/magne-actors/magne-actors/actors"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/task"
	"github.com/magne-actors/magne-actors/task/codec"
)

// resize is a handler with typed arguments.
func resize(_ context.Context, a struct {
	Image string
	Width int
},
) error {
	fmt.Println("resizing", a.Image, "to", a.Width)
	return nil
}

func run(ctx context.Context, url string) error {
	mux := task.NewMux()
	mux.Handle("resize", task.Func(resize))
	sys, err := actors.New(actors.Options{
		Dialer: amqp.Dialer{URL: url},
		Pools:  []actors.Pool{{Queue: amqp.QuorumQueue("resize"), Codec: codec.JSON{}, Mux: mux}},
	})
	if err != nil {
		return err
	}
	return sys.Run(ctx) // blocks; the end of ctx is the order to drain
}

// A whole program. It consumes the queue "resize" until SIGTERM or SIGINT.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, "amqp://guest:guest@127.0.0.1:5672/"); err != nil {
		log.Fatal(err)
	}
}
