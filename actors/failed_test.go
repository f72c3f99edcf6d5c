package actors

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/task"
)

// TestOnlyFailedAttemptsAreCounted: at a shutdown while the broker takes no copies,
// what has failed is returned so that x-delivery-limit counts it, and nothing else is.
func TestOnlyFailedAttemptsAreCounted(t *testing.T) {
	for name, c := range map[string]struct {
		handler task.HandlerFunc
		want    broker.Verdict
	}{
		"failed":   {func(context.Context, *task.Message) error { return errors.New("no") }, broker.Failed},
		"discard":  {func(context.Context, *task.Message) error { return task.Discard(errors.New("no")) }, broker.Failed},
		"put off":  {func(context.Context, *task.Message) error { return task.Retry(errors.New("later"), time.Second) }, broker.Requeue},
		"obeys":    {sleeper(time.Hour), broker.Requeue},
		"does not": {func(context.Context, *task.Message) error { wait(time.Hour); return nil }, broker.Requeue},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, Pool{Slots: 1, High: 3, Mux: handlers(map[string]task.HandlerFunc{"t": c.handler})})
				r.broker.Refuse(broker.ErrRefused)
				r.put(1, "t")
				wait(10 * time.Second) // its copy was refused some times
				if err := r.finish(); err != nil {
					t.Error(err)
				}
				for _, v := range []broker.Verdict{broker.Ack, broker.Requeue, broker.Reject, broker.Failed} {
					want := 0
					if v == c.want {
						want = 1
					}
					if got := r.broker.Settled(v); got != want {
						t.Errorf("%d settled with verdict %d, want %d", got, v, want)
					}
				}
				if s := r.stats(); s.Requeued != 1 {
					t.Errorf("counted %d as returned, want 1", s.Requeued)
				}
				wait(2 * time.Hour) // the task that does not obey ends
			})
		})
	}
}

// TestWhatHasNotStartedIsNotCounted: a backlog that is handed back has not failed.
func TestWhatHasNotStartedIsNotCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Pool{Slots: 1, High: 10, Mux: naps(time.Second)})
		r.put(10, "nap")
		wait(time.Millisecond)
		r.expect(r.finish())
		if acked, back, failed := r.broker.Settled(broker.Ack), r.broker.Settled(broker.Requeue), r.broker.Settled(broker.Failed); acked != 1 || back < 9 || failed != 0 {
			t.Errorf("%d acked, %d returned, %d of them counted; want 1, 9 or more and none", acked, back, failed)
		}
	})
}

// TestCopiesThatWait: a pool says how many copies the broker has not confirmed, and since
// when none was.
func TestCopiesThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hopeless := func(context.Context, *task.Message) error { return task.Discard(errors.New("no")) }
		r := start(t, Pool{Slots: 1, High: 4, Mux: handlers(map[string]task.HandlerFunc{"t": hopeless})})
		waits := func(copies int64, since time.Time) {
			t.Helper()
			if s := r.stats(); s.Copies != copies || !s.CopiesSince.Equal(since) {
				t.Errorf("%d copies since %v, want %d since %v", s.Copies, s.CopiesSince, copies, since)
			}
		}
		waits(0, time.Time{})
		r.broker.Refuse(broker.ErrRefused)
		began := time.Now()
		r.put(4, "t")
		wait(20 * time.Second)
		waits(4, began)
		r.broker.Refuse(nil)
		wait(time.Minute)
		waits(0, time.Time{})
		r.broker.Refuse(broker.ErrRefused)
		began = time.Now()
		r.put(2, "t")
		wait(20 * time.Second)
		waits(2, began)
		r.broker.CutSessions() // their deliveries are lost, and come again
		wait(20 * time.Second)
		if s := r.stats(); s.Copies != 2 || s.InFlight != 2 {
			t.Errorf("%d copies of %d in flight, want 2 of 2", s.Copies, s.InFlight)
		}
		r.broker.Refuse(nil)
		wait(time.Minute)
		waits(0, time.Time{})
		r.expect(r.finish())
	})
}
