package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/fakebroker"
	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/task"
)

// TestChaosOfOperators: deliveries while supervisors restart and operators scale,
// pause, limit and replace; each message is done, none is settled twice.
func TestChaosOfOperators(t *testing.T) {
	const n = 50_000
	ran := make([]atomic.Int32, n)
	mux := handlers(map[string]task.HandlerFunc{"t": func(_ context.Context, m *task.Message) error {
		i, _ := strconv.Atoi(m.ID)
		ran[i].Add(1)
		return nil
	}})
	unlimited := &supervisor.Spec{Intensity: 100_000, Period: time.Second}
	pool := withQueue(Pool{Workers: 4, Slots: 50, High: 500, Low: 100, Mux: mux, Supervise: unlimited})
	b := fakebroker.New()
	s, err := New(Options{
		Dialer: b, Pools: []Pool{pool}, Logger: slog.New(slog.DiscardHandler), Root: unlimitedRoot(), PoolsSupervisor: unlimited,
		Reconnect: supervisor.Backoff{Initial: time.Millisecond, Max: 5 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- s.Run(ctx) }()
	done := map[string]int{}
	calm := make(chan struct{})
	go func() { defer close(calm); operate(ctx, s, b, pool, done) }()
	for i := range n {
		b.Put("work", broker.Publication{Body: fmt.Appendf(nil, `{"task":"t","id":"%d"}`, i)})
		if i%100 == 0 {
			select {
			case <-time.After(4 * time.Millisecond): // as long as the operations
			case <-calm:
			}
		}
	}
	<-calm
	if err := s.Resume(ctx, "work"); err != nil {
		t.Error(err)
	}
	settled := func() bool { return idle(b, s.all()[0]) }
	awaitProgress(t, b, settled, func() string {
		return fmt.Sprintf("%d unsettled, %d ready, depth %d: %+v", b.Unsettled(), b.Len("work"), held(s.all()[0]), s.Stats())
	})
	stop()
	if err := <-result; err != nil {
		t.Error(err)
	}
	lost := 0
	for i := range ran {
		if ran[i].Load() == 0 {
			lost++
		}
	}
	if wrong := b.Wrong(); len(wrong) > 0 || lost > 0 || len(b.Ready("dead")) > 0 {
		t.Errorf("%d settled wrongly (%.3q), %d lost, %d dead-lettered, want none", len(wrong), wrong, lost, len(b.Ready("dead")))
	}
	for _, what := range []string{"restart", "scale", "pause", "limit", "replace", "crash"} {
		if done[what] == 0 {
			t.Errorf("the chaos had no %s", what)
		}
	}
	t.Logf("%d deliveries acked for %d messages; %v", b.Acked(), n, done)
}

func unlimitedRoot() *supervisor.Spec {
	return &supervisor.Spec{Strategy: supervisor.RestForOne, Intensity: 100_000, Period: time.Second}
}

// operate does what operators do, 80 times, and counts in done what succeeded.
func operate(ctx context.Context, s *System, b *fakebroker.Broker, pool Pool, done map[string]int) {
	nodes := []string{"broker", "pools", "work", "router:work", "pool:work", "work/1", "work/2"}
	for i := range 80 {
		what, err := "", error(nil)
		switch i % 8 {
		case 0, 1:
			what, err = "restart", s.Restart(ctx, nodes[rand.IntN(len(nodes))])
		case 2:
			what, err = "scale", s.Scale(ctx, "work", 1+rand.IntN(8))
		case 3:
			what, err = "pause", errors.Join(s.Pause(ctx, "work"), s.Resume(ctx, "work"))
		case 4:
			high := 50 + rand.IntN(500)
			what, err = "limit", s.Limit(ctx, "work", high, rand.IntN(high))
		case 5:
			pool.Workers = 1 + rand.IntN(6)
			what, err = "replace", s.ReplacePool(ctx, pool)
		case 6:
			what = "crash"
			s.tellBroker(&crashed{errors.New("chaos")})
		case 7:
			b.CutSessions()
		}
		if err == nil {
			done[what]++
		}
	}
}

// TestACrashOfTheBrokerActorRestartsWhatStandsAfterIt: the root is rest_for_one.
func TestACrashOfTheBrokerActorRestartsWhatStandsAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var seen []string
		before := Service{ID: "last", Kind: "control", Run: func(ctx context.Context) error { <-ctx.Done(); return nil }}
		r := start(t, Pool{Workers: 2, Mux: naps(time.Second)}, func(o *Options) {
			o.Services = append(o.Services, before)
			o.Observe = func(e supervisor.Event) {
				mu.Lock()
				defer mu.Unlock()
				if slices.Contains([]supervisor.EventType{supervisor.EventStarted, supervisor.EventEnded, supervisor.EventFailed}, e.Type) &&
					!strings.HasPrefix(e.ID, "work/") {
					seen = append(seen, string(e.Type)+" "+e.ID)
				}
			}
		})
		r.put(30, "nap")
		wait(1500 * time.Millisecond)
		mu.Lock()
		up := len(seen)
		mu.Unlock()
		r.system.tellBroker(&crashed{errors.New("chaos")})
		r.until("all are acked", func() bool { return r.broker.Acked() == 30 })
		mu.Lock()
		got := strings.Join(seen[up:], ", ")
		mu.Unlock()
		want := "failed broker, ended last, ended pool:work, ended router:work, ended work, ended pools, " +
			"started broker, started router:work, started pool:work, started work, started pools, started last"
		if got != want {
			t.Errorf("order:\n%s\nwant\n%s", got, want)
		}
		r.expect(r.finish())
	})
}
