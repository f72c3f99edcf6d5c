package dedup_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magne-actors/magne-actors/internal/deduptest"
	"github.com/magne-actors/magne-actors/task"
	"github.com/magne-actors/magne-actors/task/dedup"
)

// TestMemory waits in real time: synctest knows no subtests.
func TestMemory(t *testing.T) {
	deduptest.Run(t, new(dedup.Memory), func(d time.Duration) { <-time.After(d) })
}

func mux(s dedup.Store, o dedup.Options, h task.HandlerFunc) *task.Mux {
	x := task.NewMux()
	x.Use(dedup.New(s, o))
	x.Handle("t", h)
	return x
}

func TestAHandlerRunsOnceInTwoProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		store := new(dedup.Memory)
		slow := func(ctx context.Context, _ *task.Message) error {
			if _, token, ok := dedup.TokenOf(ctx); !ok || token == 0 {
				t.Error("the handler has no token")
			}
			runs.Add(1)
			<-time.After(10 * time.Minute) // ten leases
			return nil
		}
		one, two := mux(store, dedup.Options{}, slow), mux(store, dedup.Options{}, slow)
		m := &task.Message{ID: "1", Name: "t", Queue: "q"}
		first := make(chan error, 1)
		go func() { first <- one.Run(t.Context(), m) }()
		<-time.After(5 * time.Minute)
		if o := task.OutcomeOf(two.Run(t.Context(), m)); o.Kind != task.KindRetry || o.After != 20*time.Second {
			t.Errorf("while it runs elsewhere: %+v, want a retry after a third of the lease", o)
		}
		if err := <-first; err != nil {
			t.Error(err)
		}
		if err := two.Run(t.Context(), m); err != nil || runs.Load() != 1 {
			t.Errorf("%v, %d runs, want 1", err, runs.Load())
		}
		other := &task.Message{Name: "t", Queue: "q"} // without an id
		if err := mux(store, dedup.Options{}, func(context.Context, *task.Message) error { return nil }).Run(t.Context(), other); err != nil {
			t.Error(err)
		}
	})
}

// TestAFailedRunGivesTheKeyBack, however it ended.
func TestAFailedRunGivesTheKeyBack(t *testing.T) {
	for name, fail := range map[string]func() error{
		"error": func() error { return errors.New("no") }, "panic": func() error { panic("no") },
		"goexit": func() error { runtime.Goexit(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			store, runs := new(dedup.Memory), 0
			x := mux(store, dedup.Options{}, func(context.Context, *task.Message) error {
				if runs++; runs == 1 {
					return fail()
				}
				return nil
			})
			m := &task.Message{ID: "1", Name: "t"}
			ended := make(chan struct{})
			go func() { defer close(ended); _ = x.Run(t.Context(), m) }()
			<-ended
			if err := x.Run(t.Context(), m); err != nil || runs != 2 {
				t.Errorf("%v, %d runs, want a second one", err, runs)
			}
		})
	}
}

// frail is a store that loses its connection.
type frail struct {
	dedup.Store
	down atomic.Bool
}

func (f *frail) Renew(ctx context.Context, key string, t dedup.Token, lease time.Duration) error {
	if f.down.Load() {
		return errors.New("no connection")
	}
	return f.Store.Renew(ctx, key, t, lease)
}

// TestALeaseThatCannotBeRenewedEndsTheHandler before it is over.
func TestALeaseThatCannotBeRenewedEndsTheHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &frail{Store: new(dedup.Memory)}
		x := mux(store, dedup.Options{Lease: 30 * time.Second}, func(ctx context.Context, _ *task.Message) error {
			<-time.After(time.Minute)
			store.down.Store(true)
			began := time.Now()
			<-ctx.Done()
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("cancelled after %v", took)
			}
			return context.Cause(ctx)
		})
		if err := x.Run(t.Context(), &task.Message{ID: "1", Name: "t"}); !errors.Is(err, dedup.ErrLostLease) {
			t.Errorf("%v", err)
		}
	})
}
