package actors

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/fakebroker"
	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/task"
)

// TestLossesWithoutDuplicates: sessions and consumers are lost all the time, and acks
// with them. Nothing is run twice for that, unless it is asked for.
func TestLossesWithoutDuplicates(t *testing.T) {
	n := 40_000
	if testing.Short() {
		n = 10_000
	}
	without := losingSessions(t, n, DedupOff)
	with := losingSessions(t, n, DedupProcess)
	t.Logf("duplicate executions of %d messages: %d without deduplication, %d with", n, without, with)
	if with > 0 || without == 0 {
		t.Errorf("%d duplicate executions, want none; %d without deduplication, want some", with, without)
	}
}

// losingSessions runs n messages of 0..20 ms, and returns how many executions were
// duplicates.
func losingSessions(t *testing.T, n int, dedup Dedup) int {
	t.Helper()
	ran := make([]atomic.Int32, n)
	mux := handlers(map[string]task.HandlerFunc{"t": func(_ context.Context, m *task.Message) error {
		i, _ := strconv.Atoi(m.ID)
		wait(time.Duration(rand.IntN(20)) * time.Millisecond)
		ran[i].Add(1)
		return nil
	}})
	b := fakebroker.New()
	late := &lateSessions{Dialer: b}
	s, err := New(Options{
		Dialer: late, Logger: slog.New(slog.DiscardHandler), Reconnect: quick(),
		Pools: []Pool{withQueue(Pool{Workers: 4, Slots: 50, High: 400, Mux: mux, Dedup: dedup})},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- s.Run(ctx) }()
	for i := range n {
		id := strconv.Itoa(i)
		b.Put("work", broker.Publication{Properties: broker.Properties{MessageID: id}, Body: fmt.Appendf(nil, `{"task":"t","id":%q}`, id)})
	}
	var breaker sync.WaitGroup
	breaker.Go(func() { late.lose(ctx, b) })
	p := s.all()[0]
	settled := func() bool { return idle(b, p) }
	awaitProgress(t, b, settled, func() string {
		return fmt.Sprintf("%d unsettled, %d ready, %+v", b.Unsettled(), b.Len("work"), p.stats())
	})
	st := p.stats()
	stop()
	breaker.Wait()
	if err := <-result; err != nil {
		t.Error(err)
	}
	lost, again := 0, 0
	for i := range ran {
		if k := int(ran[i].Load()); k > 0 {
			again += k - 1
		} else {
			lost++
		}
	}
	if wrong := b.Wrong(); len(wrong) > 0 || lost > 0 {
		t.Errorf("%d settled wrongly (%.3q), %d lost, want none", len(wrong), wrong, lost)
	}
	t.Logf("%d losses: %d deliveries lost, %d adopted, %d results after the loss, %d recalled, %d acks lost",
		late.cuts.Load(), st.Lost, st.Adopted, st.ResultAfterLoss, st.Recalled, late.swallowed.Load())
	return again
}

// lateSessions are sessions that lose the settlements of their last moments, as a
// socket does.
type lateSessions struct {
	broker.Dialer
	deaf            atomic.Bool
	cuts, swallowed atomic.Int64
}

// lose ends the sessions or the consumers 100 times, and goes deaf before.
func (l *lateSessions) lose(ctx context.Context, b *fakebroker.Broker) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := range 200 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		switch {
		case i%2 == 0:
			l.deaf.Store(i%4 == 0)
			continue
		case i%3 == 0:
			b.CutConsumers("work")
		default:
			b.CutSessions()
		}
		l.cuts.Add(1)
	}
}

func (l *lateSessions) Dial(ctx context.Context) (broker.Session, error) {
	s, err := l.Dialer.Dial(ctx)
	l.deaf.Store(false)
	return lateSession{s, l}, err
}

type lateSession struct {
	broker.Session
	late *lateSessions
}

func (s lateSession) Consume(ctx context.Context, src broker.Source) (broker.Consumer, error) {
	c, err := s.Session.Consume(ctx, src)
	s.late.deaf.Store(false)
	return &lateConsumer{Consumer: c, late: s.late, settled: src.Settled}, err
}

type lateConsumer struct {
	broker.Consumer
	late    *lateSessions
	deaf    atomic.Bool // for good
	settled func(int)
}

func (c *lateConsumer) Settle(tag uint64, v broker.Verdict) error {
	if c.late.deaf.Load() && !isDone(c.Done()) {
		c.deaf.Store(true)
	}
	if c.deaf.Load() && !isDone(c.Done()) {
		c.late.swallowed.Add(1)
		c.settled(1)
		return nil
	}
	return c.Consumer.Settle(tag, v)
}

// quick is a backoff for tests that lose many sessions.
func quick() supervisor.Backoff {
	return supervisor.Backoff{Initial: time.Millisecond, Max: 5 * time.Millisecond}
}
