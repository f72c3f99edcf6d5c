package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/fakebroker"
	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/task"
)

// chaosWorker crashes now and then, before or after it has passed a flight on,
// or stops although nobody asked it to.
type chaosWorker struct {
	*worker
	crashes, stops *atomic.Int64
}

func (w *chaosWorker) Receive(ctx actor.Context) {
	if _, ok := ctx.Message().(*assign); ok {
		switch rand.IntN(2000) {
		case 0:
			w.crashes.Add(1)
			panic("chaos before the flight")
		case 1:
			defer func() { w.crashes.Add(1); panic("chaos after the flight") }()
		case 2:
			w.stops.Add(1)
			defer ctx.Stop(ctx.Self())
		}
	}
	w.worker.Receive(ctx)
}

// TestChaos is the proof of «exactly one settlement»: deliveries under worker
// panics, worker stops, task panics, Goexits, router crashes and lost consumers
// and sessions. The fake broker lists every settlement that a real broker would
// have refused; and every message must end acked, once.
func TestChaos(t *testing.T) {
	t.Run("coroutine", func(t *testing.T) { chaos(t, Coroutine, 100_000) })
	t.Run("thread", func(t *testing.T) { chaos(t, Thread, 20_000) })
}

func chaos(t *testing.T, mode Mode, n int) {
	t.Helper()
	var crashes, stops, panics, goexits, failures atomic.Int64
	ran := make([]atomic.Int32, n)
	mux := handlers(map[string]task.HandlerFunc{"t": func(_ context.Context, m *task.Message) error {
		i, _ := strconv.Atoi(m.ID)
		switch rand.IntN(300) {
		case 0:
			panics.Add(1)
			panic("chaos in the task")
		case 1:
			goexits.Add(1)
			runtime.Goexit()
		case 2:
			failures.Add(1)
			return errors.New("chaos result")
		}
		ran[i].Add(1)
		return nil
	}})
	unlimited := &supervisor.Spec{Strategy: supervisor.OneForOne, Intensity: 100_000, Period: time.Second, Parallel: true}
	pool := Pool{
		Mode: mode, Workers: 8, High: 1000, Low: 400, Mux: mux, Supervise: unlimited,
		Retry: Retry{MaxAttempts: 100, Backoff: supervisor.Backoff{Initial: time.Millisecond, Max: time.Millisecond}},
	}
	if mode == Coroutine {
		pool.Slots = 100
	}
	b := fakebroker.New()
	s, err := New(Options{
		Dialer: b, Pools: []Pool{withQueue(pool)}, Logger: slog.New(slog.DiscardHandler),
		Reconnect: supervisor.Backoff{Initial: time.Millisecond, Max: 5 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	p := s.all()[0]
	p.worker = func(i int) actor.Actor { return &chaosWorker{newWorker(p, i).(*worker), &crashes, &stops} }

	ctx, stop := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- s.Run(ctx) }()
	var breaker sync.WaitGroup
	breaker.Go(func() { breakThings(ctx, b, p) })

	for i := range n {
		b.Put("work", broker.Publication{Body: fmt.Appendf(nil, `{"task":"t","id":"%d"}`, i)})
	}
	settled := func() bool { return idle(b, p) }
	awaitProgress(t, b, settled, func() string {
		return fmt.Sprintf("%d unsettled, %d ready, depth %d", b.Unsettled(), b.Len("work"), held(p))
	})
	stop()
	breaker.Wait()
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
	if b.Peak() > 1000 {
		t.Errorf("peak in flight %d, want at most 1000", b.Peak())
	}
	for name, c := range map[string]*atomic.Int64{"crashes": &crashes, "stops": &stops, "panics": &panics, "goexits": &goexits, "failures": &failures} {
		if c.Load() == 0 {
			t.Errorf("the chaos had no %s", name)
		}
	}
	t.Logf("%d deliveries acked for %d messages; %d worker crashes, %d stops, %d task panics, %d Goexits, %d failures, peak %d",
		b.Acked(), n, crashes.Load(), stops.Load(), panics.Load(), goexits.Load(), failures.Load(), b.Peak())
}

// awaitProgress waits until everything is settled, as long as the broker gets acks:
// how many in a second depends on the machine.
func awaitProgress(t *testing.T, b *fakebroker.Broker, settled func() bool, state func() string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	acked, since := b.Acked(), time.Now()
	for !settled() {
		<-tick.C
		if n := b.Acked(); n != acked {
			acked, since = n, time.Now()
		}
		if time.Since(since) > time.Minute {
			t.Fatalf("stuck: %s", state())
		}
	}
}

// breakings is how often breakThings breaks something: on a slow machine, more of
// it would be all that there is time for.
const breakings = 400

// breakThings loses consumers and sessions, until ctx ends at the latest, and
// crashes the router and the broker actor as often as their supervisors stand it.
func breakThings(ctx context.Context, b *fakebroker.Broker, p *pool) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for i := range breakings {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		switch {
		case i == 5 || i == 15:
			p.toRouter((*arrivals)(nil))
		case i == 10 || i == 20:
			p.send(p.broker, &crashed{errors.New("chaos")})
		case i%3 == 0:
			b.CutSessions()
		default:
			b.CutConsumers("work")
		}
	}
}

// idle reports whether nothing is left to do. A retry on the ladder is neither in the
// queue nor in a pool.
func idle(b *fakebroker.Broker, p *pool) bool {
	return b.Delayed() == 0 && b.Unsettled() == 0 && b.Len("work") == 0 && held(p) == 0
}

func held(p *pool) int64 {
	if w := p.window.Load(); w != nil {
		return w.mark.Depth()
	}
	return 0
}
