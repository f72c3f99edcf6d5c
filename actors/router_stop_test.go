package actors

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/task"
)

// slowConfirm tells of a confirm some time after the broker has the message.
type slowConfirm struct {
	broker.Session
	takes time.Duration
}

func (s slowConfirm) Publish(ctx context.Context, p *broker.Publication, done func(error)) error {
	return s.Session.Publish(ctx, p, func(err error) { time.AfterFunc(s.takes, func() { done(err) }) })
}

// TestARouterWaitsForItsCopies: one that is restarted while copies are on the way acks
// their originals first, and no task is run twice.
func TestARouterWaitsForItsCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs [2]atomic.Int64
		r := start(t, Pool{Slots: 20, Retry: Retry{MaxAttempts: 3, Backoff: supervisor.Backoff{Initial: time.Minute, Max: time.Minute}}, Mux: handlers(map[string]task.HandlerFunc{
			"t": func(_ context.Context, m *task.Message) error {
				runs[m.Attempt-1].Add(1)
				if m.Attempt == 1 {
					return errors.New("not yet")
				}
				return nil
			},
		})}, func(o *Options) {
			o.Dialer = wrapDialer{o.Dialer, func(s broker.Session) broker.Session { return slowConfirm{s, 2 * time.Second} }}
		})
		r.put(20, "t")
		wait(time.Second) // the copies are on the ladder, and nobody knows it here
		begin := time.Now()
		r.expect(r.system.Restart(t.Context(), "router:work"))
		if took := time.Since(begin); took < time.Second || r.broker.Acked() != 20 {
			t.Errorf("restarted after %v with %d acked", took, r.broker.Acked())
		}
		r.until("all are done", func() bool { return r.broker.Acked() == 40 })
		if runs[0].Load() != 20 || runs[1].Load() != 20 {
			t.Errorf("%d first and %d second runs, want 20 and 20", runs[0].Load(), runs[1].Load())
		}
		r.expect(r.finish())
	})
}

// TestARouterDoesNotWaitForEver for a broker that does not answer, nor at all for
// deliveries that it has lost.
func TestARouterDoesNotWaitForEver(t *testing.T) {
	for _, cut := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, Pool{Slots: 4, Mux: handlers(map[string]task.HandlerFunc{"ok": sleeper(0)})}, func(o *Options) {
				o.Dialer = wrapDialer{o.Dialer, func(s broker.Session) broker.Session { return blockedSession{s} }}
			})
			r.put(4, "unknown")
			synctest.Wait()
			if cut {
				time.AfterFunc(time.Second, r.broker.CutSessions)
			}
			begin, want := time.Now(), answerGrace
			if cut {
				want = time.Second
			}
			r.expect(r.system.Restart(t.Context(), "router:work"))
			if took := time.Since(begin); took < want || took > want+200*time.Millisecond {
				t.Errorf("restarted after %v, want %v", took, want)
			}
			if n := find(r.system.Tree(), "router:work"); strings.Contains(n.State, "abandoned") {
				t.Errorf("the router is %s", n.State)
			}
			r.system.Abort()
			<-r.result
			wait(10 * time.Second)
		})
	}
}
