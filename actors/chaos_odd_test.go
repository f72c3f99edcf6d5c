package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
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

type oddSession struct{ broker.Session }

func (s oddSession) Publish(ctx context.Context, p *broker.Publication, done func(error)) error {
	switch rand.IntN(20) {
	case 0:
		return errors.New("odd: not accepted")
	case 1:
		wait(time.Duration(rand.IntN(3)) * time.Millisecond)
	case 2:
		return s.Session.Publish(ctx, p, func(err error) { go func() { wait(2 * time.Millisecond); done(err) }() })
	case 3:
		return s.Session.Publish(ctx, p, func(err error) { go func() { done(broker.ErrUnknown) }() })
	}
	return s.Session.Publish(ctx, p, done)
}

func (s oddSession) Consume(ctx context.Context, src broker.Source) (broker.Consumer, error) {
	if rand.IntN(5) == 0 {
		return nil, errors.New("odd consume")
	}
	c, err := s.Session.Consume(ctx, src)
	if err != nil {
		return nil, err
	}
	return oddConsumer{c}, nil
}

type oddConsumer struct{ broker.Consumer }

func (c oddConsumer) Close(ctx context.Context) error {
	wait(time.Duration(rand.IntN(20)) * time.Millisecond)
	return c.Consumer.Close(ctx)
}

func (c oddConsumer) Cancel(ctx context.Context) error {
	wait(time.Duration(rand.IntN(20)) * time.Millisecond)
	if rand.IntN(4) == 0 {
		return errors.New("odd cancel")
	}
	return c.Consumer.Cancel(ctx)
}

// TestChaosUnderTimeouts is TestChaos with tasks that outlive their timeout and
// their abandonment, and a broker that is slow, refuses and forgets to confirm.
func TestChaosUnderTimeouts(t *testing.T) {
	t.Run("coroutine", func(t *testing.T) { oddChaos(t, Coroutine, 20_000) })
	t.Run("thread", func(t *testing.T) { oddChaos(t, Thread, 20_000) })
}

func oddChaos(t *testing.T, mode Mode, n int) {
	t.Helper()
	var crashes, stops, late atomic.Int64
	ran := make([]atomic.Int32, n)
	mux := handlers(map[string]task.HandlerFunc{"t": func(ctx context.Context, m *task.Message) error {
		i, _ := strconv.Atoi(m.ID)
		switch rand.IntN(300) {
		case 0:
			panic("chaos in the task")
		case 1:
			runtime.Goexit()
		case 2:
			return errors.New("chaos result")
		case 3, 4, 5:
			late.Add(1)
			wait(time.Duration(rand.IntN(60)) * time.Millisecond)
			return errors.New("late")
		}
		ran[i].Add(1)
		return nil
	}})
	unlimited := &supervisor.Spec{Strategy: supervisor.OneForOne, Intensity: 100_000, Period: time.Second, Parallel: true}
	pool := Pool{
		Mode: mode, Workers: 8, High: 200, Low: 80, Mux: mux, Supervise: unlimited, Timeout: 10 * time.Millisecond, AbandonAfter: 5 * time.Millisecond,
		Retry: Retry{MaxAttempts: 1000, Backoff: supervisor.Backoff{Initial: 20 * time.Millisecond, Max: 20 * time.Millisecond, Jitter: 1}},
	}
	if mode == Coroutine {
		pool.Slots = 10
	}
	b := fakebroker.New()
	s, err := New(Options{
		Dialer: wrapDialer{b, func(s broker.Session) broker.Session { return oddSession{s} }}, Pools: []Pool{withQueue(pool)}, Logger: slog.New(slog.DiscardHandler),
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
	bctx, bstop := context.WithCancel(ctx)
	var breaker sync.WaitGroup
	breaker.Go(func() { breakThings(bctx, b, p) })
	for i := range n {
		b.Put("work", broker.Publication{Body: fmt.Appendf(nil, `{"task":"t","id":"%d"}`, i)})
	}
	settled := func() bool { return idle(b, p) }
	calm := time.AfterFunc(60*time.Second, bstop)
	defer calm.Stop()
	awaitProgress(t, b, settled, func() string {
		var state strings.Builder
		fmt.Fprintf(&state, "%d unsettled, %d ready, depth %d, router %+v", b.Unsettled(), b.Len("work"), held(p), find(s.Tree(), "router:work"))
		for i, w := range p.workers.all() {
			fmt.Fprintf(&state, "; w%d assigned %d running %d abandoned %d", i, w.assigned.Load(), w.running.Load(), w.abandoned.Load())
		}
		return state.String()
	})
	bstop()
	breaker.Wait()
	wait(200 * time.Millisecond)
	for i := range p.workers.all() {
		if a, r, ab := p.workers.all()[i].assigned.Load(), p.workers.all()[i].running.Load(), p.workers.all()[i].abandoned.Load(); a != 0 || r != 0 || ab != 0 {
			t.Errorf("w%d assigned %d running %d abandoned %d", i, a, r, ab)
		}
	}
	nn := find(s.Tree(), "router:work")
	t.Logf("late %d crashes %d router restarts %d lasterr %q acked %d", late.Load(), crashes.Load(), *nn.Restarts, nn.LastError, b.Acked())
	begin := time.Now()
	stop()
	if err := <-result; err != nil {
		t.Error(err)
	}
	t.Logf("stop %v", time.Since(begin))
	lost := 0
	for i := range ran {
		if ran[i].Load() == 0 {
			lost++
		}
	}
	if wrong := b.Wrong(); len(wrong) > 0 || lost > 0 || len(b.Ready("dead")) > 0 {
		t.Errorf("%d settled wrongly (%.3q), %d lost, %d dead-lettered", len(wrong), wrong, lost, len(b.Ready("dead")))
	}
	if b.Peak() > 200 {
		t.Errorf("peak %d", b.Peak())
	}
}
