package rabbit43

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/actors"
	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/task"
	"github.com/magne-actors/magne-actors/task/codec"
)

// TestPoolGoesOn: a task that is too slow for the broker costs its pool the consumer and
// nothing else. The cause is told, what runs is run once, and its result settles the
// delivery that has come again.
func TestPoolGoesOn(t *testing.T) {
	const n = 4
	p := start(t, true)
	p.queues["work.dead"] = &queue{name: "work.dead", limit: 20}
	var mu sync.Mutex
	runs, told := map[string]int{}, []supervisor.Event(nil)
	begun, release := make(chan struct{}, 2*n), make(chan struct{})
	mux := task.NewMux()
	mux.Handle("t", task.HandlerFunc(func(ctx context.Context, m *task.Message) error {
		mu.Lock()
		runs[m.ID]++
		mu.Unlock()
		begun <- struct{}{}
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}))
	json, err := codec.ByName("json")
	if err != nil {
		t.Fatal(err)
	}
	q := work()
	q.Dead = &broker.Queue{Name: "work.dead"}
	s, err := actors.New(actors.Options{
		Dialer: p.dialer(),
		Pools:  []actors.Pool{{Name: "work", Queue: q, Codec: json, Mux: mux, Slots: n, High: n}},
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Observe: func(e supervisor.Event) {
			mu.Lock()
			told = append(told, e)
			mu.Unlock()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- s.Run(ctx) }()
	var bodies []string
	for i := range n {
		bodies = append(bodies, fmt.Sprintf(`{"task":"t","id":"%d"}`, i))
	}
	p.put("work", bodies...)
	for range n {
		<-begun
	}
	p.late(bodies[0])
	p.until("all are delivered again", func() bool {
		for c := range p.consumersOf(p.queues["work"]) {
			if c.held == n && !c.suspended {
				return true
			}
		}
		return false
	})
	close(release)
	p.until("all are acked", func() bool { return len(p.acked) == n })
	stop()
	if err := <-result; err != nil {
		t.Error(err)
	}
	p.until("nothing is left", func() bool { return len(p.conns) == 0 && len(p.queues["work"].ready) == 0 })
	mu.Lock()
	defer mu.Unlock()
	for i := range n {
		if id := fmt.Sprint(i); runs[id] != 1 {
			t.Errorf("task %s was run %d times, want once", id, runs[id])
		}
	}
	causes := 0
	for _, e := range told {
		if e.Type == supervisor.EventType(broker.FaultCancelled) && strings.Contains(e.Error, "a delivery was not settled in time") {
			causes++
		}
	}
	if causes != 1 {
		t.Errorf("the cause was told %d times, want once: %+v", causes, told)
	}
}

// TestGuardKeepsTheConsumer: with broker.ack_timeout, what is near the limit is kept
// apart, and when RabbitMQ closes that channel the pool has long got another.
func TestGuardKeepsTheConsumer(t *testing.T) {
	p := start(t, true)
	p.queues["work.dead"] = &queue{name: "work.dead", limit: 20}
	begun := make(chan string, 10)
	mux := task.NewMux()
	mux.Handle("t", task.HandlerFunc(func(ctx context.Context, m *task.Message) error {
		begun <- m.ID
		if m.ID != "slow" {
			return nil
		}
		<-ctx.Done()
		return context.Cause(ctx)
	}))
	json, err := codec.ByName("json")
	if err != nil {
		t.Fatal(err)
	}
	q := work()
	q.Dead = &broker.Queue{Name: "work.dead"}
	isolated := make(chan struct{}, 1)
	s, err := actors.New(actors.Options{
		Dialer: p.dialer(), AckTimeout: 200 * time.Millisecond,
		Pools:  []actors.Pool{{Name: "work", Queue: q, Codec: json, Mux: mux, Slots: 2, High: 2}},
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Observe: func(e supervisor.Event) {
			if e.Type == actors.EventIsolated {
				select {
				case isolated <- struct{}{}:
				default: // once is enough
				}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- s.Run(ctx) }()
	const slow = `{"task":"t","id":"slow"}`
	p.put("work", slow)
	<-begun
	<-isolated
	p.until("another consumer", func() bool {
		for c := range p.consumersOf(p.queues["work"]) {
			if !c.cancelled {
				return true
			}
		}
		return false
	})
	p.late(slow)
	p.put("work", `{"task":"t","id":"quick"}`)
	if id := <-begun; id != "quick" {
		t.Errorf("%s was run, want quick", id)
	}
	p.until("quick is acked", func() bool { return len(p.acked) == 1 })
	stop()
	s.Abort()
	<-result
}
