// Command node runs a private RabbitMQ for the demo: it prints the URL on the
// first line of its output when the node accepts connections, and stops the node
// at SIGTERM, SIGINT, or when its standard input ends.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/magne-actors/magne-actors/internal/testenv"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	node, err := testenv.Start(ctx, testenv.Options{})
	if err != nil {
		return err
	}
	fmt.Println(node.URL)
	go func() { // ends with the process at the latest
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	<-ctx.Done()
	return node.Stop()
}
