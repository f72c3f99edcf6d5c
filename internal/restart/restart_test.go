package restart_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/internal/restart"
)

func TestGolden(t *testing.T) {
	datadriven.Walk(t, "testdata/golden", func(t *testing.T, path string) {
		var (
			start  = time.Unix(0, 0)
			window *restart.Window
			series restart.Series
		)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "window":
				var n int
				d.ScanArgs(t, "intensity", &n)
				window = restart.NewWindow(n, duration(t, d, "period"))
				return ""
			case "add":
				var b strings.Builder
				for line := range strings.Lines(d.Input) {
					now := start.Add(parse(t, d, line))
					ok := window.Add(now)
					fmt.Fprintf(&b, "%-6s %-5t %d in the period\n", now.Sub(start), ok, window.Count(now))
				}
				return b.String()
			case "backoff":
				series = restart.Series{Backoff: backoff(t, d)}
				return ""
			case "series":
				return runSeries(t, d, &series, start)
			case "delay":
				return delays(t, d)
			default:
				d.Fatalf(t, "unknown command %s", d.Cmd)
				return ""
			}
		})
	})
}

// runSeries reads lines "up TIME" and "fail TIME".
func runSeries(t *testing.T, d *datadriven.TestData, s *restart.Series, start time.Time) string {
	var b strings.Builder
	for line := range strings.Lines(d.Input) {
		verb, at, _ := strings.Cut(strings.TrimSpace(line), " ")
		now := start.Add(parse(t, d, at))
		switch verb {
		case "up":
			s.Up(now)
		case "fail":
			fmt.Fprintf(&b, "fail %s: wait %s (attempt %d)\n", at, s.Next(now, 0.5), s.Attempts())
		default:
			d.Fatalf(t, "unknown verb %s", verb)
		}
	}
	return b.String()
}

// delays prints the waits of attempts 1..n for a random number of 0, 0.5 and almost 1.
func delays(t *testing.T, d *datadriven.TestData) string {
	var n int
	d.ScanArgs(t, "n", &n)
	b := backoff(t, d)
	var out strings.Builder
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&out, "%d: %s %s %s\n", i, b.Delay(i, 0), b.Delay(i, 0.5), b.Delay(i, math.Nextafter(1, 0)).Round(time.Microsecond))
	}
	return out.String()
}

func backoff(t *testing.T, d *datadriven.TestData) restart.Backoff {
	var b restart.Backoff
	for _, arg := range d.CmdArgs {
		switch arg.Key {
		case "initial":
			b.Initial = duration(t, d, arg.Key)
		case "max":
			b.Max = duration(t, d, arg.Key)
		case "reset":
			b.ResetAfter = duration(t, d, arg.Key)
		case "factor":
			fmt.Sscan(arg.Vals[0], &b.Factor)
		case "jitter":
			fmt.Sscan(arg.Vals[0], &b.Jitter)
		}
	}
	return b
}

func duration(t *testing.T, d *datadriven.TestData, key string) time.Duration {
	var s string
	d.ScanArgs(t, key, &s)
	return parse(t, d, s)
}

func parse(t *testing.T, d *datadriven.TestData, s string) time.Duration {
	v, err := time.ParseDuration(strings.TrimSpace(s))
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	return v
}

// In any period, wherever it begins, no more than intensity restarts are
// allowed; and a restart is refused only when that many are in the period.
func TestWindowNeverAllowsMoreThanIntensityInAnyPeriod(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		intensity := rapid.IntRange(-1, 6).Draw(t, "intensity")
		period := time.Duration(rapid.IntRange(1, 20).Draw(t, "period"))
		steps := rapid.SliceOf(rapid.IntRange(0, 12)).Draw(t, "steps")
		w := restart.NewWindow(intensity, period)
		now := time.Unix(0, 0)
		var allowed []time.Time
		for _, step := range steps {
			now = now.Add(time.Duration(step))
			in := within(allowed, now, period)
			if got, want := w.Count(now), in; got != want {
				t.Fatalf("count at %v: got %d, want %d", now, got, want)
			}
			got, want := w.Add(now), in < intensity
			if got != want {
				t.Fatalf("add at %v with %d of %d in the period: got %t, want %t", now, in, intensity, got, want)
			}
			if got {
				allowed = append(allowed, now)
			}
		}
	})
}

func within(times []time.Time, now time.Time, period time.Duration) int {
	n := 0
	for _, t := range times {
		if now.Sub(t) <= period {
			n++
		}
	}
	return n
}

func TestWindowNeverGrows(t *testing.T) {
	w := restart.NewWindow(3, time.Second)
	now := time.Unix(0, 0)
	if n := testing.AllocsPerRun(1000, func() {
		now = now.Add(10 * time.Second)
		w.Add(now)
	}); n != 0 {
		t.Errorf("allocations for each restart: got %v, want 0", n)
	}
}

func drawBackoff(t *rapid.T) restart.Backoff {
	return restart.Backoff{
		Initial:    time.Duration(rapid.Int64().Draw(t, "initial")),
		Factor:     rapid.Float64().Draw(t, "factor"),
		Max:        time.Duration(rapid.Int64().Draw(t, "max")),
		Jitter:     rapid.Float64().Draw(t, "jitter"),
		ResetAfter: time.Duration(rapid.Int64().Draw(t, "reset")),
	}
}

func TestDelayIsAlwaysWithinItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawBackoff(t)
		n := rapid.Int().Draw(t, "n")
		shortest, longest := b.Bounds(n)
		got := b.Delay(n, rapid.Float64Range(0, math.Nextafter(1, 0)).Draw(t, "random"))
		if got < 0 || got < shortest || got > longest {
			t.Fatalf("got %v, want %v..%v", got, shortest, longest)
		}
		jitter := min(max(b.Jitter, 0), 1)
		if limit := float64(b.Max) * (1 + jitter); b.Max > 0 && float64(longest) > limit*(1+1e-9) {
			t.Fatalf("longest: got %v, want at most %v", longest, time.Duration(limit))
		}
	})
}

func TestDelayNeverShrinksFromAttemptToAttempt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawBackoff(t)
		n := rapid.IntRange(1, 100).Draw(t, "n")
		if got, want := b.Delay(n+1, 0.5), b.Delay(n, 0.5); got < want {
			t.Fatalf("attempt %d: got %v, want at least %v", n+1, got, want)
		}
	})
}

// The series starts over exactly when the last life was as long as ResetAfter.
func TestSeriesStartsOverAfterALongLifeOnly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		reset := time.Duration(rapid.IntRange(1, 10).Draw(t, "reset"))
		s := restart.Series{Backoff: restart.Backoff{Initial: time.Second, ResetAfter: reset}}
		now, want := time.Unix(0, 0), 0
		for _, life := range rapid.SliceOf(rapid.IntRange(-1, 12)).Draw(t, "lives") { // -1: never came up
			if life >= 0 {
				s.Up(now)
				now = now.Add(time.Duration(life))
			}
			if time.Duration(life) >= reset {
				want = 0
			}
			want++
			s.Next(now, 0.5)
			if got := s.Attempts(); got != want {
				t.Fatalf("attempts after a life of %d: got %d, want %d", life, got, want)
			}
		}
	})
}

// A breaker is open exactly after as many failures in a row as trip it, and then
// allows a start only when no other is under way.
func TestBreakerAllowsOneAtATimeAfterFailuresInARow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := restart.Breaker{Limit: rapid.IntRange(-1, 5).Draw(t, "limit"), Trip: rapid.IntRange(-1, 4).Draw(t, "trip")}
		trip := b.Trip
		if trip < 1 {
			trip = restart.DefaultTrip
		}
		inARow := 0
		for _, ok := range rapid.SliceOf(rapid.Bool()).Draw(t, "starts") {
			if ok {
				b.Succeeded()
				inARow = 0
			} else {
				b.Failed()
				inARow++
			}
			if got, want := b.Open(), inARow >= trip; got != want {
				t.Fatalf("open after %d failures of %d: got %t, want %t", inARow, trip, got, want)
			}
			for starting := range 7 {
				want := b.Limit < 1 || starting < b.Limit
				if inARow >= trip {
					want = starting == 0
				}
				if got := b.Allows(starting); got != want {
					t.Fatalf("%+v with %d starting: got %t, want %t", b, starting, got, want)
				}
			}
		}
	})
}

func TestAResetSeriesStartsOver(t *testing.T) {
	s := restart.Series{Backoff: restart.Backoff{Initial: time.Second}}
	now := time.Unix(0, 0)
	s.Next(now, 0.5)
	s.Next(now, 0.5)
	s.Reset()
	if got := s.Next(now, 0.5); got != time.Second || s.Attempts() != 1 {
		t.Errorf("after a reset: got %v at attempt %d, want 1s at attempt 1", got, s.Attempts())
	}
}
