package supervisor_test

import (
	"context"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/magne-actors/magne-actors/supervisor"
)

// greeter panics when it is asked to greet nobody.
type greeter struct{ greeted chan<- string }

func (g *greeter) Receive(ctx actor.Context) {
	if name, ok := ctx.Message().(string); ok {
		if name == "" {
			panic("greet whom?")
		}
		g.greeted <- "hello " + name
	}
}

func Example() {
	sys := supervisor.NewSystem(nil)
	defer sys.Close()
	ctx, cancel := context.WithCancel(context.Background())
	greeted, up, down := make(chan string, 1), make(chan *actor.PID, 1), make(chan supervisor.Exit, 2)
	done := make(chan error, 1)
	go func() {
		done <- sys.Run(ctx, "root", supervisor.Spec{Intensity: 3}, supervisor.Child{
			ID:       "greeter",
			Kind:     "worker",
			Producer: func() actor.Actor { return &greeter{greeted} },
			Up:       func(pid *actor.PID, _ int) { up <- pid },
			Down:     func(e supervisor.Exit) { down <- e },
		})
	}()

	sys.Send(<-up, "")
	fmt.Println((<-down).Err)
	sys.Send(<-up, "world")
	fmt.Println(<-greeted)
	cancel()
	fmt.Println(<-done, (<-down).Reason)
	// Output:
	// panic: greet whom?
	// hello world
	// <nil> shutdown
}

// A pool of equal children whose size an operator changes.
func ExampleSystem_Scale() {
	sys := supervisor.NewSystem(nil)
	defer sys.Close()

	up := make(chan string, 2)
	pool := supervisor.Child{
		ID: "pool:mail", Size: 1,
		Supervisor: &supervisor.Spec{Strategy: supervisor.Dynamic},
		Template: func(n int) supervisor.Child {
			id := fmt.Sprintf("mail/%d", n)
			return supervisor.Child{
				ID:       id,
				Producer: func() actor.Actor { return actor.ReceiveFunc(func(actor.Context) {}) },
				Up:       func(*actor.PID, int) { up <- id },
			}
		},
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- sys.Run(ctx, "root", supervisor.Spec{}, pool) }()
	fmt.Println(<-up, "is up")

	if err := sys.Scale(ctx, "pool:mail", 2); err != nil {
		fmt.Println(err)
	}
	fmt.Println(<-up, "is up")

	cancel()
	fmt.Println("stopped:", <-done)
	// Output:
	// mail/1 is up
	// mail/2 is up
	// stopped: <nil>
}
