package main

import (
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/actors"
)

// The broker is asked when a pool that has room got nothing since the last look, and
// every 10 s in any case.
func TestQuiet(t *testing.T) {
	pool := func(delivered int64) actors.PoolStats {
		return actors.PoolStats{Pool: "p", Consuming: true, Delivered: delivered}
	}
	paused, away := pool(9), pool(9)
	paused.Paused, away.Consuming = true, false
	var q quiet
	now := time.Unix(1_000_000, 0)
	for i, step := range []struct {
		pass time.Duration
		pool actors.PoolStats
		want bool
	}{
		{0, pool(0), true}, // never asked
		{time.Second, pool(5), false},
		{time.Second, pool(9), false},
		{time.Second, pool(9), true},
		{time.Second, pool(9), true},
		{time.Second, paused, false},
		{time.Second, away, false},
		{7 * time.Second, pool(10), false},
		{time.Second, pool(11), true}, // 10 s after the last time
		{time.Second, pool(12), false},
	} {
		now = now.Add(step.pass)
		if got := q.due(now, []actors.PoolStats{step.pool}); got != step.want {
			t.Errorf("step %d: due is %v, want %v", i, got, step.want)
		}
	}
}
