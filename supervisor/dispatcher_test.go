package supervisor

import (
	"sync"
	"testing"
	"testing/synctest"
)

func TestDispatcherKeepsABoundedNumberOfGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDispatcher()
		var running sync.WaitGroup
		release := make(chan struct{})
		const n = 3 * maxIdle // all at once: nobody waits for somebody else's goroutine
		running.Add(n)
		for range n {
			d.Schedule(func() { running.Done(); <-release })
		}
		running.Wait()
		close(release)
		synctest.Wait()
		if got := d.idle.Load(); got != maxIdle {
			t.Errorf("parked: got %d, want %d", got, maxIdle)
		}
		d.close()
		synctest.Wait()
		if got := d.idle.Load(); got != 0 {
			t.Errorf("parked after close: got %d, want 0", got)
		}
		done := make(chan struct{})
		d.Schedule(func() { close(done) })
		<-done // it still works; and the bubble ends, so nothing is parked
	})
}
