package actors

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/fakebroker"
	"github.com/magne-actors/magne-actors/task"
)

// lateAnswer loses its session while the answer to its first subscription is on the way.
type lateAnswer struct {
	broker.Session
	fake *fakebroker.Broker
	cut  *atomic.Bool
}

func (s lateAnswer) Consume(ctx context.Context, src broker.Source) (broker.Consumer, error) {
	c, err := s.Session.Consume(ctx, src)
	if s.cut.CompareAndSwap(false, true) {
		s.fake.CutSessions()
		wait(time.Millisecond) // the broker actor knows it by now
	}
	return c, err
}

// A subscription whose session is lost before its answer is heard is no crash of the
// broker actor: it has none to bind the queue on.
func TestASubscriptionOutlivesItsSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cut atomic.Bool
		r := start(t, Pool{Mux: naps(time.Second)}, func(o *Options) {
			fake := o.Dialer.(*fakebroker.Broker)
			o.Dialer = wrapDialer{o.Dialer, func(s broker.Session) broker.Session { return lateAnswer{s, fake, &cut} }}
		})
		r.put(3, "nap")
		r.until("all is done", func() bool { return r.broker.Acked() == 3 })
		if n := find(r.system.Tree(), "broker"); n.Restarts == nil || *n.Restarts != 0 {
			t.Errorf("the broker actor has crashed: %s", n.LastError)
		}
		r.expect(r.finish())
	})
}

// What a router has assigned and no worker has begun is not begun when the router is
// gone: the message comes again, and nobody would tell the two runs from each other.
func TestNothingBeginsAfterItsRouter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rig := start(t, Pool{Mux: naps(time.Second)})
		p, err := rig.system.pool("work")
		rig.expect(err)
		r := &router{pool: p, cancel: func(error) {}}
		for _, id := range []string{"m", ""} {
			m := named(id)
			f := &flight{
				source:   &source{consumer: mortal{}, window: p.window.Load(), opened: time.Now()},
				delivery: &broker.Delivery{Tag: 1, Queue: "work", Properties: m.Properties, Body: m.Body},
				phase:    withWorker,
			}
			f.key = keyOf(f.delivery)
			r.ledger.add(f)
			r.onStopping()
			if f.state.CompareAndSwap(stateQueued, stateRunning) {
				t.Errorf("the message with id %q is run", id)
			}
		}
		rig.expect(rig.finish())
	})
}

// A drain ends when the session does, although the outbox had copies of it in line: they
// are answered, and their deliveries are the next one's.
func TestADrainDoesNotWaitForALostOutbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Pool{Slots: 4, Mux: handlers(map[string]task.HandlerFunc{"ok": sleeper(0)})}, func(o *Options) {
			o.Shutdown = time.Hour
			o.Dialer = wrapDialer{o.Dialer, func(s broker.Session) broker.Session { return blockedSession{s} }}
		})
		r.put(4, "unknown")
		wait(time.Second)
		r.stop()
		wait(time.Second)
		begin := time.Now()
		r.broker.CutSessions()
		r.expect(<-r.result)
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("the drain took %v more", took)
		}
	})
}
