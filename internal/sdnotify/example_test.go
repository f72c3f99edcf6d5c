package sdnotify_test

import (
	"context"
	"fmt"

	"github.com/magne-actors/magne-actors/internal/sdnotify"
)

func Example() {
	sent := make(chan string, 8)
	n := sdnotify.New(sdnotify.Options{
		Up:       func() bool { return true },
		Alive:    func(context.Context) error { return nil }, // for example System.Ping
		Status:   func() string { return "7/8 ready, 3 in flight" },
		Send:     func(state string) (bool, error) { sent <- state; return true, nil },
		Watchdog: -1,
	})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- n.Run(ctx) }()
	fmt.Println(<-sent)
	n.Stopping()
	fmt.Println(<-sent)
	stop()
	fmt.Println(<-ended)
	// Output:
	// READY=1
	// STATUS=7/8 ready, 3 in flight
	// STOPPING=1
	// <nil>
}
