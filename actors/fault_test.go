package actors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/fakebroker"
	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/task"
)

func TestLostSessionIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		r := start(t, Pool{Slots: 5, Mux: handlers(map[string]task.HandlerFunc{"nap": func(ctx context.Context, m *task.Message) error {
			runs.Add(1)
			return sleeper(10*time.Second)(ctx, m)
		}})})
		r.put(10, "nap")
		wait(time.Second)
		r.broker.Deny(errors.New("connection refused"))
		r.broker.CutSessions()
		wait(20 * time.Second)
		tree := r.system.Tree()
		if n := find(tree, "broker"); n.State != "connecting" || !strings.Contains(n.LastError, "refused") {
			t.Errorf("broker is %q, last error %q", n.State, n.LastError)
		}
		if n := find(tree, "router:work"); n.State != "connecting" || *n.InFlight != 0 {
			t.Errorf("router is %q with %d in flight after its tasks ended", n.State, *n.InFlight)
		}
		r.broker.Deny(nil)
		r.until("all are acked", func() bool { return r.broker.Acked() == 10 })
		if runs.Load() != 15 {
			t.Errorf("%d runs, want 10 and 5 again that were running at the loss", runs.Load())
		}
		if n := find(r.system.Tree(), "router:work"); n.State != "consuming" || n.LastError != "" {
			t.Errorf("router is %q, last error %q", n.State, n.LastError)
		}
		for _, id := range []string{"root", "broker", "router:work", "work/1"} {
			if n := find(r.system.Tree(), id); *n.Restarts != 0 {
				t.Errorf("%s has %d restarts: a lost connection is no crash", id, *n.Restarts)
			}
		}
		r.finish()
	})
}

func TestLostConsumerIsReplacedWhilePaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Pool{Slots: 4, High: 4, Mux: handlers(map[string]task.HandlerFunc{"nap": sleeper(time.Minute)})})
		r.put(8, "nap")
		wait(time.Second)
		if n := find(r.system.Tree(), "router:work"); n.State != "paused" {
			t.Fatalf("router is %q, want paused", n.State)
		}
		r.broker.CutConsumers("work")
		wait(time.Second)
		if n := r.broker.Consumers("work"); n != 1 {
			t.Errorf("%d consumers, want a new one", n)
		}
		r.until("all are acked", func() bool { return r.broker.Acked() == 8 })
		r.finish()
	})
}

func TestDeniedAtFirstEndsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := fakebroker.New()
		b.Deny(fmt.Errorf("login: %w", broker.ErrDenied))
		s, err := New(Options{Dialer: b, Pools: []Pool{withQueue(Pool{Mux: handlers(map[string]task.HandlerFunc{"ok": sleeper(0)})})}})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Run(t.Context()); !errors.Is(err, broker.ErrDenied) {
			t.Errorf("Run = %v, want ErrDenied", err)
		}
	})
}

func TestUnreachableBrokerIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down *fakebroker.Broker
		r := start(t, Pool{Mux: handlers(map[string]task.HandlerFunc{"ok": sleeper(0)})}, func(o *Options) {
			down = o.Dialer.(*fakebroker.Broker)
			down.Deny(errors.New("connection refused"))
		})
		wait(10 * time.Minute)
		down.Deny(nil)
		r.put(1, "ok")
		r.until("it is acked", func() bool { return r.broker.Acked() == 1 })
		r.finish()
	})
}

func TestRunningTasksOfALostConsumerAreNotSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Pool{Slots: 3, Retry: Retry{MaxAttempts: 2}, Mux: handlers(map[string]task.HandlerFunc{
			"nap":  sleeper(10 * time.Second),
			"fail": func(context.Context, *task.Message) error { return errors.New("no") },
		})})
		r.put(2, "nap")
		r.put(1, "fail") // on hold for its next attempt when the consumer dies
		wait(100 * time.Millisecond)
		r.broker.CutConsumers("work")
		r.until("all are settled", func() bool { return r.broker.Acked() == 4 && r.broker.Unsettled() == 0 })
		if n := len(r.broker.Ready("dead")); n != 1 {
			t.Errorf("%d dead letters, want 1", n)
		}
		r.finish()
	})
}

// TestCrashes: after a crash of any actor everything is settled all the same, and
// only what stands after it in its supervisor is restarted.
func TestCrashes(t *testing.T) {
	for _, c := range []struct {
		name      string
		crash     func(*System)
		restarted []string
	}{
		{"router", func(s *System) { s.all()[0].toRouter((*arrivals)(nil)) }, []string{"router:work", "pool:work", "work/1"}},
		{
			"broker", func(s *System) { s.tellBroker(&crashed{errors.New("boom")}) },
			[]string{"broker", "pools", "work", "router:work", "pool:work", "work/1", "other", "router:other", "pool:other", "other/1"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, Pool{Workers: 2, Slots: 3, High: 10, Mux: handlers(map[string]task.HandlerFunc{"nap": sleeper(10 * time.Second)})},
					func(o *Options) {
						other := o.Pools[0]
						other.Name, other.Queue.Name = "other", "other"
						o.Pools = append(o.Pools, other)
					})
				r.put(20, "nap")
				wait(time.Second)
				c.crash(r.system)
				wait(time.Second)
				for _, id := range []string{"root", "broker", "pools", "work", "router:work", "pool:work", "work/1", "other", "router:other", "pool:other", "other/1"} {
					n := find(r.system.Tree(), id)
					if restarted := *n.Restarts == 1; restarted != slices.Contains(c.restarted, id) {
						t.Errorf("%s has %d restarts", id, *n.Restarts)
					}
				}
				r.until("all are acked", func() bool { return r.broker.Acked() == 20 })
				r.finish()
			})
		})
	}
}

func TestRootGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Pool{Mux: handlers(map[string]task.HandlerFunc{"nap": sleeper(time.Hour)})})
		r.put(3, "nap")
		for range 4 {
			synctest.Wait()
			r.system.tellBroker(&crashed{errors.New("boom")})
		}
		err := <-r.result
		if _, ok := errors.AsType[*supervisor.ExhaustedError](err); !ok {
			t.Errorf("Run = %v, want an ExhaustedError", err)
		}
		if n := len(r.broker.Ready("work")); n != 3 || r.broker.Unsettled() != 0 {
			t.Errorf("%d are back in the queue, want 3", n)
		}
	})
}

func TestServiceIsSupervised(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var starts atomic.Int64
		r := start(t, Pool{Mux: handlers(map[string]task.HandlerFunc{"ok": sleeper(0)})}, func(o *Options) {
			o.Services = []Service{{ID: "control", Kind: "control", Run: func(ctx context.Context) error {
				if starts.Add(1) < 3 {
					return errors.New("address in use")
				}
				<-ctx.Done()
				return nil
			}}}
		})
		wait(time.Minute)
		if n := find(r.system.Tree(), "control"); n.Kind != "control" || n.State != "up" || *n.Restarts != 2 {
			t.Errorf("control: kind %s, state %s, %d restarts", n.Kind, n.State, *n.Restarts)
		}
		r.finish()
	})
}

func TestNewJoinsAllProblems(t *testing.T) {
	_, err := New(Options{Pools: []Pool{
		{Name: "a", Workers: -1, High: 2, Low: 2, Mode: Thread, Slots: 2},
		{Name: "b", Queue: broker.Queue{Name: "q", Dead: &broker.Queue{Name: strings.Repeat("d", MaxName+1)}}},
		{Name: "a", Mode: 7, High: MaxHigh + 1, Timeout: -1, MaxBody: -1, Retry: Retry{MaxAttempts: -1}},
	}})
	for _, want := range []string{
		"Dialer is missing", "Workers is -1", "Low is 2, it must be below High (2)", "a thread runs one task at a time",
		"Queue.Name is empty", "Queue.Dead is missing", "Codec is missing", "Mux is missing", "Mode 7 is unknown",
		"Queue.Dead.Name has more than 255 bytes", "High is 1000001", "must not be negative", "MaxBody is -1", "MaxAttempts is -1", `the name "a" is taken`,
	} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
	if _, err := New(Options{Dialer: fakebroker.New()}); err == nil || !strings.Contains(err.Error(), "nothing to consume") {
		t.Errorf("New without pools = %v", err)
	}
}
