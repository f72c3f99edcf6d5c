package e2e_test

import (
	"fmt"
	"testing"
)

// TestWatermarks: in flight never exceeds high, and the pool pauses there and
// goes on at low, many times, until all is done.
func TestWatermarks(t *testing.T) {
	r, queue := begin(t)
	const published, high, low = 10_000, 1000, 400
	a := start(t, setup{url: r.url, pools: fmt.Sprintf(`p:
  queue: %s
  workers: 8
  slots: 125
  watermarks: {high: %d, low: %d}
  tasks: {nap: {builtin: sleep}}
`, queue, high, low)})
	publisher := spawn(t, a.dir, nil, nil, "publish", "-c", a.config, "-n", fmt.Sprint(published), "nap", "0.3")
	peak, pauses, sawPaused, looks := 0, 0, false, 0
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
		peak, pauses = max(peak, number(n.InFlight)), number(n.Pauses)
		sawPaused = sawPaused || *n.Paused
		return number(n.Settled) == published, fmt.Sprintf("settled %d", number(n.Settled))
	})
	t.Logf("%d looks: peak in flight %d, %d pauses", looks, peak, pauses)
	if peak > high {
		t.Errorf("peak in flight: got %d, want at most %d", peak, high)
	}
	if peak < high/2 {
		t.Errorf("peak in flight: got %d, so the window was never tried", peak)
	}
	if pauses < 1 || !sawPaused {
		t.Errorf("pauses: got %d, seen %v, want some", pauses, sawPaused)
	}
	// All is done although it had paused: it went on each time.
	if root, code := a.tree(); code != 0 || *find(root, "router:p").Paused {
		t.Errorf("at the end: exit code %d, paused %v", code, *find(root, "router:p").Paused)
	}
	if code := publisher.wait(); code != 0 {
		t.Errorf("publish: exit code %d", code)
	}
	a.stop()
}
