package actors

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/task"
)

// eventLog remembers events.
type eventLog struct {
	mu   sync.Mutex
	list []supervisor.Event
}

func (l *eventLog) add(e supervisor.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, e)
}

func (l *eventLog) count(id string, t supervisor.EventType) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, e := range l.list {
		if e.ID == id && e.Type == t {
			n++
		}
	}
	return n
}

func TestGuardArithmetic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := ackGuard{time.Duration(rapid.Int64Range(int64(time.Second), int64(48*time.Hour)).Draw(t, "limit"))}
		if !g.on() || g.every() < minGuard || g.every() > maxGuard {
			t.Errorf("every %v", g.every())
		}
		// Found one look too late, it still has a third of the limit left.
		if late := g.old() + g.every(); late > g.limit*2/3 {
			t.Errorf("limit %v: kept apart after %v", g.limit, late)
		}
	})
	if (ackGuard{-1}).on() || (ackGuard{}).on() {
		t.Error("it guards without a limit")
	}
}

// A task that nears the broker's ack timeout is warned about, and when the broker
// closes its channel, no other task is taken along.
func TestGuardKeepsOldDeliveriesApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events eventLog
		var shorts atomic.Int64
		r := start(t, Pool{Slots: 4, High: 4, Mux: handlers(map[string]task.HandlerFunc{
			"long":  sleeper(40 * time.Minute),
			"short": func(context.Context, *task.Message) error { wait(time.Second); shorts.Add(1); return nil },
		})}, func(o *Options) { o.AckTimeout, o.Observe = 10*time.Minute, events.add })
		r.put(1, "long")
		wait(4 * time.Minute)
		r.put(2, "short")
		wait(30 * time.Second)
		if n := events.count("router:work", EventTaskOld) + events.count("router:work", EventIsolated); n != 0 || r.broker.Consumers("work") != 1 {
			t.Fatalf("before half of the limit: %d events, %d consumers", n, r.broker.Consumers("work"))
		}
		first := r.stats().Liveness.Tag
		wait(time.Minute)
		live := r.stats().Liveness
		if n := events.count("router:work", EventTaskOld); n != 1 || live.Old != 1 || live.Isolated != 1 || r.broker.Consumers("work") != 2 {
			t.Fatalf("after half of the limit: %d warnings, %+v, %d consumers; want one warning and two consumers", n, live, r.broker.Consumers("work"))
		}
		if live.State != LiveConsuming || live.Tag == first || time.Since(live.Oldest) < 5*time.Minute {
			t.Errorf("got %+v, want another consumer than %s, and the age of the oldest", live, first)
		}
		r.put(3, "short")
		wait(100 * time.Millisecond)
		r.broker.CutConsumer(first, broker.ErrAckTimeout) // as RabbitMQ does to its channel
		r.until("the short ones are done", func() bool { return shorts.Load() == 5 })
		wait(time.Minute)
		if lost := r.stats().Lost; lost > 1 {
			t.Errorf("%d deliveries were lost with the channel of one", lost)
		}
		live = r.stats().Liveness
		if live.State != LiveConsuming || live.Isolated != 0 || live.Old != 0 || events.count("router:work", EventAckTimeout) != 1 {
			t.Errorf("after the end of the channel: %+v", live)
		}
		if n := events.count("router:work", EventTaskOld); n != 1 {
			t.Errorf("%d warnings, want one for one task", n)
		}
		wait(time.Hour)
		r.finish()
		if wrong := r.broker.Wrong(); len(wrong) > 0 {
			t.Error(wrong)
		}
	})
}

// What has not started when its consumer is kept apart goes back to the queue, since
// it would be late as well.
func TestGuardHandsBackWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var order []string
		r := start(t, Pool{Slots: 1, High: 3, Mux: handlers(map[string]task.HandlerFunc{
			"long": func(_ context.Context, m *task.Message) error {
				mu.Lock()
				order = append(order, m.ID)
				mu.Unlock()
				wait(9 * time.Minute)
				return nil
			},
		})}, func(o *Options) { o.AckTimeout = 10 * time.Minute })
		r.put(3, "long")
		wait(5*time.Minute + 20*time.Second)
		if n := r.stats().Requeued; n != 2 {
			t.Errorf("%d were handed back, want the 2 that waited", n)
		}
		wait(time.Hour)
		mu.Lock()
		defer mu.Unlock()
		slices.Sort(order)
		if got := slices.Compact(slices.Clone(order)); len(got) != 3 || len(order) != 3 {
			t.Errorf("ran %v, want each once", order)
		}
		r.finish()
	})
}

// While tasks of a dead consumer fill the window, what its successor is given waits
// unseen by the router; it goes back in time, too.
func TestGuardSeesWhatWaitsInAConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events eventLog
		r := start(t, Pool{Slots: 2, High: 2, Low: 1, Mux: handlers(map[string]task.HandlerFunc{"long": sleeper(30 * time.Minute)})},
			func(o *Options) { o.AckTimeout, o.Observe = 10*time.Minute, events.add })
		r.put(2, "long")
		wait(time.Second)
		r.broker.CutConsumers("work")
		r.put(2, "long")
		wait(4 * time.Minute)
		if n := events.count("router:work", EventIsolated); n != 0 {
			t.Fatalf("%d consumers were kept apart too early", n)
		}
		wait(2 * time.Minute)
		if n := events.count("router:work", EventIsolated); n != 1 {
			t.Errorf("%d consumers were kept apart, want that with the waiting deliveries", n)
		}
		wait(3 * time.Hour)
		r.finish()
	})
}

// What the broker says of a queue is evidence, and an event where it changes.
func TestProbed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events eventLog
		r := start(t, Pool{Mux: naps(time.Second)}, func(o *Options) { o.Observe = events.add })
		r.system.Probed("nobody", time.Now(), "no message waits", true)
		for _, starved := range []bool{false, true, true, false} {
			r.system.Probed("work", time.Now(), "17 messages wait", starved)
			if live := r.stats().Liveness; live.Starved != starved || live.Probe != "17 messages wait" || !live.LastProbe.Equal(time.Now()) {
				t.Errorf("got %+v, want starved %v", live, starved)
			}
		}
		if s, f := events.count("router:work", EventStarved), events.count("router:work", EventFlowing); s != 1 || f != 1 {
			t.Errorf("%d times starved, %d times flowing; want each once", s, f)
		}
		r.finish()
	})
}

// The faults of a connection and of a consumer are events by their own names, and
// each is followed by another session, or consumer.
func TestEachFaultIsAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events eventLog
		r := start(t, Pool{Mux: naps(time.Second)}, func(o *Options) { o.Observe = events.add })
		again := func(what string) {
			t.Helper()
			r.until("it consumes after "+what, func() bool { return r.stats().Consuming && r.broker.Consumers("work") == 1 })
			wait(time.Minute) // the backoff starts over
		}
		for name, err := range liveErrors() {
			if name == "refused" || name == "silent" || name == "eof" {
				continue
			}
			before := events.count("router:work", supervisor.EventType(broker.FaultOf(err)))
			r.broker.CutConsumersFor("work", err)
			synctest.Wait()
			if n := events.count("router:work", supervisor.EventType(broker.FaultOf(err))); n != before+1 {
				t.Errorf("%s: %d events %s, want one", name, n-before, broker.FaultOf(err))
			}
			again(name)
		}
		for _, err := range []error{broker.ErrSilent, broker.ErrUnreachable, errors.Join(broker.ErrDenied, broker.ErrVhost), broker.ErrDenied, errors.New("EOF")} {
			before := events.count("broker", supervisor.EventType(broker.FaultOf(err)))
			r.broker.Deny(err) // after it was connected, even this may pass
			r.broker.CutSessionsFor(err)
			wait(100 * time.Millisecond)
			if n := find(r.system.Tree(), "broker"); n.State != "connecting" || n.LastError == "" {
				t.Errorf("%v: the broker's node is %s: %s", err, n.State, n.LastError)
			}
			r.broker.Deny(nil)
			again(err.Error())
			if events.count("broker", supervisor.EventType(broker.FaultOf(err))) == before {
				t.Errorf("%v: no event %s", err, broker.FaultOf(err))
			}
		}
		r.broker.Block("low on memory")
		wait(time.Second)
		if live := r.stats().Liveness; live.State != LiveBlocked || live.Cause != "low on memory" || events.count("broker", EventBlocked) != 1 {
			t.Errorf("blocked: got %+v", live)
		}
		r.broker.Block("")
		wait(time.Second)
		if live := r.stats().Liveness; live.State != LiveConsuming || events.count("broker", EventUnblocked) != 1 {
			t.Errorf("not blocked any more: got %+v", live)
		}
		r.expect(r.finish())
	})
}
