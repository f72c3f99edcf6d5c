package actors

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/fakebroker"
	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/task"
)

// counted is a task "t" that takes d, in which it does not look at its context, and
// then returns what answer does.
func counted(d time.Duration, runs *atomic.Int64, answer func(m *task.Message) error) *task.Mux {
	return handlers(map[string]task.HandlerFunc{"t": func(_ context.Context, m *task.Message) error {
		runs.Add(1)
		wait(d)
		if answer == nil {
			return nil
		}
		return answer(m)
	}})
}

// named is a message with a message-id.
func named(id string) broker.Publication {
	return broker.Publication{Properties: broker.Properties{MessageID: id}, Body: fmt.Appendf(nil, `{"task":"t","id":%q}`, id)}
}

func (r *rig) send(n int) {
	for i := range n {
		r.broker.Put("work", named(fmt.Sprint("m", i)))
	}
}

// quiet lets time pass until nothing is left to do.
func (r *rig) quiet() {
	r.t.Helper()
	r.until("all is settled", func() bool {
		return r.broker.Len("work") == 0 && r.broker.Unsettled() == 0 && r.stats().Running == 0 && r.stats().InFlight == 0
	})
}

// books checks the figures that matter here.
func (r *rig) books(runs *atomic.Int64, wantRuns int64, want PoolStats) {
	r.t.Helper()
	s := r.stats()
	got := PoolStats{Acked: s.Acked, Retried: s.Retried, DeadLettered: s.DeadLettered, Adopted: s.Adopted, ResultAfterLoss: s.ResultAfterLoss, Recalled: s.Recalled, Duplicates: s.Duplicates}
	if runs.Load() != wantRuns || fmt.Sprint(got) != fmt.Sprint(want) {
		r.t.Errorf("%d runs, want %d;\n got %+v,\nwant %+v", runs.Load(), wantRuns, got, want)
	}
	if s.Orphans != 0 || s.InFlight != 0 {
		r.t.Errorf("%d orphans and %d in flight at the end", s.Orphans, s.InFlight)
	}
	r.accounted()
	if err := r.finish(); err != nil {
		r.t.Error(err)
	}
}

// accounted checks that each delivery was settled or lost.
func (r *rig) accounted() {
	r.t.Helper()
	s := r.stats()
	if sum := s.Acked + s.Requeued + s.Retried + s.DeadLettered + s.Lost + s.Duplicates; sum != s.Delivered {
		r.t.Errorf("%d delivered, but %d accounted for: %+v", s.Delivered, sum, s)
	}
	if s.InFlight == 0 && s.Copies != 0 {
		r.t.Errorf("%d copies of nothing in flight", s.Copies)
	}
}

// The ways to lose the deliveries while their tasks run, and what the tasks of
// TestRunsOnce return.
var (
	errFlaky = errors.New("flaky")
	losses   = map[string]func(r *rig){
		"session":  func(r *rig) { r.broker.CutSessions() },
		"consumer": func(r *rig) { r.broker.CutConsumers("work") },
		"sessions": func(r *rig) {
			for range 5 {
				r.broker.CutSessions()
				wait(time.Second)
			}
		},
	}
)

// TestARedeliveryOfARunningTaskIsAdopted: it is settled on the consumer that it came
// to last, with what the first run comes to.
func TestARedeliveryOfARunningTaskIsAdopted(t *testing.T) {
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var runs atomic.Int64
				r := start(t, Pool{Slots: 5, Mux: counted(time.Minute, &runs, nil)})
				r.send(5)
				wait(time.Second)
				lose(r)
				r.until("all are adopted", func() bool { return r.stats().Adopted >= 5 && r.stats().InFlight == 5 })
				adopted := r.stats().Adopted
				if n := find(r.system.Tree(), "router:work"); *n.InFlight != 5 || *n.Running != 5 || adopted < 5 {
					t.Errorf("%d in flight, %d running, %d adopted, want 5 each", *n.InFlight, *n.Running, adopted)
				}
				r.quiet()
				r.books(&runs, 5, PoolStats{Acked: 5, Adopted: adopted})
			})
		})
	}
}

// TestAResultAfterTheLossIsRemembered: whatever it is, it is the result of the
// redelivery.
func TestAResultAfterTheLossIsRemembered(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer error
		runs   int64
		want   PoolStats
	}{
		{"success", nil, 3, PoolStats{Acked: 3, ResultAfterLoss: 3, Recalled: 3}},
		{"failure", errFlaky, 6, PoolStats{Acked: 3, Retried: 3, ResultAfterLoss: 3, Recalled: 3}},
		{"discarded", task.Discard(errFlaky), 3, PoolStats{DeadLettered: 3, ResultAfterLoss: 3, Recalled: 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var runs atomic.Int64
				r := start(t, Pool{Slots: 5, Mux: counted(10*time.Second, &runs, func(m *task.Message) error {
					if m.Attempt > 1 {
						return nil
					}
					return c.answer
				})})
				r.send(3)
				wait(time.Second)
				r.broker.Deny(errors.New("down"))
				r.broker.CutSessions()
				wait(time.Second)
				if s := r.stats(); s.Orphans != 3 || s.InFlight != 0 {
					t.Errorf("%d orphans, %d in flight, want 3 and 0", s.Orphans, s.InFlight)
				}
				wait(time.Hour)
				r.broker.Deny(nil)
				r.quiet()
				r.books(&runs, c.runs, c.want)
			})
		})
	}
}

// TestARecalledRetryWaitsAsItsTaskSays, not as the pool does.
func TestARecalledRetryWaitsAsItsTaskSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		retry, own := tenSeconds(), tenSeconds()
		own.Delay = DelayDurable
		retry.Delay, retry.Tasks = DelayMemory, map[string]Retry{"t": own}
		r := start(t, Pool{Retry: retry, Mux: counted(10*time.Second, &runs, func(m *task.Message) error {
			if m.Attempt > 1 {
				return nil
			}
			return errFlaky
		})})
		r.send(1)
		wait(time.Second)
		r.broker.Deny(errors.New("down"))
		r.broker.CutSessions()
		wait(time.Minute)
		r.broker.Deny(nil)
		r.until("it is recalled", func() bool { return r.stats().Recalled == 1 })
		synctest.Wait()
		if r.broker.Delayed() != 1 || r.broker.Unsettled() != 0 {
			t.Errorf("%d delayed, %d unsettled, want it to wait on the broker", r.broker.Delayed(), r.broker.Unsettled())
		}
		r.until("it has run again", func() bool { return runs.Load() == 2 })
		r.quiet()
		r.books(&runs, 2, PoolStats{Acked: 1, Retried: 1, ResultAfterLoss: 1, Recalled: 1})
	})
}

// TestAnAckThatWasLostIsRepeated: the broker never heard of the ack that was sent
// last, and delivers the message again.
func TestAnAckThatWasLostIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		deaf := &deafSessions{Dialer: fakebroker.New()}
		r := start(t, Pool{Slots: 5, Mux: counted(time.Second, &runs, nil)}, func(o *Options) { o.Dialer = deaf })
		r.broker = deaf.Dialer.(*fakebroker.Broker)
		deaf.on.Store(true)
		r.send(3)
		wait(2 * time.Second)
		deaf.on.Store(false)
		r.broker.CutSessions()
		r.quiet()
		if r.broker.Acked() != 3 {
			t.Errorf("the broker has %d acks, want 3", r.broker.Acked())
		}
		r.books(&runs, 3, PoolStats{Acked: 6, Recalled: 3})
	})
}

// deafSessions are sessions whose settlements are lost on the way while on is set.
type deafSessions struct {
	broker.Dialer
	on atomic.Bool
}

func (d *deafSessions) Dial(ctx context.Context) (broker.Session, error) {
	s, err := d.Dialer.Dial(ctx)
	return deafSession{s, d}, err
}

type deafSession struct {
	broker.Session
	deaf *deafSessions
}

func (s deafSession) Consume(ctx context.Context, src broker.Source) (broker.Consumer, error) {
	c, err := s.Session.Consume(ctx, src)
	return deafConsumer{c, s.deaf, src.Settled}, err
}

type deafConsumer struct {
	broker.Consumer
	deaf    *deafSessions
	settled func(int)
}

func (c deafConsumer) Settle(tag uint64, v broker.Verdict) error {
	if c.deaf.on.Load() {
		c.settled(1)
		return nil
	}
	return c.Consumer.Settle(tag, v)
}

// TestAMessageThatWasPublishedTwice is run once at a time, and both copies get the
// verdict; when it is done, it may be published again.
func TestAMessageThatWasPublishedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		r := start(t, Pool{Slots: 5, Retry: Retry{MaxAttempts: 1}, Mux: counted(time.Second, &runs, func(*task.Message) error {
			if runs.Load() == 2 {
				return errFlaky
			}
			return nil
		})})
		for range 3 {
			r.broker.Put("work", named("same"))
		}
		r.quiet()
		r.broker.Put("work", named("same")) // fails
		r.broker.Put("work", named("same"))
		r.quiet()
		r.broker.Put("work", named("same"))
		r.quiet()
		if n := len(r.broker.Ready("dead")); n != 1 {
			t.Errorf("%d dead letters, want 1", n)
		}
		r.books(&runs, 3, PoolStats{Acked: 2, DeadLettered: 1, Duplicates: 3})
	})
}

// TestOneIDForManyMessages: a publisher that gives all of its messages the same id
// loses none.
func TestOneIDForManyMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		r := start(t, Pool{Slots: 10, Mux: counted(time.Second, &runs, nil)})
		for i := range 10 {
			p := named("same")
			p.Body = fmt.Appendf(nil, `{"task":"t","args":[%d]}`, i/2)
			p.Timestamp = time.Unix(int64(i), 0)
			r.broker.Put("work", p)
		}
		r.quiet()
		r.books(&runs, 10, PoolStats{Acked: 10})
	})
}

// TestWhatTheBrokerAddsToARedelivery: RabbitMQ counts the deliveries of a quorum queue
// in a header that the first one does not have. It is the same message.
func TestWhatTheBrokerAddsToARedelivery(t *testing.T) {
	seed := maphash.MakeSeed()
	for _, headers := range []map[string]any{nil, {"a": "b", "n": int32(1)}} {
		first := &broker.Delivery{Body: []byte("b"), Properties: broker.Properties{MessageID: "m", Headers: headers}}
		again := &broker.Delivery{Body: []byte("b"), Redelivered: true, Properties: broker.Properties{MessageID: "m", Headers: map[string]any{"x-delivery-count": int64(1)}}}
		maps.Copy(again.Headers, headers)
		if sumOf(seed, first) != sumOf(seed, again) {
			t.Errorf("%v: the redelivery is taken for another message", headers)
		}
		again.Headers["a"] = "c"
		if sumOf(seed, first) == sumOf(seed, again) {
			t.Errorf("%v: another message is taken for a redelivery", headers)
		}
	}
}

// TestOneIDAndOneBodyForManyMessages: what tells them apart is in the headers.
func TestOneIDAndOneBodyForManyMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		r := start(t, Pool{Slots: 30, High: 30, Mux: counted(time.Second, &runs, nil)})
		nested := func(n int32) map[string]any { return map[string]any{"n": n} }
		values := []any{"a", "b", []byte("a"), int32(1), int64(1), true, nil, 1.5, 2.5, nested(1), nested(2)}
		for i, value := range values {
			p := named("same")
			p.Headers = map[string]any{"tenant": value, "x-delivery-count": int64(i)}
			r.broker.Put("work", p)
			p.Headers = map[string]any{"X-Tenant": value}
			r.broker.Put("work", p)
		}
		p := named("same")
		p.Headers = map[string]any{"tenant": "a", "x-delivery-count": int64(7)} // that is the first again
		r.broker.Put("work", p)
		r.quiet()
		n := int64(2 * len(values))
		r.books(&runs, n, PoolStats{Acked: n, Duplicates: 1})
	})
}

// TestWithoutAMessageIDEverythingIsRunAgain, and so it is when that is asked for.
func TestWithoutAMessageIDEverythingIsRunAgain(t *testing.T) {
	for name, c := range map[string]struct {
		id  string
		off Dedup
	}{"no id": {}, "switched off": {"id", DedupOff}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var runs atomic.Int64
				r := start(t, Pool{Slots: 5, Dedup: c.off, Mux: counted(10*time.Second, &runs, nil)})
				r.broker.Put("work", named(c.id))
				wait(time.Second)
				r.broker.CutSessions()
				r.quiet()
				r.books(&runs, 2, PoolStats{Acked: 1, ResultAfterLoss: 1})
			})
		})
	}
}

// TestCopiesAreNotTakenForTheirOriginals: those of a task whose worker died are for
// the same attempt, and may arrive before the original is acked.
func TestCopiesAreNotTakenForTheirOriginals(t *testing.T) {
	d := &broker.Delivery{Properties: named("m").Properties}
	seen := map[key]bool{keyOf(d): true}
	p := &pool{Pool: withQueue(Pool{})}
	for range 3 {
		again := nextAttempt(d, p, &verdict{attempt: 1, free: true, err: errFlaky}, time.Unix(0, 0))
		strip(again)
		d = &broker.Delivery{Properties: again.Properties}
		if k := keyOf(d); k.attempt != 1 || seen[k] {
			t.Errorf("the copy is known as %+v", k)
		}
		seen[keyOf(d)] = true
	}
}

// TestAHeldRetryIsNotMadeTwice: its attempt has failed, its consumer dies while it
// waits.
func TestAHeldRetryIsNotMadeTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		retry := Retry{Delay: DelayMemory, Backoff: supervisor.Backoff{Initial: 10 * time.Second, Max: 10 * time.Second}}
		r := start(t, Pool{Slots: 5, Retry: retry, Mux: counted(time.Second, &runs, func(m *task.Message) error {
			if m.Attempt == 1 {
				return errFlaky
			}
			return nil
		})})
		r.send(3)
		wait(5 * time.Second)
		r.broker.CutSessions()
		r.quiet()
		r.books(&runs, 6, PoolStats{Acked: 3, Retried: 3, Recalled: 3})
	})
}

// TestAdoptionAcrossAPause: what runs when an operator pauses the pool is adopted
// when its session was lost meanwhile.
func TestAdoptionAcrossAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		r := start(t, Pool{Slots: 5, Mux: counted(30*time.Second, &runs, nil)})
		r.send(3)
		wait(time.Second)
		r.expect(r.system.Pause(t.Context(), "work"))
		r.broker.CutSessions()
		wait(time.Second)
		r.expect(r.system.Resume(t.Context(), "work"))
		r.quiet()
		r.books(&runs, 3, PoolStats{Acked: 3, Adopted: 3})
	})
}

// TestAdoptionAcrossALimit: the consumer was replaced, and dies when the new one is
// there: nobody tells the router of it.
func TestAdoptionAcrossALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		r := start(t, Pool{Slots: 5, Mux: counted(30*time.Second, &runs, nil)})
		r.send(3)
		wait(time.Second)
		r.expect(r.system.Limit(t.Context(), "work", 4, 2))
		wait(time.Second)
		r.broker.CutSessions() // the consumers one after the other: some move twice
		r.quiet()
		adopted := r.stats().Adopted
		if adopted < 3 {
			t.Errorf("%d adopted, want 3 at least", adopted)
		}
		r.books(&runs, 3, PoolStats{Acked: 3, Adopted: adopted})
	})
}

// TestAdoptionAcrossARestartOfTheRouter: the tasks end after their contexts have, at
// their leisure; one never does.
func TestAdoptionAcrossARestartOfTheRouter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		naps := []time.Duration{3 * time.Second, 4 * time.Second, time.Minute, time.Second}
		r := start(t, Pool{Slots: 5, Mux: handlers(map[string]task.HandlerFunc{"t": func(_ context.Context, m *task.Message) error {
			wait(naps[runs.Add(1)-1])
			return nil
		}})})
		r.send(3)
		wait(time.Second)
		r.expect(r.system.Restart(t.Context(), "router:work"))
		wait(10 * time.Second)
		if runs.Load() != 4 {
			t.Errorf("%d runs, want 3 and a second one of the task that does not end", runs.Load())
		}
		wait(time.Minute)
		s := r.stats()
		if s.Acked != 3 || s.Adopted != 3 || s.Abandoned != 0 || s.Running != 0 {
			t.Errorf("%+v", s)
		}
		r.accounted()
		r.expect(r.finish())
	})
}

// TestTasksThatEndWithTheirRouter: those that obey the end of their context end when
// there is no router to hear of it. Their messages are run again, and not waited for.
func TestTasksThatEndWithTheirRouter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		mux := handlers(map[string]task.HandlerFunc{"t": func(ctx context.Context, _ *task.Message) error {
			runs.Add(1)
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Second):
			}
			return context.Cause(ctx)
		}})
		r := start(t, Pool{Mux: mux, Slots: 5, High: 5})
		r.send(5)
		for restarts := range int64(3) {
			r.until("all run", func() bool { return runs.Load() == 5+5*restarts })
			r.expect(r.system.Restart(t.Context(), "router:work"))
		}
		r.quiet()
		if n := runs.Load(); n != 20 {
			t.Errorf("%d runs, want 5 and 5 more for each restart", n)
		}
		if err := r.finish(); err != nil {
			t.Error(err)
		}
	})
}

// TestResultsAreKeptAcrossAReload: the tasks ended when the connection was lost.
func TestResultsAreKeptAcrossAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		r := start(t, Pool{Slots: 5, Mux: counted(10*time.Second, &runs, nil)})
		r.send(3)
		wait(time.Second)
		r.broker.Deny(errors.New("down"))
		r.broker.CutSessions()
		wait(20 * time.Second)
		r.expect(r.system.ReplacePool(t.Context(), withQueue(Pool{Slots: 4, Mux: counted(10*time.Second, &runs, nil)})))
		r.broker.Deny(nil)
		r.quiet()
		r.books(&runs, 3, PoolStats{Acked: 3, Recalled: 3})
	})
}

// TestLateLoss: a message comes again before the router has heard of the death of the
// consumer from which it came first, and its copy waits in the outbox of the session
// that died with it. It must not wait for that copy.
func TestLateLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig := start(t, Pool{Slots: 5, Mux: naps(time.Second)})
		p, err := rig.system.pool("work")
		rig.expect(err)
		r := &router{pool: p}
		flightOf := func(c broker.Consumer, tag uint64) *flight {
			m := named("m")
			return &flight{
				source:   &source{consumer: c, window: p.window.Load(), opened: time.Now()},
				delivery: &broker.Delivery{Tag: tag, Queue: "work", Properties: m.Properties, Body: m.Body},
			}
		}
		dead := make(chan struct{})
		close(dead)
		for _, c := range []struct {
			phase phase
			gone  <-chan struct{}
			known bool
		}{
			{publishing, dead, false}, {onHold, dead, false}, {withWorker, dead, true}, {publishing, nil, true},
		} {
			first := flightOf(mortal{done: c.gone}, 1)
			first.key, first.phase = keyOf(first.delivery), c.phase
			r.ledger.add(first)
			second := flightOf(mortal{}, 1)
			if got := r.known(second); got != c.known || r.ledger.has(first) != c.known {
				t.Errorf("%+v: known %v, and the first is in the books: %v", c, got, r.ledger.has(first))
			}
			r.ledger.remove(first)
		}
		rig.expect(rig.finish())
	})
}

// mortal is a consumer that is dead when done is closed.
type mortal struct {
	broker.Consumer
	done <-chan struct{}
}

func (m mortal) Done() <-chan struct{} { return m.done }
func (m mortal) Err() error            { return broker.ErrStale }
