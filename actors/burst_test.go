package actors

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/task"
)

// burst starts a System with the pool and another one, `b`, until their queues are
// empty.
func burst(t *testing.T, a, b Pool) *rig {
	t.Helper()
	var r *rig
	started := make(chan struct{})
	r = start(t, a, func(o *Options) {
		o.Pools = append(o.Pools, b)
		o.Burst = func(_ context.Context, queue string) (int, error) {
			<-started
			return r.broker.Len(queue), nil
		}
	})
	defer close(started)
	r.put(20, "nap")
	for range 3 {
		r.broker.Put("b", broker.Publication{Body: []byte(`{"task":"nap"}`)})
	}
	return r
}

func napsIn(queue string) Pool {
	return withQueue(Pool{Name: queue, Queue: broker.Queue{Name: queue, Dead: &broker.Queue{Name: "dead"}}, Mux: naps(time.Second)})
}

func TestBurstOutlivesRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := burst(t, Pool{Name: "a", Workers: 2, Mux: naps(time.Second)}, napsIn("b"))
		for _, id := range []string{"pools", "broker", "router:a"} {
			wait(1500 * time.Millisecond)
			r.expect(r.system.Restart(t.Context(), id))
		}
		wait(5 * time.Second)
		if !isDone(r.system.all()[1].drained) {
			t.Fatal("b has not found its queue empty")
		}
		r.expect(r.system.Restart(t.Context(), "pools")) // b has nothing to do any more
		r.expect(<-r.result)
		if n := r.broker.Len("work") + r.broker.Len("b"); n != 0 || r.broker.Acked() != 23 {
			t.Errorf("%d left, %d acked, want all 23", n, r.broker.Acked())
		}
	})
}

// A retry that could wait on the broker is waited for here: an empty queue would not
// tell of it.
func TestBurstWaitsForRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		retry := Retry{Backoff: supervisor.Backoff{Initial: time.Minute, Max: time.Minute}}
		r := burst(t, Pool{Name: "a", Workers: 2, Retry: retry, Mux: handlers(map[string]task.HandlerFunc{"nap": func(_ context.Context, m *task.Message) error {
			if m.Attempt == 1 {
				return errors.New("not yet")
			}
			return nil
		}})}, napsIn("b"))
		r.expect(<-r.result)
		if n := r.broker.Len("work") + r.broker.Delayed(); n != 0 || r.broker.Acked() != 43 {
			t.Errorf("%d left, %d acked, want each of 20 acked for both of its runs and the 3 of b", n, r.broker.Acked())
		}
	})
}

func TestBurstWithAPoolThatGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		sick := napsIn("b")
		sick.OnPanic = CrashWorker
		sick.Retry = Retry{MaxAttempts: 1000, Backoff: supervisor.Backoff{Initial: time.Millisecond, Max: time.Millisecond}}
		sick.Supervise = &supervisor.Spec{Intensity: 1, Period: time.Hour}
		sick.Mux = handlers(map[string]task.HandlerFunc{"nap": func(context.Context, *task.Message) error { panic("sick") }})
		r := burst(t, Pool{Name: "a", Workers: 2, Mux: naps(time.Second)}, sick)
		err := <-r.result
		if _, ok := errors.AsType[*supervisor.ExhaustedError](err); !ok {
			t.Errorf("got %v, want that a pool gave up", err)
		}
		if r.broker.Acked() < 20 || r.broker.Len("b") != 3 {
			t.Errorf("%d acked, want the 20 of a; %d in the queue of b, want 3", r.broker.Acked(), r.broker.Len("b"))
		}
		if took := time.Since(begin); took > 20*time.Second {
			t.Errorf("it took %v: something was waited for that does not come", took)
		}
	})
}
