package actors

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/ladder"
	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/task"
)

// TestPlace has the decisions about the place of a wait in testdata/place, one a line.
func TestPlace(t *testing.T) {
	delays := map[string]Delay{"auto": DelayAuto, "durable": DelayDurable, "memory": DelayMemory}
	places := map[place]string{nowhere: "nowhere", inProcess: "in the process", onBroker: "on the broker"}
	datadriven.RunTest(t, "testdata/place", func(_ *testing.T, d *datadriven.TestData) string {
		var out strings.Builder
		for line := range strings.Lines(d.Input) {
			s := situation{delay: delays[d.Cmd], hold: 2 * time.Second, room: 10, usable: true}
			for word := range strings.FieldsSeq(line) {
				switch word {
				case "full":
					s.held = s.room
				case "unusable":
					s.usable = false
				case "draining":
					s.draining = true
				default:
					s.wait, _ = time.ParseDuration(word)
				}
			}
			fmt.Fprintf(&out, "%s: %s\n", strings.TrimSpace(line), places[s.place()])
		}
		return out.String()
	})
}

// ladderSession is a session whose ladder can be broken.
type ladderSession struct {
	broker.Session
	*ladderFaults
}

type ladderFaults struct {
	applied atomic.Int64 // whole ladders
	exits   atomic.Int64
	refuse  atomic.Pointer[error] // what Apply answers
	hangs   atomic.Bool           // Apply of a whole ladder, for as long as it may
	hung    atomic.Int64          // how often it did
	missing atomic.Bool           // there is no exchange of the ladder until it is applied
}

func (s ladderSession) Apply(ctx context.Context, t broker.Topology) error {
	if err := s.refuse.Load(); err != nil {
		return *err
	}
	if len(t.Exchanges) > 0 && s.hangs.Load() {
		s.hung.Add(1)
		<-ctx.Done()
		return ctx.Err()
	}
	if len(t.Exchanges) > 0 {
		s.applied.Add(1)
		s.missing.Store(false)
	} else {
		s.exits.Add(1)
	}
	return s.Session.Apply(ctx, t)
}

func (s ladderSession) Publish(ctx context.Context, p *broker.Publication, done func(error)) error {
	if s.missing.Load() && strings.HasPrefix(p.Exchange, "magne.v1.delay.") {
		done(fmt.Errorf("no exchange %q: %w", p.Exchange, broker.ErrTopology))
		return nil
	}
	return s.Session.Publish(ctx, p, done)
}

// startFailing starts a pool whose task fails until its third attempt, on a broker with
// these faults. The second result tells when its runs have begun.
func startFailing(t *testing.T, faults *ladderFaults, pool Pool) (*rig, func() []time.Duration) {
	began, begin := make(chan time.Duration, 1000), time.Now()
	pool.Mux = handlers(map[string]task.HandlerFunc{"t": func(_ context.Context, m *task.Message) error {
		began <- time.Since(begin)
		if m.Attempt < 3 {
			return errors.New("not yet")
		}
		return nil
	}})
	r := start(t, pool, func(o *Options) {
		o.Dialer = wrapDialer{o.Dialer, func(s broker.Session) broker.Session { return ladderSession{s, faults} }}
	})
	var all []time.Duration
	return r, func() []time.Duration {
		for len(began) > 0 {
			all = append(all, <-began)
		}
		return all
	}
}

func tenSeconds() Retry {
	return Retry{MaxAttempts: 3, Backoff: supervisor.Backoff{Initial: 10 * time.Second, Max: 10 * time.Second}}
}

func (r *rig) lastError() string { return find(r.system.Tree(), "router:work").LastError }

func TestALongWaitIsSpentOnTheBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var faults ladderFaults
		r, began := startFailing(t, &faults, Pool{Retry: tenSeconds()})
		r.broker.Put("work", broker.Publication{
			Properties: broker.Properties{MessageID: "7", Expiration: "5000", Headers: map[string]any{"tenant": "a"}}, Body: []byte(`{"task":"t"}`),
		})
		synctest.Wait()
		if r.broker.Delayed() != 1 || r.broker.Unsettled() != 0 || r.stats().InFlight != 0 {
			t.Errorf("%d delayed, %d unsettled, %d in flight", r.broker.Delayed(), r.broker.Unsettled(), r.stats().InFlight)
		}
		r.until("it is done", func() bool { return r.broker.Acked() == 3 })
		if want := []time.Duration{0, 10 * time.Second, 20 * time.Second}; !slices.Equal(began(), want) {
			t.Errorf("runs at %v, want %v", began(), want)
		}
		if faults.applied.Load() != 1 || r.stats().Retried != 2 {
			t.Errorf("the ladder was declared %d times, %d retries", faults.applied.Load(), r.stats().Retried)
		}
		r.expect(r.finish())
	})
}

// TestALadderThatIsSlowToDeclare holds up the copies that wait for it once, and not
// each of them in turn, nor for as long each the dead letters behind them.
func TestALadderThatIsSlowToDeclare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var faults ladderFaults
		faults.hangs.Store(true)
		r, began := startFailing(t, &faults, Pool{Slots: 20, High: 20, Retry: tenSeconds()})
		r.put(20, "t")
		wait(applyTimeout + 9*time.Second)
		if n := faults.hung.Load(); n != 1 {
			t.Errorf("the ladder was declared %d times, want once", n)
		}
		if got := r.lastError(); !strings.Contains(got, "too slow") || strings.Contains(got, "as a user who may") {
			t.Errorf("the router says %q", got)
		}
		r.until("all are done", func() bool { return r.broker.Acked() == 60 })
		if last, most := began()[59], 3*applyTimeout; last > most {
			t.Errorf("the last run began after %v, want %v", last, most)
		}
		r.expect(r.finish())
	})
}

// TestADelayedCopy has the headers that its wait needs, and the next copy none of the
// broker's.
func TestADelayedCopy(t *testing.T) {
	now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	p := &pool{Pool: Pool{Queue: broker.Queue{Name: "work"}}}
	d := &broker.Delivery{Properties: broker.Properties{Expiration: "5000", Headers: map[string]any{
		"x-death": []any{}, "x-first-death-queue": "magne.v1.delay.1.5", ladder.HeaderETA: "2026-11-23T07:00:00.000Z", ladder.HeaderQueue: "work",
	}}}
	c := nextAttempt(d, p, &verdict{attempt: 1, err: errors.New("x")}, now)
	for name := range c.Headers {
		if strings.HasPrefix(name, "x-death") || strings.HasPrefix(name, "x-first-death") || name == ladder.HeaderETA {
			t.Errorf("the copy has the header %s", name)
		}
	}
	onLadder(c, 9*time.Second, "work", now)
	delay, queue, ok := ladder.Parse(c.RoutingKey)
	if !ok || queue != "work" || delay != 10*time.Second || c.Expiration != "" || c.Headers[ladder.HeaderETA] != "2026-11-23T08:00:10.000Z" {
		t.Errorf("to %s with key %s, %v: %v", c.Exchange, c.RoutingKey, delay, c.Headers)
	}
	if offLadder(c, "work", "5000"); c.Exchange != "" || c.RoutingKey != "work" || c.Headers[ladder.HeaderETA] != nil || c.Expiration != "5000" {
		t.Errorf("back in the queue: %q %q %v", c.Exchange, c.RoutingKey, c.Headers)
	}
}

// TestShortWaitsAreHeldInPart: at most a tenth of high waits here, and nothing is run
// early or late by more than a digit.
func TestShortWaitsAreHeldInPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var faults ladderFaults
		retry := Retry{MaxAttempts: 3, Backoff: supervisor.Backoff{Initial: time.Second, Max: time.Second}}
		r, began := startFailing(t, &faults, Pool{Slots: 100, High: 100, Retry: retry})
		r.put(100, "t")
		synctest.Wait()
		if n := r.broker.Unsettled(); n != 10 || r.broker.Delayed() != 90 {
			t.Errorf("%d unsettled and %d delayed, want 10 and 90", n, r.broker.Delayed())
		}
		r.until("all are done", func() bool { return r.broker.Acked() == 300 })
		if last := began()[299]; last < 2*time.Second || last > 2500*time.Millisecond {
			t.Errorf("the last run began after %v", last)
		}
		r.expect(r.finish())
	})
}

func TestWithoutLadderWaitsAreSpentInTheProcess(t *testing.T) {
	for _, declare := range []broker.Declare{broker.DeclareCreate, broker.DeclarePassive} {
		t.Run(fmt.Sprint(declare), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var faults ladderFaults
				faults.missing.Store(true)
				faults.refuse.Store(new(fmt.Errorf("declare exchange: %w", broker.ErrForbidden)))
				queue := broker.Queue{Name: "work", Declare: declare, Dead: &broker.Queue{Name: "dead"}}
				r, began := startFailing(t, &faults, Pool{Queue: queue, Slots: 50, High: 50, Retry: tenSeconds()})
				r.put(20, "t")
				synctest.Wait()
				if n := r.broker.Unsettled(); n != 20 || r.broker.Delayed() != 0 {
					t.Errorf("%d unsettled, %d delayed, want all of 20 unsettled", n, r.broker.Delayed())
				}
				wait(5 * time.Second)
				if got := r.lastError(); !strings.Contains(got, "magne-actors topology apply") {
					t.Errorf("the router says %q", got)
				}
				r.until("all are done", func() bool { return r.broker.Acked() == 60 })
				if last := began()[59]; last != 20*time.Second {
					t.Errorf("the last run began after %v, want 20s", last)
				}
				if faults.applied.Load()+faults.exits.Load() != 0 {
					t.Error("something was declared")
				}

				// Somebody makes it: it is used and nothing is wrong any more.
				faults.refuse.Store(nil)
				faults.missing.Store(declare == broker.DeclareCreate)
				wait(time.Minute)
				r.put(1, "t")
				wait(5 * time.Second)
				if r.broker.Delayed() != 1 || r.lastError() != "" {
					t.Errorf("%d delayed, the router says %q", r.broker.Delayed(), r.lastError())
				}
				if declare == broker.DeclarePassive && faults.applied.Load() != 0 {
					t.Error("a passive pool has declared something")
				}
				r.until("it is done", func() bool { return r.broker.Acked() == 63 })
				r.expect(r.finish())
			})
		})
	}
}

// TestAPassiveQueueIsBoundToTheLadder, or it is said, once, what becomes of retries
// without that.
func TestAPassiveQueueIsBoundToTheLadder(t *testing.T) {
	for _, tt := range []struct {
		name   string
		refuse error
		delay  Delay
		exits  int64
		warns  int
	}{
		{"may bind", nil, DelayAuto, 2, 0},
		{"may not", broker.ErrForbidden, DelayAuto, 0, 1},
		{"may not and insists", broker.ErrForbidden, DelayDurable, 0, 1},
		{"no ladder", broker.ErrTopology, DelayAuto, 0, 0},
		{"may not and need not", broker.ErrForbidden, DelayMemory, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var faults ladderFaults
				if tt.refuse != nil {
					faults.refuse.Store(new(fmt.Errorf("bind queue: %w", tt.refuse)))
				}
				retry := tenSeconds()
				retry.Delay = tt.delay
				queue := broker.Queue{Name: "work", Declare: broker.DeclarePassive, Dead: &broker.Queue{Name: "dead"}}
				var log bytes.Buffer
				mux := handlers(map[string]task.HandlerFunc{"t": func(context.Context, *task.Message) error { return nil }})
				r := start(t, Pool{Queue: queue, Retry: retry, Mux: mux}, func(o *Options) {
					o.Dialer = wrapDialer{o.Dialer, func(s broker.Session) broker.Session { return ladderSession{s, &faults} }}
					o.Logger = slog.New(slog.NewTextHandler(&log, nil))
				})
				synctest.Wait()
				r.broker.CutConsumers("work")
				r.until("it consumes again", func() bool { return r.broker.Consumers("work") == 1 })
				synctest.Wait()
				r.expect(r.finish())
				warned := strings.Count(log.String(), "magne.v1.dead.magne.v1.deliver")
				if faults.exits.Load() != tt.exits || warned != tt.warns {
					t.Errorf("bound %d times, warned %d times, want %d and %d\n%s", faults.exits.Load(), warned, tt.exits, tt.warns, log.String())
				}
			})
		})
	}
}

// TestDurableInsists: the delivery is kept until the broker takes the copy.
func TestDurableInsists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var faults ladderFaults
		faults.refuse.Store(new(fmt.Errorf("declare exchange: %w", broker.ErrForbidden)))
		retry := tenSeconds()
		retry.Delay = DelayDurable
		r, began := startFailing(t, &faults, Pool{Retry: retry})
		r.put(1, "t")
		wait(10 * time.Minute)
		if len(began()) != 1 || r.broker.Unsettled() != 1 || !strings.Contains(r.lastError(), "topology apply") {
			t.Errorf("%d runs, %d unsettled, the router says %q", len(began()), r.broker.Unsettled(), r.lastError())
		}
		faults.refuse.Store(nil)
		r.until("it is done", func() bool { return r.broker.Acked() == 3 })
		r.expect(r.finish())
	})
}

// TestTheLadderIsMadeAgain when the broker has lost it, and its end leads into the
// queue again after the queue may have been made anew.
func TestTheLadderIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var faults ladderFaults
		r, _ := startFailing(t, &faults, Pool{Retry: tenSeconds()})
		r.put(1, "t")
		r.until("it is done", func() bool { return r.broker.Acked() == 3 })
		exits := faults.exits.Load()
		r.broker.CutConsumers("work")
		r.until("it consumes", func() bool { return r.broker.Consumers("work") == 1 })
		synctest.Wait()
		if faults.exits.Load() != exits+1 || faults.applied.Load() != 1 {
			t.Errorf("%d bindings, %d ladders", faults.exits.Load(), faults.applied.Load())
		}
		faults.missing.Store(true)
		r.put(1, "t")
		r.until("it is done", func() bool { return r.broker.Acked() == 6 })
		if faults.applied.Load() != 2 {
			t.Errorf("the ladder was declared %d times, want twice", faults.applied.Load())
		}
		r.expect(r.finish())
	})
}

// TestMemoryStaysHere: with delay memory, and for a queue that no routing key can name,
// every wait is spent in the process.
func TestMemoryStaysHere(t *testing.T) {
	for _, queue := range []string{"work", "work."} {
		synctest.Test(t, func(t *testing.T) {
			var faults ladderFaults
			retry := tenSeconds()
			if queue == "work" {
				retry.Delay = DelayMemory
			}
			r, _ := startFailing(t, &faults, Pool{Name: "work", Queue: broker.Queue{Name: queue, Dead: &broker.Queue{Name: "dead"}}, Retry: retry})
			r.broker.Put(queue, broker.Publication{Body: []byte(`{"task":"t"}`)})
			synctest.Wait()
			if r.broker.Unsettled() != 1 || r.lastError() != "" {
				t.Errorf("%s: %d unsettled, the router says %q", queue, r.broker.Unsettled(), r.lastError())
			}
			r.until("it is done", func() bool { return r.broker.Acked() == 3 })
			if faults.applied.Load()+faults.exits.Load() != 0 {
				t.Errorf("%s: something was declared", queue)
			}
			r.expect(r.finish())
		})
	}
}

// TestADrainKeepsLongWaits: the copy is on the broker, with its wait, when Run returns;
// a short wait ends with it.
func TestADrainKeepsLongWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Pool{Slots: 2, Retry: Retry{Backoff: supervisor.Backoff{Initial: time.Second, Max: time.Second}}, Mux: handlers(map[string]task.HandlerFunc{
			"short": func(context.Context, *task.Message) error { wait(time.Second); return errors.New("short") },
			"long":  func(context.Context, *task.Message) error { wait(time.Second); return task.Retry(nil, time.Hour) },
		})})
		r.put(1, "short")
		r.put(1, "long")
		synctest.Wait()
		r.expect(r.finish())
		if r.broker.Len("work") != 1 || r.broker.Delayed() != 1 {
			t.Errorf("%d in the queue, %d delayed, want 1 and 1", r.broker.Len("work"), r.broker.Delayed())
		}
		wait(time.Hour + 10*time.Minute)
		if r.broker.Len("work") != 2 {
			t.Error("the long wait has not ended")
		}
	})
}
