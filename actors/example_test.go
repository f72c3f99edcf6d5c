package actors_test

import (
	"context"
	"fmt"
	"log"

	"github.com/magne-actors/magne-actors/actors"
	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/fakebroker"
	"github.com/magne-actors/magne-actors/task"
	"github.com/magne-actors/magne-actors/task/codec"
)

// A program with a handler of its own. Against RabbitMQ the Dialer is an
// amqp.Dialer and the queue an amqp.QuorumQueue.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	mux := task.NewMux()
	mux.Handle("greet", task.Func(func(_ context.Context, who struct{ Name string }) error {
		fmt.Println("hello,", who.Name)
		stop() // the end of ctx is the order to drain
		return nil
	}))
	b := fakebroker.New()
	b.Put("greetings", broker.Publication{Body: []byte(`{"task": "greet", "kwargs": {"name": "world"}}`)})

	s, err := actors.New(actors.Options{
		Dialer: b,
		Pools: []actors.Pool{{
			Queue: broker.Queue{Name: "greetings", Dead: &broker.Queue{Name: "greetings.dead"}},
			Codec: codec.JSON{},
			Mux:   mux, Workers: 2, Slots: 100,
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := s.Run(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(b.Acked(), "acked")
	// Output:
	// hello, world
	// 1 acked
}
