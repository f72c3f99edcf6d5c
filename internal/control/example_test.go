package control_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/supervisor"
)

func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "magne.sock")

	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		ended <- control.Serve(ctx, socket, control.Source{
			Version: "0.1.0",
			Tree:    func() *supervisor.Node { return &supervisor.Node{ID: "root", Kind: "root", State: "up"} },
		}, nil)
	}()

	client := control.Client{Socket: socket}
	status, err := client.Status(ctx)
	for errors.Is(err, control.ErrUnreachable) { // it is only just starting
		status, err = client.Status(ctx)
	}
	if err != nil {
		panic(err)
	}
	fmt.Println(status.Version, status.Health)

	stop()
	fmt.Println(<-ended)
	// Output:
	// 0.1.0 healthy
	// <nil>
}
