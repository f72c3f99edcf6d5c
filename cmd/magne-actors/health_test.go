package main

import (
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/actors"
	"github.com/magne-actors/magne-actors/internal/health"
)

// The broker is asked when a pool that has room gets nothing any more, for 10 s, or for
// as long as something waits; and every 10 s in any case.
func TestQuiet(t *testing.T) {
	pool := func(delivered int64) actors.PoolStats {
		return actors.PoolStats{Pool: "p", Consuming: true, Delivered: delivered}
	}
	paused, away := pool(9), pool(9)
	paused.Paused, away.Consuming = true, false
	answer := func(ready int) *health.Answer {
		return &health.Answer{Queues: map[string]health.Queue{"a": {Ready: ready}, "b": {}}}
	}
	var q quiet
	now := time.Unix(1_000_000, 0)
	for i, step := range []struct {
		pass   time.Duration
		pool   actors.PoolStats
		want   bool
		answer *health.Answer
	}{
		{0, pool(0), true, nil}, // never asked
		{time.Second, pool(5), false, nil},
		{time.Second, pool(9), false, nil},
		{time.Second, pool(9), true, nil},
		{time.Second, pool(9), true, answer(0)},
		{time.Second, paused, false, nil},
		{time.Second, away, false, nil},
		{time.Second, pool(9), true, nil},
		{5 * time.Second, pool(9), true, nil}, // 10 s after the last delivery
		{time.Second, pool(9), false, nil},
		{9 * time.Second, pool(9), true, answer(1)},
		{time.Second, pool(9), true, answer(0)}, // something waits
		{time.Second, pool(9), false, nil},
		{time.Second, pool(10), false, nil},
		{time.Second, pool(10), true, nil},
	} {
		now = now.Add(step.pass)
		if got := q.due(now, []actors.PoolStats{step.pool}); got != step.want {
			t.Errorf("step %d: due is %v, want %v", i, got, step.want)
		}
		if step.answer != nil {
			q.answered(*step.answer)
		}
	}
}
