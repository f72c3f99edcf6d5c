package actors

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/fakebroker"
	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/task"
	"github.com/magne-actors/magne-actors/task/codec"
)

// rig is a System on a fake broker, for use in a synctest bubble.
type rig struct {
	t      *testing.T
	broker *fakebroker.Broker
	system *System
	stop   context.CancelFunc
	result chan error
}

func start(t *testing.T, pool Pool, change ...func(*Options)) *rig {
	t.Helper()
	r := &rig{t: t, broker: fakebroker.New(), result: make(chan error, 1)}
	o := Options{Dialer: r.broker, Pools: []Pool{withQueue(pool)}, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	for _, f := range change {
		f(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.system = s
	ctx, cancel := context.WithCancel(t.Context())
	r.stop = cancel
	go func() { r.result <- s.Run(ctx) }()
	synctest.Wait()
	return r
}

func withQueue(p Pool) Pool {
	if p.Queue.Name == "" {
		p.Queue = broker.Queue{Name: "work", Dead: &broker.Queue{Name: "dead"}}
	}
	if p.Codec == nil {
		p.Codec, _ = codec.ByName("json")
	}
	return p
}

func handlers(h map[string]task.HandlerFunc) *task.Mux {
	m := task.NewMux()
	for name, f := range h {
		m.Handle(name, f)
	}
	return m
}

func (r *rig) put(n int, name string) {
	for i := range n {
		r.broker.Put("work", broker.Publication{Body: fmt.Appendf(nil, `{"task":%q,"id":"%d"}`, name, i)})
	}
}

func (r *rig) finish() error {
	r.t.Helper()
	r.stop()
	err := <-r.result
	if wrong := r.broker.Wrong(); len(wrong) > 0 {
		r.t.Errorf("settled wrongly: %v", wrong)
	}
	if n := r.broker.Unsettled(); n > 0 {
		r.t.Errorf("%d deliveries left unsettled", n)
	}
	return err
}

// wait lets the bubble's time pass.
func wait(d time.Duration) { <-time.After(d) }

func sleeper(d time.Duration) task.HandlerFunc {
	return func(ctx context.Context, _ *task.Message) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func TestEveryTaskIsRunAndAcked(t *testing.T) {
	for _, mode := range []Mode{Coroutine, Thread} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, Pool{Mode: mode, Workers: 4, High: 8, Mux: handlers(map[string]task.HandlerFunc{"nap": sleeper(time.Second)})})
				begin := time.Now()
				r.put(100, "nap")
				r.until("100 are acked", func() bool { return r.broker.Acked() == 100 })
				if took := time.Since(begin); took > 26*time.Second {
					t.Errorf("100 naps of 1 s on 4 workers took %v, want 25 s", took)
				}
				if err := r.finish(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// until lets time pass until the condition holds.
func (r *rig) until(what string, holds func() bool) {
	r.t.Helper()
	for begin := time.Now(); !holds(); wait(100 * time.Millisecond) {
		if time.Since(begin) > time.Hour {
			r.t.Fatalf("not within an hour: %s", what)
		}
	}
}

func TestInFlightNeverExceedsHigh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Pool{Workers: 8, Slots: 100, High: 100, Low: 40, Mux: handlers(map[string]task.HandlerFunc{"nap": sleeper(time.Second)})})
		r.put(1000, "nap")
		paused := false
		r.until("1000 are acked", func() bool {
			n := find(r.system.Tree(), "router:work")
			paused = paused || *n.Paused && n.State == "paused"
			return r.broker.Acked() == 1000
		})
		n := find(r.system.Tree(), "router:work")
		if peak := r.system.all()[0].window.Load().mark.Peak(); peak != 100 || r.broker.Peak() != 100 {
			t.Errorf("peak in flight = %d, unsettled at the broker %d, want 100", peak, r.broker.Peak())
		}
		if *n.Pauses < 9 || !paused || *n.Paused || *n.Settled != 1000 || *n.InFlight != 0 || *n.High != 100 || *n.Low != 40 {
			t.Errorf("router: pauses %d (seen %v), paused %v, settled %d, in flight %d", *n.Pauses, paused, *n.Paused, *n.Settled, *n.InFlight)
		}
		r.finish()
	})
}

// find returns the node with the id.
func find(n *supervisor.Node, id string) *supervisor.Node {
	if n == nil || n.ID == id {
		return n
	}
	for _, c := range n.Children {
		if m := find(c, id); m != nil {
			return m
		}
	}
	return nil
}

func TestTreeAnswersWhileEveryWorkerIsBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		r := start(t, Pool{Mode: Thread, Workers: 3, High: 5, Mux: handlers(map[string]task.HandlerFunc{
			"block": func(context.Context, *task.Message) error { <-hold; return nil },
		})})
		wait(time.Minute) // consuming
		paused := time.Now()
		r.put(10, "block")
		wait(time.Second)
		root := r.system.Tree()
		if root.ID != "root" || root.Kind != "root" {
			t.Errorf("root is %s of kind %s", root.ID, root.Kind)
		}
		n := find(root, "router:work")
		if *n.Running != 3 || *n.Queued != 2 || *n.InFlight != 5 || n.State != "paused" || !n.Since.Equal(paused) {
			t.Errorf("router: %d running, %d queued, %d in flight, %s since %v, want 3, 2, 5, paused since %v", *n.Running, *n.Queued, *n.InFlight, n.State, n.Since, paused)
		}
		for i := range 3 {
			w := find(root, fmt.Sprintf("work/%d", i+1))
			if w.Kind != "worker" || *w.Running != 1 || *w.Queued != 0 {
				t.Errorf("worker %s: kind %s, %d running, %d queued", w.ID, w.Kind, *w.Running, *w.Queued)
			}
		}
		close(hold)
		r.until("all are acked", func() bool { return r.broker.Acked() == 10 })
		r.finish()
	})
}

func TestWarmStopLetsTasksFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Pool{Workers: 2, Slots: 5, High: 15, Mux: handlers(map[string]task.HandlerFunc{"nap": sleeper(20 * time.Second)})})
		r.put(100, "nap")
		synctest.Wait()
		begin := time.Now()
		if err := r.finish(); err != nil {
			t.Error(err)
		}
		if r.broker.Acked() != 10 || len(r.broker.Ready("work")) != 90 {
			t.Errorf("%d acked, %d left, want 10 and 90", r.broker.Acked(), len(r.broker.Ready("work")))
		}
		if took := time.Since(begin); took != 20*time.Second {
			t.Errorf("the stop took %v, want the 20 s of the running tasks", took)
		}
	})
}

func TestWarmStopCancelsAtTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		r := start(t, Pool{Workers: 1, Slots: 10, Mux: handlers(map[string]task.HandlerFunc{
			"nap":   sleeper(time.Hour),
			"stuck": func(context.Context, *task.Message) error { <-stuck; return nil },
		})})
		r.put(5, "nap")
		r.put(5, "stuck")
		synctest.Wait()
		begin := time.Now()
		if err := r.finish(); err != nil {
			t.Error(err)
		}
		if r.broker.Acked() != 0 || len(r.broker.Ready("work")) != 10 {
			t.Errorf("%d acked, %d back, want 0 and 10", r.broker.Acked(), len(r.broker.Ready("work")))
		}
		if took := time.Since(begin); took < 30*time.Second || took > 33*time.Second {
			t.Errorf("the stop took %v, want 30 s and a grace", took)
		}
		close(stuck)
	})
}

func TestAbortIsQuick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		r := start(t, Pool{Workers: 1, Slots: 10, Mux: handlers(map[string]task.HandlerFunc{
			"nap":   sleeper(time.Hour),
			"stuck": func(context.Context, *task.Message) error { <-stuck; return nil },
		})})
		r.put(5, "nap")
		r.put(5, "stuck")
		synctest.Wait()
		r.stop()
		wait(time.Second)
		begin := time.Now()
		r.system.Abort()
		r.system.Abort()
		if err := r.finish(); !errors.Is(err, ErrAborted) {
			t.Errorf("Run = %v, want ErrAborted", err)
		}
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("the abort took %v, want at most 2 s", took)
		}
		if n := len(r.broker.Ready("work")); n != 10 {
			t.Errorf("%d are back in the queue, want 10", n)
		}
		close(stuck)
	})
}

func TestFailuresAreRetriedThenDeadLettered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		flaky, broken := make(chan int, 10), make(chan int, 10)
		r := start(t, Pool{Retry: Retry{MaxAttempts: 3}, Mux: handlers(map[string]task.HandlerFunc{
			"flaky": func(_ context.Context, m *task.Message) error {
				flaky <- m.Attempt
				if m.Attempt < 3 {
					return errors.New("not yet")
				}
				return nil
			},
			"broken": func(_ context.Context, m *task.Message) error {
				broken <- m.Attempt
				return errors.New("never")
			},
			"panics":  func(context.Context, *task.Message) error { panic("boom") },
			"goexit":  func(context.Context, *task.Message) error { runtime.Goexit(); return nil },
			"discard": func(context.Context, *task.Message) error { return task.Discard(errors.New("useless")) },
			"later":   func(_ context.Context, m *task.Message) error { return task.Retry(errors.New("busy"), 7*time.Second) },
		})})
		for _, name := range []string{"flaky", "broken", "panics", "goexit", "discard", "later", "unknown"} {
			r.put(1, name)
		}
		r.until("all are settled", func() bool { return len(r.broker.Ready("dead")) == 6 && r.broker.Unsettled() == 0 })
		for name, c := range map[string]chan int{"flaky": flaky, "broken": broken} {
			if close(c); !slices.Equal(slices.Collect(values(c)), []int{1, 2, 3}) {
				t.Errorf("the attempts of %s were not numbered 1, 2, 3", name)
			}
		}
		var reasons []string
		for _, d := range r.broker.Ready("dead") {
			reasons = append(reasons, fmt.Sprintf("%s@%v: %s", d.Headers["x-reason"], d.Headers["x-attempt"], d.Headers["x-error"]))
		}
		slices.Sort(reasons)
		wantReasons := []string{
			"discarded@1: useless",
			"max_attempts@3: never",
			"max_attempts@3: runtime.Goexit was called",
			"max_snoozes@1: busy",
			"panic@3: panic: boom",
			"unknown_task@1: " + reasons[5][len("unknown_task@1: "):],
		}
		if diff := cmp.Diff(wantReasons, reasons); diff != "" {
			t.Errorf("dead letters (-want +got):\n%s", diff)
		}
		r.finish()
	})
}

func values(c <-chan int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for n := range c {
			if !yield(n) {
				return
			}
		}
	}
}

func TestBadMessagesBetweenGoodOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Pool{MaxBody: 1000, Workers: 2, Mux: handlers(map[string]task.HandlerFunc{"ok": sleeper(time.Millisecond)})})
		bad := map[string]string{
			"": "decode", "nope": "decode", "[1]": "decode", "\xff\x00": "decode", `{"task": 7}`: "decode",
			`{"task":"unheard-of"}`: "unknown_task", strings.Repeat("x", 1001): "oversize",
		}
		bad[`{"task":"ok","id":"odd headers"}`] = "decode"
		r.broker.Put("work", broker.Publication{
			Properties: broker.Properties{Headers: map[string]any{broker.HeaderDropped: "too deep"}},
			Body:       []byte(`{"task":"ok","id":"odd headers"}`),
		})
		for body := range bad {
			if strings.Contains(body, "odd headers") {
				continue
			}
			r.put(3, "ok")
			r.broker.Put("work", broker.Publication{Properties: broker.Properties{Expiration: "5000", Headers: map[string]any{"x-death": []any{map[string]any{}}, "CC": []any{"x"}, "mine": "kept"}}, Body: []byte(body)})
		}
		r.until("all are settled", func() bool { return len(r.broker.Ready("dead")) == len(bad) && r.broker.Unsettled() == 0 })
		if want := 3*(len(bad)-1) + len(bad); r.broker.Acked() != want {
			t.Errorf("%d acked, want %d", r.broker.Acked(), want)
		}
		for _, d := range r.broker.Ready("dead") {
			if got := d.Headers["x-reason"]; got != bad[string(d.Body)] {
				t.Errorf("reason of %.20q = %v, want %v", d.Body, got, bad[string(d.Body)])
			}
			if strings.Contains(string(d.Body), "odd headers") {
				continue
			}
			if d.Headers["x-death"] != nil || d.Headers["CC"] != nil || d.Headers["mine"] != "kept" || d.Expiration != "" || !d.Persistent {
				t.Errorf("copy of %.20q has headers %v, expiration %q, persistent %v", d.Body, d.Headers, d.Expiration, d.Persistent)
			}
		}
		r.finish()
	})
}

func TestDeadLetterThatCannotBePublishedIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Pool{Mux: handlers(map[string]task.HandlerFunc{"ok": sleeper(0)})})
		r.broker.Refuse(broker.ErrUnroutable)
		r.put(1, "unknown")
		wait(time.Minute)
		n := find(r.system.Tree(), "router:work")
		if *n.InFlight != 1 || r.broker.Acked() != 0 || !strings.Contains(n.LastError, "unroutable") {
			t.Errorf("in flight %d, acked %d, last error %q", *n.InFlight, r.broker.Acked(), n.LastError)
		}
		r.broker.Refuse(nil)
		wait(time.Minute)
		n = find(r.system.Tree(), "router:work")
		if len(r.broker.Ready("dead")) != 1 || *n.InFlight != 0 || n.LastError != "" {
			t.Errorf("dead letters %d, in flight %d, last error %q", len(r.broker.Ready("dead")), *n.InFlight, n.LastError)
		}
		r.finish()
	})
}

func TestTimeoutThenAbandonment(t *testing.T) {
	for _, mode := range []Mode{Coroutine, Thread} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stuck := make(chan struct{})
				causes := make(chan error, 1)
				r := start(t, Pool{Mode: mode, High: 4, Timeout: 10 * time.Second, Retry: Retry{MaxAttempts: 1}, Mux: handlers(map[string]task.HandlerFunc{
					"polite": func(ctx context.Context, _ *task.Message) error {
						<-ctx.Done()
						causes <- context.Cause(ctx)
						return ctx.Err()
					},
					"stuck": func(context.Context, *task.Message) error { <-stuck; return nil },
					"ok":    sleeper(time.Second),
				})})
				r.put(1, "polite")
				r.put(1, "stuck")
				r.put(1, "ok")
				begin := time.Now()
				r.until("the last is acked", func() bool { return r.broker.Acked() == 3 })
				if took := time.Since(begin); took < 26*time.Second || took > 27*time.Second {
					t.Errorf("it took %v, want 10 s timeout, 15 s to the abandonment and 1 s", took)
				}
				if cause := <-causes; !errors.Is(cause, ErrTimeout) {
					t.Errorf("cause = %v, want ErrTimeout", cause)
				}
				for _, d := range r.broker.Ready("dead") {
					if d.Headers["x-reason"] != "timeout" {
						t.Errorf("reason = %v (%v), want timeout", d.Headers["x-reason"], d.Headers["x-error"])
					}
				}
				w := find(r.system.Tree(), "work/1")
				if *w.Abandoned != 1 || *w.Running != 1 {
					t.Errorf("abandoned %d, running %d, want 1 and 1", *w.Abandoned, *w.Running)
				}
				close(stuck)
				synctest.Wait()
				if w := find(r.system.Tree(), "work/1"); w.Abandoned != nil || *w.Running != 0 {
					t.Errorf("after its end: abandoned %v, running %d", w.Abandoned, *w.Running)
				}
				r.finish()
			})
		})
	}
}

// TestAbandonedTasksAreBounded: a worker of two slots lets go of two stuck
// tasks; further ones keep their slots until they end.
func TestAbandonedTasksAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		var started atomic.Int64
		r := start(t, Pool{Slots: 2, High: 10, Timeout: time.Second, AbandonAfter: time.Second, Retry: Retry{MaxAttempts: 1}, Mux: handlers(map[string]task.HandlerFunc{
			"stuck": func(context.Context, *task.Message) error { started.Add(1); <-stuck; return nil },
		})})
		r.put(10, "stuck")
		wait(time.Minute)
		n := find(r.system.Tree(), "router:work")
		if started.Load() != 4 || *n.Abandoned != 4 || !strings.Contains(n.LastError, "abandoned") {
			t.Errorf("started %d, abandoned %d, last error %q", started.Load(), *n.Abandoned, n.LastError)
		}
		close(stuck)
		r.until("all are settled", func() bool { return r.broker.Acked() == 10 })
		r.finish()
	})
}
