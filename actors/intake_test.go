package actors

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/supervisor"
)

// declaring counts the declarations of queue "sick", of which the first one fails.
type declaring struct {
	broker.Session
	tried, done *atomic.Int64
}

func (s declaring) Declare(ctx context.Context, q broker.Queue) error {
	if q.Name == "sick" && s.tried.Add(1) == 1 {
		return errors.New("not now")
	}
	err := s.Session.Declare(ctx, q)
	if q.Name == "sick" && err == nil {
		s.done.Add(1)
	}
	return err
}

// A pool whose workers have never been up has a queue, so that what is published
// waits for them and is not unroutable; also when it is parked, and on each session.
func TestAPoolWithoutWorkersHasAQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tried, done atomic.Int64
		var ill atomic.Bool
		ill.Store(true)
		r := start(t, Pool{Name: "other", Mux: naps(time.Second)}, func(o *Options) {
			o.Dialer = wrapDialer{o.Dialer, func(s broker.Session) broker.Session { return declaring{s, &tried, &done} }}
		})
		sick := withQueue(Pool{
			Name: "sick", Queue: broker.Queue{Name: "sick"}, Mux: naps(time.Second),
			Supervise: &supervisor.Spec{Strategy: supervisor.Dynamic, Intensity: 2, Period: time.Minute, OnExhausted: supervisor.Park, Backoff: supervisor.Backoff{Initial: time.Second}},
		})
		r.adopt(sick, func(w *worker) actorFunc {
			return func(ctx actor.Context) {
				if _, ok := ctx.Message().(*actor.Started); ok && ill.Load() {
					panic(errors.New("it does not start"))
				}
				w.Receive(ctx)
			}
		})
		r.until("it is declared", func() bool { return done.Load() == 1 })
		r.until("it is parked", func() bool { return r.stats2("sick").Parked })
		wait(time.Minute)
		if n := done.Load(); n != 1 || r.broker.Consumers("sick") != 0 {
			t.Errorf("declared %d times, %d consumers; want once and none", n, r.broker.Consumers("sick"))
		}
		if n := find(r.system.Tree(), "router:sick"); n.State != "suspended" {
			t.Errorf("the router is %s", n.State)
		}
		r.broker.CutSessions() // the next broker may know nothing of the queue
		r.until("it is declared again", func() bool { return done.Load() == 2 })
		ill.Store(false)
		r.expect(r.system.Restart(t.Context(), "pool:sick"))
		r.until("it is consumed", func() bool { return r.broker.Consumers("sick") == 1 })
		r.expect(r.finish())
	})
}

// missing says that publications reach no queue, as RabbitMQ does when the dead-letter
// queue was deleted, until the queue is declared again.
type missing struct {
	broker.Session
	gone *atomic.Bool
	told *atomic.Int64
}

func (s missing) Publish(ctx context.Context, p *broker.Publication, done func(error)) error {
	if s.gone.Load() {
		s.told.Add(1)
		done(broker.ErrUnroutable)
		return nil
	}
	return s.Session.Publish(ctx, p, done)
}

func (s missing) Declare(ctx context.Context, q broker.Queue) error {
	s.gone.Store(false)
	return s.Session.Declare(ctx, q)
}

// A dead-letter queue that somebody deletes is declared again when the first dead letter
// comes back; none is lost.
func TestADeletedDeadLetterQueueIsDeclaredAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var gone atomic.Bool
		var told atomic.Int64
		r := start(t, Pool{Mux: naps(time.Second)}, func(o *Options) {
			o.Dialer = wrapDialer{o.Dialer, func(s broker.Session) broker.Session { return missing{s, &gone, &told} }}
		})
		gone.Store(true)
		r.put(10, "unknown")
		r.until("the dead letters are there", func() bool { return len(r.broker.Ready("dead")) == 10 })
		if told.Load() == 0 {
			t.Error("none came back")
		}
		r.finish()
	})
}

// A consumer that the broker has forgotten is given up, and another one gets what waits.
// The next one is given up only after a rest, which is longer each time as long as nothing
// comes. What runs meanwhile is settled on the channel that it came from.
func TestAStarvingConsumerIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Pool{Slots: 20, High: 20, Mux: naps(10 * time.Second)})
		tag := func() string { return find(r.system.Tree(), "router:work").Consumer.Tag }
		replaced := func(old string) {
			t.Helper()
			r.system.Probed("work", time.Now(), "5 messages wait", true)
			r.until("there is another consumer", func() bool { return tag() != old && tag() != "" })
		}
		kept := func() {
			t.Helper()
			before := tag()
			r.system.Probed("work", time.Now(), "5 messages wait", true)
			wait(time.Millisecond)
			if tag() != before {
				t.Error("the consumer was given up at once, too")
			}
		}
		r.put(2, "nap")
		wait(time.Second)
		for rest := doubtRest; rest <= 8*doubtRest; rest *= 2 {
			replaced(tag())
			wait(rest - time.Second)
			kept()
			wait(time.Second)
		}
		replaced(tag())
		r.put(5, "nap")
		wait(doubtRest)
		replaced(tag())
		r.system.Probed("nobody", time.Now(), "", true)
		r.until("all is done", func() bool { return r.broker.Acked() == 7 })
		if n := r.system.Stats()[0].Lost; n != 0 {
			t.Errorf("%d deliveries were lost with their consumers", n)
		}
		r.finish()
	})
}
