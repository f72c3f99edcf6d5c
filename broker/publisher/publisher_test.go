package publisher_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/publisher"
)

// TestSessionLost: what was unanswered is published again, in its order and with the
// ids that it had got, before what came meanwhile.
func TestSessionLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		p := open(t, publisher.Options{Dialer: s})
		defer shut(t, p)
		s.hold()
		first := async(t, p, 5)
		synctest.Wait()
		s.Deny(broker.ErrUnreachable)
		s.cut()
		second := async(t, p, 3)
		time.Sleep(time.Minute)
		s.Deny(nil)
		s.release()
		all := slices.Concat(first, second)
		want(t, all, publisher.Confirmed)
		if got := s.attempts(); !slices.Equal(got, slices.Concat(idsOf(first), idsOf(all))) {
			t.Errorf("published %v, want %v twice, then %v", got, idsOf(first), idsOf(second))
		}
		if got := s.ids("work"); !slices.Equal(got, idsOf(all)) {
			t.Errorf("in the queue: %v, want %v", got, idsOf(all))
		}
		if st := p.Stats(); st.Confirmed != 8 || st.Republished != 5 || st.Reconnects != 1 || st.Open != 0 || st.InFlight != 0 || !st.Connected {
			t.Errorf("stats: %+v", st)
		}
	})
}

// TestConcurrentUse: many publish while sessions are lost. All of it arrives, and what
// each has published in its order.
func TestConcurrentUse(t *testing.T) {
	const publishers, each = 8, 50
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		p := open(t, publisher.Options{Dialer: s, Window: 16})
		var all sync.WaitGroup
		for i := range publishers {
			all.Go(func() {
				for j := range each {
					if err := p.Publish(t.Context(), message(fmt.Sprintf("%d %d", i, j))); err != nil {
						t.Error(err)
					}
					time.Sleep(time.Duration(i+1) * time.Millisecond)
				}
			})
		}
		for range 5 {
			s.hold()
			time.Sleep(20 * time.Millisecond)
			s.cut()
			s.release()
			time.Sleep(50 * time.Millisecond)
		}
		all.Wait()
		shut(t, p)
		next := [publishers]int{}
		for _, id := range s.ids("work") {
			var i, j int
			if _, err := fmt.Sscan(id, &i, &j); err != nil || j != next[i] {
				t.Fatalf("%s, want number %d of it; %v", id, next[i], err)
			}
			next[i]++
		}
		if st := p.Stats(); st.Confirmed != publishers*each || st.Reconnects == 0 || st.Republished == 0 {
			t.Errorf("stats: %+v", st)
		}
	})
}

// TestFinal: what no other try can help is answered after the first.
func TestFinal(t *testing.T) {
	for name, answer := range map[string]error{
		"unroutable": broker.ErrUnroutable,
		"forbidden":  fmt.Errorf("%w: %w", broker.ErrRefused, broker.ErrForbidden),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage()
				s.answer = func(p *broker.Publication) error {
					if p.MessageID == "bad" {
						return answer
					}
					return nil
				}
				p := open(t, publisher.Options{Dialer: s})
				defer shut(t, p)
				err := p.Publish(t.Context(), message("bad"))
				problem, ok := errors.AsType[*publisher.Error](err)
				if !errors.Is(err, answer) || !ok || problem.MessageID != "bad" || problem.Tries != 1 {
					t.Errorf("%v, %+v", err, problem)
				}
				if err := p.Publish(t.Context(), message("good")); err != nil {
					t.Error(err)
				}
				if got := s.attempts(); !slices.Equal(got, []string{"bad", "good"}) {
					t.Errorf("published %v", got)
				}
			})
		})
	}
}

// TestEndOfContext: the error says whether the message may have arrived.
func TestEndOfContext(t *testing.T) {
	for _, tt := range []struct {
		name    string
		before  func(s *stage)
		unknown bool
		also    error
		tries   int
	}{
		{name: "in flight", before: func(s *stage) { s.hold() }, unknown: true, tries: 1},
		{name: "not connected", before: func(s *stage) { s.Deny(broker.ErrUnreachable) }, also: broker.ErrUnreachable},
		{name: "denied", before: func(s *stage) { s.Deny(broker.ErrDenied) }, also: broker.ErrDenied},
		{name: "blocked", before: func(s *stage) { s.block("low on memory") }, also: publisher.ErrBlocked, tries: 1},
		{name: "refused", before: func(s *stage) { s.Refuse(broker.ErrRefused) }, also: broker.ErrRefused, tries: 5}, // after 0, 0.5, 1.5, 3.5 and 7.5 s at the earliest
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage()
				tt.before(s)
				p := open(t, publisher.Options{Dialer: s, MinBackoff: time.Second})
				begin := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				err := p.Publish(ctx, message("m"))
				if took := time.Since(begin); took != 10*time.Second {
					t.Errorf("took %v", took)
				}
				if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, broker.ErrUnknown) != tt.unknown || tt.also != nil && !errors.Is(err, tt.also) {
					t.Errorf("%v; unknown: want %t; also %v", err, tt.unknown, tt.also)
				}
				if problem, ok := errors.AsType[*publisher.Error](err); !ok || problem.Tries > tt.tries || problem.Tries == 0 != (tt.tries == 0) {
					t.Errorf("%v: %d tries, want %d", err, problem.Tries, tt.tries)
				}
				shut(t, p)
				if p.Publish(t.Context(), message("late")) == nil {
					t.Error("published after Close")
				}
			})
		})
	}
}

// TestRefused: a refusal is no last word.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		p := open(t, publisher.Options{Dialer: s})
		defer shut(t, p)
		s.Refuse(broker.ErrRefused)
		list := async(t, p, 3)
		time.Sleep(5 * time.Second)
		if st := p.Stats(); st.Refused < 6 || st.Refused > 60 || st.Open != 3 {
			t.Errorf("stats after 5 s: %+v", st)
		}
		s.Refuse(nil)
		want(t, list, publisher.Confirmed)
	})
}

// TestBlocked: publishers wait, or are told at once.
func TestBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		patient := open(t, publisher.Options{Dialer: s})
		defer shut(t, patient)
		hasty := open(t, publisher.Options{Dialer: s, FailBlocked: true, Window: 2})
		defer shut(t, hasty)
		for _, p := range []*publisher.Publisher{patient, hasty} {
			if err := p.Publish(t.Context(), message("")); err != nil {
				t.Fatal(err)
			}
		}
		unblock := s.block("low on disk")
		waits := async(t, patient, 3)
		begin := time.Now()
		want(t, async(t, hasty, 2), 0, publisher.ErrBlocked)
		if took := time.Since(begin); took > 0 {
			t.Errorf("told after %v", took)
		}
		if reason, since := hasty.Blocked(); reason != "low on disk" || !since.Equal(begin) {
			t.Errorf("Blocked: %q, %v", reason, since)
		}
		time.Sleep(time.Hour)
		if st := patient.Stats(); st.Open != 3 {
			t.Errorf("stats: %+v", st)
		}
		unblock()
		want(t, waits, publisher.Confirmed)

		// The block begins while one is with the session and one waits for its turn.
		wall := make(chan struct{})
		s.mu.Lock()
		s.wall = wall
		s.mu.Unlock()
		list := async(t, hasty, 2)
		time.Sleep(time.Minute)
		s.Block("late")
		want(t, list, 0, publisher.ErrBlocked)
		s.mu.Lock()
		s.wall = nil
		s.mu.Unlock()
		s.Block("")
		close(wall)
	})
}

// TestWindow: Async waits for room, and as long as its context allows.
func TestWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		p := open(t, publisher.Options{Dialer: s, Window: 2})
		defer shut(t, p)
		s.hold()
		list := async(t, p, 2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Async(ctx, message("")); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, broker.ErrUnknown) {
			t.Errorf("beyond the window: %v", err)
		}
		s.release()
		list = append(list, async(t, p, 1)...)
		want(t, list, publisher.Confirmed)
	})
}

// TestClose: what was taken is answered, at the end of the context with an error.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		p := open(t, publisher.Options{Dialer: s})
		s.hold()
		list := async(t, p, 3)
		time.AfterFunc(10*time.Second, s.release)
		begin := time.Now()
		shut(t, p)
		want(t, list, publisher.Confirmed)
		if took := time.Since(begin); took != 10*time.Second {
			t.Errorf("took %v", took)
		}

		p = open(t, publisher.Options{Dialer: s})
		s.hold()
		list = async(t, p, 3)
		synctest.Wait()
		unblock := s.block("low on memory")
		stuck := async(t, p, 2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Close(ctx); err == nil {
			t.Error("Close: no error")
		}
		want(t, list, 0, broker.ErrUnknown, publisher.ErrClosed)
		want(t, stuck, 0, publisher.ErrClosed)
		if _, err := stuck[1].Result(); errors.Is(err, broker.ErrUnknown) {
			t.Errorf("of what was not sent: %v", err)
		}
		unblock()
		if err := p.Connect(t.Context()); !errors.Is(err, publisher.ErrClosed) {
			t.Errorf("Connect after Close: %v", err)
		}
	})
}

func TestConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		p := open(t, publisher.Options{Dialer: s})
		defer shut(t, p)
		s.Deny(broker.ErrUnreachable)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := p.Connect(ctx); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, broker.ErrUnreachable) {
			t.Errorf("unreachable: %v", err)
		}
		s.Deny(broker.ErrDenied)
		if err := p.Connect(t.Context()); !errors.Is(err, broker.ErrDenied) {
			t.Errorf("denied: %v", err)
		}
		s.Deny(nil)
		if err := p.Connect(t.Context()); err != nil {
			t.Errorf("reachable: %v", err)
		}
		if s.dials > 20 {
			t.Errorf("%d dials in a few minutes", s.dials)
		}
	})
}
