package dedup_test

import (
	"context"
	"fmt"

	"github.com/magne-actors/magne-actors/task"
	"github.com/magne-actors/magne-actors/task/dedup"
)

func Example() {
	mux := task.NewMux()
	mux.Use(dedup.New(new(dedup.Memory), dedup.Options{}))
	mux.Handle("charge", task.HandlerFunc(func(_ context.Context, m *task.Message) error {
		fmt.Println("charging", m.ID)
		return nil
	}))
	m := &task.Message{ID: "order-17", Name: "charge", Queue: "payments"}
	fmt.Println(mux.Run(context.Background(), m))
	fmt.Println(mux.Run(context.Background(), m)) // delivered again
	// Output:
	// charging order-17
	// <nil>
	// <nil>
}
