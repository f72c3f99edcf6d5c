package task_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/magne-actors/magne-actors/task"
)

type resizeArgs struct {
	Path  string
	Width int `json:"width"`
}

func Example() {
	mux := task.NewMux()
	mux.Use(func(next task.Handler) task.Handler {
		return task.HandlerFunc(func(ctx context.Context, m *task.Message) error {
			err := next.Handle(ctx, m)
			fmt.Printf("%s attempt %d: %v %v\n", m.Name, m.Attempt, task.OutcomeOf(err).Kind, err)
			return err
		})
	})
	mux.Handle("resize", task.Func(func(_ context.Context, a resizeArgs) error {
		if a.Width == 0 {
			return task.Discard(errors.New("no width"))
		}
		return nil
	}))

	for _, args := range []string{`["a.png", 640]`, `["a.png"]`, `["a.png", "wide"]`} {
		_ = mux.Run(context.Background(), &task.Message{Name: "resize", Args: []byte(args), Attempt: 1})
	}
	// Output:
	// resize attempt 1: done <nil>
	// resize attempt 1: discard no width
	// resize attempt 1: discard task "resize": argument 2 (Width): want int, got string
}

func ExampleRetry() {
	err := task.Retry(errors.New("the API is busy"), 30*time.Second)
	o := task.OutcomeOf(fmt.Errorf("charge: %w", err))
	fmt.Println(o.Kind, o.After, o.Err)
	// Output: retry 30s charge: the API is busy
}
