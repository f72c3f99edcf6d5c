package e2e_test

import (
	"fmt"
	"testing"

	"github.com/magne-actors/magne-actors/supervisor"
)

// TestWatermarks: in flight never exceeds high, and the pool pauses there and
// goes on at low, many times, until all is done.
func TestWatermarks(t *testing.T) {
	r, queue := begin(t)
	const published, high, low = 10_000, 1000, 400
	s := setup{url: r.url, pools: fmt.Sprintf(`p:
  queue: %s
  workers: 8
  slots: 125
  watermarks: {high: %d, low: %d}
  tasks: {nap: {builtin: sleep}}
`, queue, high, low)}
	// The tasks are there before the consumer, so that it is never the publisher
	// that sets the pace.
	a := start(t, s) // declares the queue
	a.stop()
	magneIn(t, a.dir, nil, nil, "publish", "-c", a.config, "-n", fmt.Sprint(published), "nap", "0.3").want(t, 0)
	a.again(t, s)
	a.until("answers", func(*supervisor.Node, int) bool { return true })
	peak, pauses, looks := 0, 0, 0
	eventually(t, "all tasks done", func() (bool, any) {
		a.running()
		root, _ := a.tree()
		n := find(root, "router:p")
		if n == nil {
			t.Fatal("the tree has no router:p")
		}
		if number(n.High) != high || number(n.Low) != low {
			t.Fatalf("watermarks: got %d and %d, want %d and %d", number(n.High), number(n.Low), high, low)
		}
		looks++
		peak, pauses = max(peak, number(n.InFlight), number(n.Peak)), number(n.Pauses)
		if *n.Paused && n.State != "paused" {
			t.Fatalf("paused, but its state is %s", n.State)
		}
		return number(n.Settled) == published, fmt.Sprintf("settled %d", number(n.Settled))
	})
	t.Logf("%d looks: peak in flight %d, %d pauses", looks, peak, pauses)
	if peak > high {
		t.Errorf("peak in flight: got %d, want at most %d", peak, high)
	}
	if pauses < 1 {
		t.Error("it has never paused")
	}
	// All is done although it had paused: it went on each time.
	if root, code := a.tree(); code != 0 || *find(root, "router:p").Paused {
		t.Errorf("at the end: exit code %d, paused %v", code, *find(root, "router:p").Paused)
	}
	a.stop()
}
