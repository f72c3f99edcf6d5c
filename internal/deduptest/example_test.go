package deduptest_test

import (
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/internal/deduptest"
	"github.com/magne-actors/magne-actors/task/dedup"
)

func Example() {
	_ = func(t *testing.T) {
		deduptest.Run(t, new(dedup.Memory), func(d time.Duration) { <-time.After(d) })
	}
	// Output:
}
