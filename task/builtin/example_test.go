package builtin_test

import (
	"context"
	"fmt"

	"github.com/magne-actors/magne-actors/task"
	"github.com/magne-actors/magne-actors/task/builtin"
)

func Example() {
	mux := task.NewMux()
	for _, name := range builtin.Names() {
		h, err := builtin.New(name)
		if err != nil {
			fmt.Println(err)
			return
		}
		mux.Handle(name, h)
	}
	err := mux.Run(context.Background(), &task.Message{Name: "fail", Args: []byte(`["out of paper", "discard"]`)})
	fmt.Println(task.OutcomeOf(err).Kind, err)
	// Output: discard out of paper
}
