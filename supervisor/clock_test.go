package supervisor

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheClockIsAtMostItsResolutionLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		began := time.Now()
		for i := range 1000 {
			<-time.After(time.Duration(i) * 37 * time.Microsecond)
			synctest.Wait() // a tick at the same time has been
			if late := time.Since(began) - c.time(c.now()).Sub(began); late < 0 || late >= resolution+time.Millisecond {
				t.Fatalf("after %v it is %v late", time.Since(began), late)
			}
		}
	})
}

func TestTheClockStopsWhenNobodyReadsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		for range 3 {
			c.now()
			<-time.After(3 * resolution)
			synctest.Wait()
			if w := c.word.Load(); w != 0 {
				t.Fatalf("it runs on: %d", w)
			}
			<-time.After(time.Hour)
		}
	})
}

func TestTheClockNeverGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				last := int64(0)
				for range 200 {
					<-time.After(time.Duration(i*7+1) * time.Millisecond)
					now := c.now()
					if now < last {
						t.Errorf("%d after %d", now, last)
					}
					last = now
				}
			})
		}
		wg.Wait()
	})
}
