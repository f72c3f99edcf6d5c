package child_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/magne-actors/magne-actors/sdk/child"
	"github.com/magne-actors/magne-actors/task"
)

// The main function of a worker. Run by hand it says what it is.
func Example() {
	log := slog.New(child.NewLogHandler(nil))
	type args struct {
		Path  string
		Width int
	}
	mux := task.NewMux()
	mux.Handle("resize", task.Func(func(ctx context.Context, a args) error {
		if a.Width <= 0 {
			return task.Discard(errors.New("no width"))
		}
		child.Progress(ctx, 50, "half of it")
		log.InfoContext(ctx, "resized", "path", a.Path)
		return ctx.Err()
	}))
	err := child.Serve(context.Background(), mux, child.Options{Concurrency: 4})
	fmt.Println(errors.Is(err, child.ErrByHand) || errors.Is(err, child.ErrNotSupported))
	// Output: true
}

// In a task the record goes to the log of magne-actors, with the id of the task;
// elsewhere to the handler that it is given.
func ExampleNewLogHandler() {
	outside := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})
	log := slog.New(child.NewLogHandler(outside))
	log.InfoContext(context.Background(), "connected", "db", "images")
	// Output: level=INFO msg=connected db=images
}
