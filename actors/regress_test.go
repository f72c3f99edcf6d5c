package actors

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/task"
)

// the handler of an abandoned task returns while its retry is on hold.
func TestAbandonedTaskReturnsDuringTheHold(t *testing.T) {
	for _, mode := range []Mode{Coroutine, Thread} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, Pool{
				Mode: mode, Timeout: time.Second, AbandonAfter: time.Second, High: 4,
				Retry: Retry{MaxAttempts: 2, Backoff: supervisor.Backoff{Initial: 10 * time.Second, Max: 10 * time.Second}},
				Mux: handlers(map[string]task.HandlerFunc{
					"slow": func(_ context.Context, m *task.Message) error {
						if m.Attempt == 1 {
							wait(3 * time.Second) // ignores its context, but returns
						}
						return nil
					},
				}),
			})
			r.put(1, "slow")
			wait(5 * time.Second)
			n := find(r.system.Tree(), "router:work")
			if *n.Restarts != 0 {
				t.Errorf("router restarts %d: %s", *n.Restarts, n.LastError)
			}
			wait(60 * time.Second)
			r.finish()
		})
	}
}

// thread mode, the slot held by a second stuck task is freed by the end of the first.
func TestThreadSlotIsNotGivenToAStuckThread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := make(chan struct{}), make(chan struct{})
		var ran atomic.Int64
		r := start(t, Pool{
			Mode: Thread, High: 10, Timeout: time.Second, AbandonAfter: time.Second, Retry: Retry{MaxAttempts: 1},
			Mux: handlers(map[string]task.HandlerFunc{
				"one": func(context.Context, *task.Message) error { <-one; return nil },
				"two": func(context.Context, *task.Message) error { <-two; return nil },
				"ok":  func(context.Context, *task.Message) error { ran.Add(1); return nil },
			}),
		})
		r.put(1, "one")
		r.put(1, "two")
		r.put(3, "ok")
		wait(10 * time.Second)
		close(one)
		wait(time.Hour)
		if ran.Load() != 3 {
			t.Errorf("%d of 3 good tasks ran within an hour after the worker had a free slot", ran.Load())
		}
		close(two)
		r.broker.CutConsumers("work")
		r.put(1, "ok")
		r.until("the next task runs", func() bool { return ran.Load() == 4 })
		r.finish()
	})
}

type nilError struct{ msg string }

func (e *nilError) Error() string { return e.msg }

// a typed nil error of a handler.
func TestErrorThatPanicsIsHarmless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Pool{Slots: 3, Mux: handlers(map[string]task.HandlerFunc{
			"bad": func(context.Context, *task.Message) error { var e *nilError; return e },
			"nap": sleeper(time.Hour),
		})})
		r.put(1, "bad")
		r.put(1, "nap")
		wait(time.Minute)
		select {
		case err := <-r.result:
			t.Errorf("Run = %v", err)
			r.result <- err
		default:
		}
		r.finish()
	})
}

// T8
func TestRetryAfterWithoutMax(t *testing.T) {
	v := judge(&Retry{MaxAttempts: 5, MaxSnoozes: 1, Backoff: supervisor.Backoff{Initial: 5 * time.Second}}, past{attempt: 1}, task.Retry(errors.New("busy"), time.Minute), nil, 0.5)
	if v.after != time.Minute {
		t.Errorf("after = %v, want 1m", v.after)
	}
}

// T11
func TestRetryOverrulesUnknown(t *testing.T) {
	v := judge(&Retry{MaxAttempts: 5, MaxSnoozes: 1, Backoff: supervisor.Backoff{Initial: 5 * time.Second}}, past{attempt: 1}, task.Retry(task.ErrUnknown, time.Minute), nil, 0.5)
	if v.action != retryIt {
		t.Errorf("action = %v reason %v, want retry", v.action, v.reason)
	}
}

// wrap lets a test change a session.
type wrapDialer struct {
	broker.Dialer
	wrap func(broker.Session) broker.Session
}

func (d wrapDialer) Dial(ctx context.Context) (broker.Session, error) {
	s, err := d.Dialer.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return d.wrap(s), nil
}

type blockedSession struct{ broker.Session }

// Publish blocks as amqp does while the broker has a memory or disk alarm.
func (s blockedSession) Publish(ctx context.Context, p *broker.Publication, done func(error)) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.Session.Done():
		return errors.New("lost")
	}
}

// publishers are blocked by an alarm, and the consumer is lost (consumer_timeout).
func TestBlockedPublisherDoesNotBlockTheBrokerActor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Pool{Slots: 4, High: 4, Mux: handlers(map[string]task.HandlerFunc{"ok": sleeper(time.Millisecond)})}, func(o *Options) {
			o.Dialer = wrapDialer{o.Dialer, func(s broker.Session) broker.Session { return blockedSession{s} }}
		})
		r.put(4, "unknown") // all go to the dead-letter queue, which blocks
		wait(time.Second)
		for range 2 {
			r.broker.CutConsumers("work") // e.g. consumer_timeout after 30 min
			wait(time.Minute)
		}
		r.broker.CutSessions() // even a new connection does not help: nobody hears of it
		wait(time.Hour)
		if r.broker.Consumers("work") == 0 {
			t.Error("nobody consumes any more, for ever")
		}
		begin := time.Now()
		r.system.Abort()
		<-r.result
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("abort took %v", took)
		}
		wait(10 * time.Second) // for what Run did not wait for
	})
}

type stuckClose struct{ broker.Session }

func (s stuckClose) Close(ctx context.Context) error {
	<-ctx.Done()
	s.Session.Close(ctx)
	return ctx.Err()
}

// second signal while the warm stop hangs up.
func TestAbortDuringHangUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Pool{Mux: handlers(map[string]task.HandlerFunc{"ok": sleeper(0)})}, func(o *Options) {
			o.Dialer = wrapDialer{o.Dialer, func(s broker.Session) broker.Session { return stuckClose{s} }}
		})
		wait(time.Second)
		r.stop()
		wait(100 * time.Millisecond)
		begin := time.Now()
		r.system.Abort()
		<-r.result
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("abort took %v, want at most 2 s", took)
		}
		wait(10 * time.Second) // for what Run did not wait for
	})
}

// second signal after Shutdown is over and the tasks have been cancelled.
func TestAbortAfterCutoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		r := start(t, Pool{Mux: handlers(map[string]task.HandlerFunc{"s": func(context.Context, *task.Message) error { <-stuck; return nil }})}, func(o *Options) {
			o.Shutdown = time.Second
			o.Dialer = wrapDialer{o.Dialer, func(s broker.Session) broker.Session { return stuckClose{s} }}
		})
		r.put(1, "s")
		wait(time.Second)
		r.stop()
		wait(1100 * time.Millisecond)
		begin := time.Now()
		r.system.Abort()
		<-r.result
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("abort took %v, want at most 2 s", took)
		}
		close(stuck)
		wait(10 * time.Second) // for what Run did not wait for
	})
}

// a service that takes its time (control: a profile runs, 1 s; a library's own: 5 s).
func TestAbortWithASlowService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Pool{Mux: handlers(map[string]task.HandlerFunc{"ok": sleeper(0)})}, func(o *Options) {
			o.Services = []Service{{ID: "x", Kind: "x", Run: func(ctx context.Context) error { <-ctx.Done(); wait(4 * time.Second); return nil }}}
		})
		begin := time.Now()
		r.system.Abort()
		<-r.result
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("abort took %v, want at most 2 s", took)
		}
		wait(10 * time.Second) // for what Run did not wait for
	})
}

type slowConsumerSession struct{ broker.Session }

func (s slowConsumerSession) Consume(ctx context.Context, src broker.Source) (broker.Consumer, error) {
	c, err := s.Session.Consume(ctx, src)
	if err != nil {
		return nil, err
	}
	return slowClose{c}, nil
}

type slowClose struct{ broker.Consumer }

// Close takes a while, as amqp's does: flush, cancel, grace.
func (c slowClose) Close(ctx context.Context) error {
	wait(2 * time.Second)
	return c.Consumer.Close(ctx)
}

// what the old consumer still delivers after a crash of the router.
func TestOldConsumerDoesNotFeedTheNewRouter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cancelled atomic.Int64
		r := start(t, Pool{Slots: 2, High: 20, Retry: Retry{MaxAttempts: 1}, Mux: handlers(map[string]task.HandlerFunc{"nap": func(ctx context.Context, m *task.Message) error {
			if ctx.Err() != nil {
				cancelled.Add(1)
			}
			return sleeper(100*time.Millisecond)(ctx, m)
		}})}, func(o *Options) {
			o.Dialer = wrapDialer{o.Dialer, func(s broker.Session) broker.Session { return slowConsumerSession{s} }}
		})
		r.put(2, "nap")
		wait(50 * time.Millisecond)
		r.system.all()[0].toRouter((*arrivals)(nil))
		wait(20 * time.Millisecond)
		r.put(10, "nap")
		wait(time.Minute)
		var reasons []any
		for _, d := range r.broker.Ready("dead") {
			reasons = append(reasons, d.Headers["x-reason"], d.Headers["x-error"])
		}
		if cancelled.Load() > 0 || len(reasons) > 0 {
			t.Errorf("%d tasks began with a cancelled context, dead letters: %v", cancelled.Load(), reasons)
		}
		r.finish()
	})
}

func TestFirstSeenIsTheFirstAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Pool{Retry: Retry{MaxAttempts: 3}, Mux: handlers(map[string]task.HandlerFunc{
			"f": func(context.Context, *task.Message) error { return errors.New("x") },
		})})
		begin := time.Now().UTC().Format(time.RFC3339)
		r.put(1, "f")
		r.until("it is dead", func() bool { return r.broker.Len("dead") == 1 })
		if got := r.broker.Ready("dead")[0].Headers["x-first-seen"]; got != begin {
			t.Errorf("first seen %v, want %v", got, begin)
		}
		r.finish()
	})
}

// TestDeniedLaterIsWaitedFor: credentials that once worked may work again, also
// for a broker actor that was restarted meanwhile.
func TestDeniedLaterIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Pool{Mux: handlers(map[string]task.HandlerFunc{"ok": sleeper(0)})})
		r.broker.Deny(broker.ErrDenied)
		r.broker.CutSessions()
		wait(time.Minute)
		r.system.tellBroker(&crashed{errors.New("boom")})
		wait(time.Minute)
		r.broker.Deny(nil)
		r.put(1, "ok")
		r.until("it is acked", func() bool { return r.broker.Acked() == 1 })
		r.finish()
	})
}

// TestHeadersThatCannotBeCopiedAreDropped: the copy is refused for good with the
// publisher's headers, and goes out without them.
func TestHeadersThatCannotBeCopiedAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Pool{Mux: handlers(map[string]task.HandlerFunc{"ok": sleeper(0)})}, func(o *Options) {
			o.Dialer = wrapDialer{o.Dialer, func(s broker.Session) broker.Session { return pickySession{s} }}
		})
		r.broker.Put("work", broker.Publication{Properties: broker.Properties{Headers: map[string]any{"huge": "x"}}, Body: []byte("{}")})
		r.until("it is dead", func() bool { return r.broker.Len("dead") == 1 })
		d := r.broker.Ready("dead")[0]
		if d.Headers["huge"] != nil || d.Headers["x-stripped"] != true || d.Headers["x-reason"] != "decode" {
			t.Errorf("headers %v", d.Headers)
		}
		r.finish()
	})
}

// pickySession refuses publications with the header "huge".
type pickySession struct{ broker.Session }

func (s pickySession) Publish(ctx context.Context, p *broker.Publication, done func(error)) error {
	if p.Headers["huge"] != nil {
		return fmt.Errorf("headers: %w", broker.ErrInvalid)
	}
	return s.Session.Publish(ctx, p, done)
}
