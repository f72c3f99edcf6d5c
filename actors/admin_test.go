package actors

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/task"
)

func naps(d time.Duration) *task.Mux { return handlers(map[string]task.HandlerFunc{"nap": sleeper(d)}) }

// expect fails the test when an operation did not do what it says.
func (r *rig) expect(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) stats() PoolStats { return r.system.Stats()[0] }

func TestScaleChangesHowMuchRunsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Pool{Workers: 2, Slots: 3, Mux: naps(10 * time.Second)})
		r.put(500, "nap")
		for _, n := range []int{2, 10, 1, 5} {
			r.expect(r.system.Scale(t.Context(), "work", n))
			r.until("the surplus has ended", func() bool { return r.stats().Running == int64(3*n) })
			if s := r.stats(); s.Workers != int64(n) || s.High != int64(3*n) {
				t.Errorf("scaled to %d: %d workers, high %d", n, s.Workers, s.High)
			}
			if pool := find(r.system.Tree(), "pool:work"); len(pool.Children) != n || pool.Detail != fmt.Sprintf("%d/%d", n, n) {
				t.Errorf("the tree has %d workers, %s", len(pool.Children), pool.Detail)
			}
		}
		r.until("all are acked", func() bool { return r.broker.Acked() == 500 })
		r.expect(r.finish())
	})
}

func TestScaleToWhatCannotBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Pool{Mode: Thread, Workers: 2, Mux: naps(time.Second)})
		for _, n := range []int{-1, 0, MaxThreads + 1} {
			if err := r.system.Scale(t.Context(), "work", n); err == nil {
				t.Errorf("scaled to %d", n)
			}
		}
		for _, err := range []error{
			r.system.Scale(t.Context(), "none", 1), r.system.Pause(t.Context(), "none"), r.system.Resume(t.Context(), "none"),
			r.system.Limit(t.Context(), "none", 2, 1), r.system.RemovePool(t.Context(), "none"), r.system.Kill("none"),
		} {
			if !errors.Is(err, supervisor.ErrNotFound) {
				t.Errorf("%v is not ErrNotFound", err)
			}
		}
		r.expect(r.finish())
	})
}

// TestPauseHandsBackAndResumeGoesOn: what runs at a pause is settled, the rest is
// in its queue, and nothing is run twice.
func TestPauseHandsBackAndResumeGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Pool{Workers: 3, High: 20, Low: 10, Mux: naps(10 * time.Second)})
		r.put(50, "nap")
		synctest.Wait()
		r.expect(r.system.Pause(t.Context(), "router:work"))
		synctest.Wait()
		if n, s := r.broker.Len("work"), r.stats(); n != 47 || s.Running != 3 || s.InFlight != 3 || !s.Suspended || s.Consuming {
			t.Errorf("%d in the queue, %+v", n, s)
		}
		if n := find(r.system.Tree(), "router:work"); n.State != "suspended" || !strings.Contains(n.Detail, "by an operator") {
			t.Errorf("router is %s, %s", n.State, n.Detail)
		}
		wait(time.Minute)
		if r.broker.Acked() != 3 || r.broker.Consumers("work") != 0 {
			t.Errorf("%d acked, %d consumers", r.broker.Acked(), r.broker.Consumers("work"))
		}
		r.broker.CutSessions() // it stays paused
		r.expect(r.system.Restart(t.Context(), "router:work"))
		wait(time.Minute)
		if n := r.broker.Len("work"); n != 47 {
			t.Errorf("%d in the queue", n)
		}
		r.expect(r.system.Resume(t.Context(), "work"))
		r.until("all are acked", func() bool { return r.broker.Acked() == 50 })
		if s := r.stats(); s.Acked != 50 || s.Suspended || s.Requeued == 0 {
			t.Errorf("%+v", s)
		}
		r.expect(r.finish())
	})
}

// TestResumeWhileTasksOfBeforeStillRun: they are settled on the consumer that they
// came from, which is closed after the last.
func TestResumeWhileTasksOfBeforeStillRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Pool{Workers: 4, Mux: naps(10 * time.Second)})
		r.put(40, "nap")
		for range 5 {
			wait(3 * time.Second)
			r.expect(r.system.Pause(t.Context(), "work"))
			r.expect(r.system.Resume(t.Context(), "work"))
		}
		r.until("all are acked", func() bool { return r.broker.Acked() == 40 })
		wait(time.Second)
		if n := r.broker.Consumers("work"); n != 1 {
			t.Errorf("%d consumers", n)
		}
		r.expect(r.finish())
	})
}

func TestLimitMovesTheWatermarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Pool{Workers: 1, Slots: 1000, High: 10, Low: 5, Mux: naps(time.Second)})
		r.put(20000, "nap")
		for _, c := range []struct{ high, low int }{{100, 50}, {7, 0}, {1000, 999}} {
			r.expect(r.system.Limit(t.Context(), "work", c.high, c.low))
			wait(5 * time.Second)
			s := r.stats()
			if s.InFlight > s.High || s.High != int64(c.high) || s.Low != int64(c.low) || s.InFlight == 0 {
				t.Errorf("%+v: %d in flight, high %d, low %d", c, s.InFlight, s.High, s.Low)
			}
		}
		for _, c := range []struct{ high, low int }{{0, 0}, {5, 5}, {5, -1}, {MaxHigh + 1, 1}} {
			if r.system.Limit(t.Context(), "work", c.high, c.low) == nil {
				t.Errorf("took %+v", c)
			}
		}
		r.until("all are acked", func() bool { return r.broker.Acked() == 20000 })
		r.expect(r.finish())
	})
}

func TestCancelDeadLettersATask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Pool{Workers: 3, Mux: naps(time.Hour)})
		r.broker.Put("work", broker.Publication{Body: []byte(`{"task":"nap"}`)})
		r.put(2, "nap")
		synctest.Wait()
		if _, err := r.system.Cancel(t.Context(), "7"); !errors.Is(err, supervisor.ErrNotFound) {
			t.Errorf("cancelled what is not there: %v", err)
		}
		for _, id := range []string{"1", "work#1"} {
			if n, err := r.system.Cancel(t.Context(), id); n != 1 || err != nil {
				t.Errorf("cancel %s: %d, %v", id, n, err)
			}
		}
		wait(time.Second)
		dead := r.broker.Ready("dead")
		if len(dead) != 2 || dead[0].Headers[headerReason] != reasonCancelled || r.stats().DeadLettered != 2 {
			t.Errorf("dead letters: %+v", dead)
		}
		if list := r.system.Tasks(); len(list) != 1 || list[0].ID != "0" {
			t.Errorf("still running: %+v", list)
		}
		r.expect(r.finish())
	})
}

// TestPoolsComeAndGo: a pool that is added, replaced and removed disturbs no other
// one, and what it had is not lost.
func TestPoolsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Pool{Name: "other", Workers: 2, Mux: naps(time.Second)})
		mail := Pool{
			Name: "mail", Queue: broker.Queue{Name: "mail", Dead: &broker.Queue{Name: "dead"}}, Workers: 5, Mux: naps(10 * time.Second),
		}
		mail = withQueue(mail)
		r.put(1000, "nap")
		for i := range 40 {
			r.broker.Put("mail", broker.Publication{Body: fmt.Appendf(nil, `{"task":"nap","id":"m%d"}`, i)})
		}
		before := generations(r.system.Tree(), "other")
		r.expect(r.system.AddPool(t.Context(), mail))
		if err := r.system.AddPool(t.Context(), mail); err == nil {
			t.Error("a pool was added twice")
		}
		wait(12 * time.Second)
		mail.Workers = 7
		r.expect(r.system.ReplacePool(t.Context(), mail))
		synctest.Wait()
		left := r.broker.Len("mail")
		if n := r.stats2("mail"); n.Running != 7 || left > 25 {
			t.Errorf("%d run, %d in the queue", n.Running, left)
		}
		r.expect(r.system.RemovePool(t.Context(), "mail"))
		if n := r.broker.Len("mail"); n != left || find(r.system.Tree(), "mail") != nil || len(r.system.Stats()) != 1 {
			t.Errorf("%d in the queue, want %d", n, left)
		}
		if after := generations(r.system.Tree(), "other"); !maps.Equal(before, after) {
			t.Errorf("the other pool was touched: %v, %v", before, after)
		}
		r.until("the other pool is done", func() bool { return len(r.broker.Ready("work")) == 0 && r.stats().InFlight == 0 })
		r.expect(r.finish())
	})
}

func (r *rig) stats2(pool string) PoolStats {
	for _, s := range r.system.Stats() {
		if s.Pool == pool {
			return s
		}
	}
	return PoolStats{}
}

// generations are when the nodes below an id came up, by id.
func generations(n *supervisor.Node, id string) map[string]time.Time {
	all := map[string]time.Time{}
	var visit func(n *supervisor.Node)
	visit = func(n *supervisor.Node) {
		if strings.HasPrefix(n.Kind, "worker") {
			all[n.ID] = *n.Since
		}
		for _, c := range n.Children {
			visit(c)
		}
	}
	visit(find(n, id))
	return all
}

// TestRemoveCutsOffWhatDoesNotEnd within Shutdown.
func TestRemoveCutsOffWhatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Pool{Name: "keep", Mux: naps(time.Second)}, func(o *Options) { o.Shutdown = 5 * time.Second })
		slow := withQueue(Pool{Name: "slow", Queue: broker.Queue{Name: "slow", Dead: &broker.Queue{Name: "dead"}}, Workers: 2, Mux: naps(time.Hour)})
		r.expect(r.system.AddPool(t.Context(), slow))
		for range 2 {
			r.broker.Put("slow", broker.Publication{Body: []byte(`{"task":"nap"}`)})
		}
		synctest.Wait()
		begin := time.Now()
		r.expect(r.system.RemovePool(t.Context(), "slow"))
		if took := time.Since(begin); took < 5*time.Second || took > 8*time.Second || r.broker.Len("slow") != 2 {
			t.Errorf("it took %v, %d are in the queue", took, r.broker.Len("slow"))
		}
		r.expect(r.finish())
	})
}

// TestAParkedPoolTakesNothing until an operator brings it back; its neighbour runs
// on, and what it had is in the queue.
func TestAParkedPoolTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Pool{Name: "other", Mux: naps(time.Second)})
		sick := withQueue(Pool{
			Name: "sick", Queue: broker.Queue{Name: "sick", Dead: &broker.Queue{Name: "dead"}}, Workers: 3, Mux: naps(time.Second),
			Supervise: &supervisor.Spec{Intensity: 3, Period: time.Minute, OnExhausted: supervisor.Park},
		})
		var ill atomic.Bool
		ill.Store(true)
		p := r.adopt(sick, func(w *worker) actorFunc { return failing(w, &ill) })
		for range 10 {
			r.broker.Put("sick", broker.Publication{Body: []byte(`{"task":"nap"}`)})
		}
		r.until("it is parked", func() bool { return r.stats2("sick").Parked })
		synctest.Wait()
		tree := r.system.Tree()
		if n := find(tree, "pool:sick"); n.State != "failed" || n.Detail == "" || n.LastError == "" {
			t.Errorf("the pool is %s, %s: %s", n.State, n.Detail, n.LastError)
		}
		if n := find(tree, "router:sick"); n.State != "suspended" || !strings.Contains(n.Detail, "parked") {
			t.Errorf("the router is %s, %s", n.State, n.Detail)
		}
		if r.broker.Len("sick") != 10 || p.inFlight() != 0 {
			t.Errorf("%d in the queue, %d in flight", r.broker.Len("sick"), p.inFlight())
		}
		r.put(5, "nap")
		r.until("the other pool runs on", func() bool { return r.broker.Acked() == 5 })
		before := r.stats2("sick")
		if err := r.system.Scale(t.Context(), "sick", 2); !errors.Is(err, supervisor.ErrNotRunning) {
			t.Errorf("scaled: %v", err)
		}
		if err := r.system.Resume(t.Context(), "sick"); err == nil {
			t.Error("it was resumed")
		}
		if s := r.stats2("sick"); s.Size != 3 || s.High != before.High || s.Low != before.Low {
			t.Errorf("a scale that failed left size %d, watermarks %d/%d", s.Size, s.High, s.Low)
		}
		ill.Store(false)
		r.expect(r.system.Restart(t.Context(), "pool:sick"))
		r.until("all are acked", func() bool { return r.broker.Acked() == 15 })
		if n := find(r.system.Tree(), "pool:sick"); n.Detail != "3/3" {
			t.Errorf("the pool is %s", n.Detail)
		}
		r.expect(r.finish())
	})
}

// TestAPoolThatEscalatesEndsTheSystem with the defaults for all else, although each
// time that it gives up takes seconds, because of the backoff of its workers.
func TestAPoolThatEscalatesEndsTheSystem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Pool{Name: "other", Mux: naps(time.Second)})
		sick := withQueue(Pool{
			Name: "sick", Queue: broker.Queue{Name: "sick", Dead: &broker.Queue{Name: "dead"}}, Mux: naps(time.Second),
			Supervise: &supervisor.Spec{Intensity: 5, Period: time.Minute, Backoff: supervisor.Backoff{Initial: 200 * time.Millisecond, Max: 30 * time.Second}},
		})
		var ill atomic.Bool
		ill.Store(true)
		r.adopt(sick, func(w *worker) actorFunc { return failing(w, &ill) })
		r.broker.Put("sick", broker.Publication{Body: []byte(`{"task":"nap"}`)})
		begin := time.Now()
		err := <-r.result
		exhausted, ok := errors.AsType[*supervisor.ExhaustedError](err)
		if !ok || exhausted.Supervisor != "root" || !strings.Contains(err.Error(), "sick/1: panic: sick") {
			t.Errorf("Run = %v", err)
		}
		if took := time.Since(begin); took < 4*6*time.Second || took > time.Minute {
			t.Errorf("it took %v, want four times what one pool needs to give up", took)
		}
		if r.broker.Len("sick") != 1 {
			t.Errorf("%d messages are back in the queue", r.broker.Len("sick"))
		}
	})
}

func TestBurstEndsWhenTheQueuesAreEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *rig
		begin := time.Now()
		second := withQueue(Pool{Name: "b", Queue: broker.Queue{Name: "b", Dead: &broker.Queue{Name: "dead"}}, Mux: naps(time.Second)})
		b := make(chan *rig, 1)
		r = start(t, Pool{Name: "a", Workers: 5, Mux: naps(time.Second)}, func(o *Options) {
			o.Pools = append(o.Pools, second)
			o.Burst = func(_ context.Context, queue string) (int, error) {
				r := <-b
				b <- r
				return r.broker.Len(queue), nil
			}
		})
		r.put(50, "nap")
		r.broker.Put("b", broker.Publication{Body: []byte(`{"task":"nap"}`)})
		b <- r
		if err := <-r.result; err != nil {
			t.Error(err)
		}
		if r.broker.Acked() != 51 || time.Since(begin) > 15*time.Second {
			t.Errorf("%d acked after %v", r.broker.Acked(), time.Since(begin))
		}
		if wrong := r.broker.Wrong(); len(wrong) > 0 || r.broker.Unsettled() > 0 {
			t.Errorf("settled wrongly: %v; %d unsettled", wrong, r.broker.Unsettled())
		}
	})
}

func TestSizer(t *testing.T) {
	now := time.Unix(0, 0)
	s := sizer{Size: Size{Min: 2, Max: 4, Spare: 0, IdleTTL: time.Minute, ScaleUpAfter: time.Second}}
	size := 1
	for i, c := range []struct {
		after         time.Duration
		idle, waiting int
		want          int
	}{
		{0, 0, 0, 2},               // below the minimum
		{0, 0, 5, 2},               // something waits
		{time.Second, 0, 5, 3},     // for long enough
		{time.Second / 2, 0, 5, 3}, // it has begun to wait anew
		{time.Second / 2, 0, 5, 3},
		{time.Second / 2, 0, 5, 4},
		{time.Hour, 0, 5, 4}, // the maximum
		{0, 4, 0, 4},         // idle
		{time.Minute - 1, 4, 0, 4},
		{1, 4, 0, 3}, // for long enough
		{time.Minute / 2, 3, 0, 3},
		{time.Minute / 2, 0, 0, 3}, // busy meanwhile
		{time.Minute / 2, 3, 0, 3},
		{time.Minute, 3, 0, 2},
		{time.Hour, 2, 0, 2}, // the minimum
	} {
		now = now.Add(c.after)
		size = s.next(load{size, c.idle, c.waiting}, now)
		if size != c.want {
			t.Errorf("step %d: %d workers, want %d", i, size, c.want)
			size = c.want
		}
	}
	spare := sizer{Size: Size{Min: 1, Max: 9, Spare: 2}.withDefaults()}
	if n := spare.next(load{3, 1, 0}, now); n != 4 {
		t.Errorf("with one idle of two spare ones: %d workers, want 4", n)
	}
}

// TestAPanicMayCrashTheWorker: it is restarted with the stack of the handler to be
// seen, what else it runs goes on, and the pool gives up in the end.
func TestAPanicMayCrashTheWorker(t *testing.T) {
	for _, mode := range []Mode{Coroutine, Thread} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, Pool{
				Mode: mode, Workers: 2, High: 4, OnPanic: CrashWorker, Retry: Retry{MaxAttempts: 2, Backoff: supervisor.Backoff{Initial: time.Second}},
				Supervise: &supervisor.Spec{Intensity: 3, Period: time.Hour, OnExhausted: supervisor.Park, Backoff: supervisor.Backoff{Initial: time.Second}},
				Mux: handlers(map[string]task.HandlerFunc{
					"nap": sleeper(10 * time.Second), "panic": func(context.Context, *task.Message) error { panic("as asked") },
				}),
			})
			r.put(1, "nap")
			r.put(1, "panic")
			wait(500 * time.Millisecond)
			var crashed *supervisor.Node
			for _, id := range []string{"work/1", "work/2"} {
				if n := r.system.Inspect(id); n.State == "backoff" {
					crashed = n
				}
			}
			if crashed == nil || crashed.LastError != "panic: as asked" || !strings.Contains(crashed.Stack, "TestAPanicMayCrashTheWorker") {
				t.Fatalf("crashed: %+v", crashed)
			}
			wait(time.Minute)
			// The nap, the panic that is retried, and the one that is given up.
			if r.broker.Acked() != 3 || len(r.broker.Ready("dead")) != 1 || r.stats().Parked {
				t.Errorf("%d acked, %d dead-lettered", r.broker.Acked(), len(r.broker.Ready("dead")))
			}
			r.put(1, "panic") // two more, and 3 restarts are allowed
			r.until("it is parked", func() bool { return r.stats().Parked })
			r.expect(r.finish())
		})
	}
}
