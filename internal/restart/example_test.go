package restart_test

import (
	"fmt"
	"time"

	"github.com/magne-actors/magne-actors/internal/restart"
)

func Example() {
	now := time.Unix(0, 0)
	window := restart.NewWindow(3, time.Minute)
	series := restart.Series{Backoff: restart.Backoff{Initial: 100 * time.Millisecond, Max: 300 * time.Millisecond}}
	for window.Add(now) {
		wait := series.Next(now, 0.5)
		fmt.Println("restart in", wait)
		now = now.Add(wait)
	}
	fmt.Println("give up")
	// Output:
	// restart in 100ms
	// restart in 200ms
	// restart in 300ms
	// give up
}
