package actors

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magne-actors/magne-actors/internal/testenv"
	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/supervisor/process"
	"github.com/magne-actors/magne-actors/task"
)

// notThere is a pool whose tasks find no program, and how often they looked for it.
func notThere(p Pool) (Pool, *atomic.Int64) {
	tries := new(atomic.Int64)
	p.Mux = handlers(map[string]task.HandlerFunc{"nap": func(context.Context, *task.Message) error {
		tries.Add(1)
		wait(time.Millisecond) // all slots of a worker fail at once
		return fmt.Errorf("pool: %w: no such file", process.ErrCannotStart)
	}})
	return p, tries
}

// TestAProgramThatIsNotThereParksItsPool: no task is to blame, so none has an attempt
// less, and all are in the queue until the program is there.
func TestAProgramThatIsNotThereParksItsPool(t *testing.T) {
	where := testenv.Program(t, "true")
	program := filepath.Join(t.TempDir(), "true")
	r := wallRig(t, withQueue(Pool{
		Mode: Oneshot, Workers: 2, Slots: 2, High: 10, Process: &process.Options{Spec: process.Spec{Command: []string{program}}},
		Supervise: &supervisor.Spec{Intensity: 3, Period: time.Hour, OnExhausted: supervisor.Park, Backoff: supervisor.Backoff{Initial: time.Millisecond}},
	}))
	r.put(50, "nap")
	r.soon("all are in the queue of a pool that is parked", func() bool {
		return r.system.all()[0].parked.Load() && r.broker.Unsettled() == 0 && r.broker.Len("work") == 50
	})
	for _, d := range r.broker.Ready("work") {
		if n, ok := d.Headers[headerAttempt]; ok {
			t.Errorf("a message is a copy for attempt %v", n)
		}
	}
	pool := find(r.system.Tree(), "pool:work")
	if pool.State != "failed" || !strings.Contains(pool.LastError, "the program cannot be started") || !strings.Contains(pool.LastError, program) {
		t.Errorf("the pool is %s: %q", pool.State, pool.LastError)
	}
	r.expect(os.Symlink(where, program))
	r.expect(r.system.Restart(t.Context(), "pool:work"))
	r.soon("all are acked", func() bool { return r.broker.Acked() == 50 })
	if n := r.broker.Len("dead"); n != 0 {
		t.Errorf("%d dead letters", n)
	}
	r.expect(r.finish())
}

// TestAWorkerThatCannotStartCountsOnce: all slots of a worker fail together, and what
// comes meanwhile is not tried by a worker that is about to end.
func TestAWorkerThatCannotStartCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool, tries := notThere(Pool{
			Workers: 2, Slots: 4, High: 40,
			Supervise: &supervisor.Spec{Intensity: 5, Period: time.Hour, OnExhausted: supervisor.Park, Backoff: supervisor.Backoff{Initial: time.Second, Max: time.Second}},
		})
		r := start(t, pool)
		r.put(100, "nap")
		wait(time.Minute)
		// Six crashes, and the seventh of the other worker if that was there first.
		if n := tries.Load(); n < 6*4 || n > 7*4 {
			t.Errorf("%d tries, want 4 for each of 6 or 7 workers", n)
		}
		if !r.system.all()[0].parked.Load() || r.broker.Len("work") != 100 || r.broker.Len("dead") != 0 {
			t.Errorf("parked %v, %d in the queue, %d dead letters", r.system.all()[0].parked.Load(), r.broker.Len("work"), r.broker.Len("dead"))
		}
		r.expect(r.finish())
	})
}

// TestADrainEndsWithoutTheProgram, while its workers wait for their restart and when
// they have just come back.
func TestADrainEndsWithoutTheProgram(t *testing.T) {
	for _, after := range []time.Duration{0, 500 * time.Millisecond, time.Second + time.Millisecond/2} {
		synctest.Test(t, func(t *testing.T) {
			pool, _ := notThere(Pool{
				Workers: 2, High: 40,
				Supervise: &supervisor.Spec{Intensity: 1000, Period: time.Hour, OnExhausted: supervisor.Park, Backoff: supervisor.Backoff{Initial: time.Second, Max: time.Second}},
			})
			r := start(t, pool)
			r.put(100, "nap")
			wait(after)
			begin := time.Now()
			r.expect(r.finish())
			if took := time.Since(begin); took > time.Second || r.broker.Len("work") != 100 {
				t.Errorf("after %v: a drain of %v, %d in the queue", after, took, r.broker.Len("work"))
			}
		})
	}
}

func TestABurstEndsWithoutTheProgram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sick := napsIn("b")
		sick.Supervise = &supervisor.Spec{Intensity: 1, Period: time.Hour}
		sick, _ = notThere(sick)
		r := burst(t, Pool{Name: "a", Workers: 2, Mux: naps(time.Second)}, sick)
		err := <-r.result
		if _, ok := errors.AsType[*supervisor.ExhaustedError](err); !ok {
			t.Errorf("got %v, want that a pool gave up", err)
		}
		if r.broker.Acked() != 20 || r.broker.Len("b") != 3 || r.broker.Len("dead") != 0 {
			t.Errorf("%d acked, %d in the queue of b, %d dead letters", r.broker.Acked(), r.broker.Len("b"), r.broker.Len("dead"))
		}
	})
}
