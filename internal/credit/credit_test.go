package credit_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/internal/credit"
)

// TestPausedAt: the newest pause counts, also when it is over.
func TestPausedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := credit.NewWatermark(1, 0)
		if at := w.PausedAt(); !at.IsZero() {
			t.Errorf("before any pause: got %v", at)
		}
		for range 2 {
			time.Sleep(time.Second) // of the bubble
			w.Add()
			if at := w.PausedAt(); !at.Equal(time.Now()) {
				t.Errorf("got %v, want now, %v", at, time.Now())
			}
			w.Done(1)
		}
	})
}

// TestPausedAtOfAClockThatIsSet: what is measured from a pause must not go by the wall
// clock, so its time has the monotonic reading, which Round removes.
func TestPausedAtOfAClockThatIsSet(t *testing.T) {
	w := credit.NewWatermark(1, 0)
	w.Add()
	if at := w.PausedAt(); at.String() == at.Round(0).String() { // String has the reading
		t.Errorf("got %v, want it with a monotonic reading", at)
	}
}

// TestGolden runs the histories in testdata against a Watermark and a Balancer.
func TestGolden(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var w *credit.Watermark
		var b *credit.Balancer
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "watermark":
				var high, low int
				d.ScanArgs(t, "high", &high)
				d.ScanArgs(t, "low", &low)
				w = credit.NewWatermark(high, low)
				return mark(w)
			case "add":
				n := 1
				d.MaybeScanArgs(t, "n", &n)
				for range n {
					w.Add()
				}
				return mark(w)
			case "done":
				n := 1
				d.MaybeScanArgs(t, "n", &n)
				w.Done(n)
				return mark(w)
			case "set":
				var high, low int
				d.ScanArgs(t, "high", &high)
				d.ScanArgs(t, "low", &low)
				w.Set(high, low)
				return mark(w)
			case "grow":
				var n int
				d.ScanArgs(t, "n", &n)
				b.Grow(n)
				return depths(b, n)
			case "workers":
				var n, slots int
				d.ScanArgs(t, "n", &n)
				d.ScanArgs(t, "slots", &slots)
				b = credit.NewBalancer(n, slots)
				return depths(b, n)
			case "up", "down", "take", "release":
				var i int
				d.ScanArgs(t, "worker", &i)
				map[string]func(int){"up": b.Up, "down": b.Down, "take": b.Take, "release": b.Release}[d.Cmd](i)
				return depths(b, 3)
			case "acquire":
				n := 1
				d.MaybeScanArgs(t, "n", &n)
				var got []string
				for range n {
					if i, ok := b.Acquire(); ok {
						got = append(got, fmt.Sprint(i))
					} else {
						got = append(got, "full")
					}
				}
				return strings.Join(got, " ") + "\n" + depths(b, 3)
			}
			return "unknown command"
		})
	})
}

func mark(w *credit.Watermark) string {
	state := "open"
	if w.Paused() {
		state = "paused"
	}
	return fmt.Sprintf("%d of %d, low %d, %s, %d pauses\n", w.Depth(), w.High(), w.Low(), state, w.Pauses())
}

func depths(b *credit.Balancer, n int) string {
	var s []string
	for i := range n {
		s = append(s, fmt.Sprint(b.Depth(i)))
	}
	return "depths " + strings.Join(s, " ") + "\n"
}

// TestWatermarkNeverExceedsHighNorSleepsForEver lets settlers race with the
// intake: with everything settled in the end, the intake must come through all
// its deliveries, and the peak must stay at high.
func TestWatermarkNeverExceedsHighNorSleepsForEver(t *testing.T) {
	for _, c := range []struct{ high, low int }{{1, 0}, {2, 1}, {10, 5}, {64, 0}, {1000, 400}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			w := credit.NewWatermark(c.high, c.low)
			flights := make(chan struct{}, c.high)
			var settlers sync.WaitGroup
			for range 4 {
				settlers.Go(func() {
					for range flights {
						w.Done(1)
					}
				})
			}
			never := make(chan struct{})
			for range 20_000 {
				if !w.Wait(never, never) {
					t.Fatal("Wait gave up")
				}
				w.Add()
				flights <- struct{}{}
			}
			close(flights)
			settlers.Wait()
			if w.Depth() != 0 || w.Peak() > int64(c.high) {
				t.Errorf("depth %d, peak %d, want 0 and at most %d", w.Depth(), w.Peak(), c.high)
			}
		})
	}
}

// TestWatermarkWaitEnds checks both ways out of a pause that is not over.
func TestWatermarkWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, stopped := range []bool{true, false} {
			w := credit.NewWatermark(1, 0)
			w.Add()
			stop, dead := make(chan struct{}), make(chan struct{})
			result := make(chan bool)
			go func() { result <- w.Wait(stop, dead) }()
			synctest.Wait()
			if stopped {
				close(stop)
			} else {
				close(dead)
			}
			if <-result {
				t.Error("Wait = true while paused")
			}
		}
	})
}

// TestBalancerModel compares the balancer with a scan over all workers.
func TestBalancerModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, slots := rapid.IntRange(1, 6).Draw(t, "n"), rapid.IntRange(1, 4).Draw(t, "slots")
		b := credit.NewBalancer(n, slots)
		depth, up := make([]int, n), make([]bool, n)
		load := 0
		pick := rapid.IntRange(0, n-1)
		t.Repeat(map[string]func(*rapid.T){
			"acquire": func(t *rapid.T) {
				least := slots
				for i := range n {
					if up[i] {
						least = min(least, depth[i])
					}
				}
				i, ok := b.Acquire()
				if ok != (least < slots) {
					t.Fatalf("Acquire ok = %v, want %v", ok, least < slots)
				}
				if !ok {
					return
				}
				if !up[i] || depth[i] != least {
					t.Fatalf("Acquire = worker %d (up %v, depth %d), want one of depth %d", i, up[i], depth[i], least)
				}
				depth[i]++
				load++
			},
			"release": func(t *rapid.T) {
				if i := pick.Draw(t, "i"); depth[i] > 0 {
					b.Release(i)
					depth[i]--
					load--
				}
			},
			"up":   func(t *rapid.T) { i := pick.Draw(t, "i"); b.Up(i); up[i] = true },
			"down": func(t *rapid.T) { i := pick.Draw(t, "i"); b.Down(i); up[i] = false },
			"": func(t *rapid.T) {
				for i := range n {
					if b.Depth(i) != depth[i] {
						t.Fatalf("depth of %d = %d, want %d", i, b.Depth(i), depth[i])
					}
				}
				if b.Load() != load {
					t.Fatalf("load = %d, want %d", b.Load(), load)
				}
			},
		})
	})
}

// TestBalancerTakesTurns: equal workers get the same share.
func TestBalancerTakesTurns(t *testing.T) {
	b := credit.NewBalancer(4, 1)
	for i := range 4 {
		b.Up(i)
	}
	share := make([]int, 4)
	for range 400 {
		i, _ := b.Acquire()
		share[i]++
		b.Release(i)
	}
	for i, n := range share {
		if n != 100 {
			t.Errorf("worker %d got %d of 400, want 100", i, n)
		}
	}
}

func BenchmarkWatermark(b *testing.B) {
	w := credit.NewWatermark(1000, 400)
	b.ReportAllocs()
	for b.Loop() {
		w.Add()
		w.Done(1)
	}
}

func BenchmarkBalancer(b *testing.B) {
	for _, n := range []int{8, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l := credit.NewBalancer(n, 8)
			for i := range n {
				l.Up(i)
			}
			held := make([]int, 0, 4*n)
			for range 4 * n {
				i, _ := l.Acquire()
				held = append(held, i)
			}
			rng := rand.New(rand.NewPCG(1, 2))
			b.ReportAllocs()
			for b.Loop() {
				k := rng.IntN(len(held))
				l.Release(held[k])
				held[k], _ = l.Acquire()
			}
		})
	}
}
