package publisher_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/publisher"
	"github.com/magne-actors/magne-actors/internal/spool"
	"github.com/magne-actors/magne-actors/task"
)

// TestSpoolWhileAway: while the broker is away messages are accepted by the spool, at
// once after SpoolAfter, and published when it is back. Those that are delayed wait.
func TestSpoolWhileAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		p := open(t, publisher.Options{Dialer: s, SpoolDir: t.TempDir()})
		if err := p.Publish(t.Context(), message("")); err != nil {
			t.Fatal(err)
		}
		s.hold()
		list := async(t, p, 3)
		synctest.Wait()
		s.Deny(broker.ErrUnreachable)
		s.cut()
		begin := time.Now()
		want(t, list, publisher.Spooled)
		if took := time.Since(begin); took < publisher.DefaultSpoolAfter || took > 3*time.Second {
			t.Errorf("spooled after %v", took)
		}
		begin = time.Now()
		list = append(list, async(t, p, 3)...)
		want(t, list, publisher.Spooled)
		if took := time.Since(begin); took > 0 {
			t.Errorf("others were spooled after %v", took)
		}
		if st := p.Stats(); st.Spooled != 6 || st.Spool.Messages != 6 {
			t.Errorf("stats: %+v", st)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := p.Send(ctx, "work", &task.Message{Name: "late"}, publisher.In(time.Hour)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a delayed task: %v", err)
		}
		s.Deny(nil)
		s.release()
		time.Sleep(time.Minute)
		if got := s.ids("work"); !slices.Equal(got[1:], idsOf(list)) {
			t.Errorf("in the queue: %v, want %v", got[1:], idsOf(list))
		}
		if st := p.Stats(); st.Spool.Messages != 0 {
			t.Errorf("stats: %+v", st)
		}
		shut(t, p)
	})
}

// TestSpoolWhileBlocked: what the broker had read before it blocked is accepted by the
// spool, and published by that only if the broker does not confirm it in the end.
func TestSpoolWhileBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		p := open(t, publisher.Options{Dialer: s, SpoolDir: t.TempDir()})
		s.hold()
		sent := async(t, p, 3)
		synctest.Wait()
		unblock := s.block("low on memory")
		waits := async(t, p, 2)
		want(t, slices.Concat(sent, waits), publisher.Spooled)
		unblock()
		s.release()
		time.Sleep(time.Minute)
		if got := s.ids("work"); len(got) != 5 {
			t.Errorf("in the queue: %v", got)
		}
		if st := p.Stats(); st.Spool.Messages != 0 || st.Spool.Withdrawn != 3 {
			t.Errorf("stats: %+v", st)
		}
		shut(t, p)
	})
}

// TestSpoolRefused: what was refused twice is accepted by the spool.
func TestSpoolRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		p := open(t, publisher.Options{Dialer: s, SpoolDir: t.TempDir()})
		s.Refuse(broker.ErrRefused)
		want(t, async(t, p, 2), publisher.Spooled)
		if st := p.Stats(); st.Refused != 4 {
			t.Errorf("stats: %+v", st)
		}
		s.Refuse(nil)
		time.Sleep(time.Minute)
		if got := s.Len("work"); got != 2 {
			t.Errorf("%d in the queue", got)
		}
		shut(t, p)
	})
}

// TestSpoolFull: what the spool has no room for waits for the broker.
func TestSpoolFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		s.Deny(broker.ErrUnreachable)
		p := open(t, publisher.Options{Dialer: s, SpoolDir: t.TempDir(), SpoolMaxBytes: 64 << 10})
		large := message("large")
		large.Body = make([]byte, 128<<10)
		r, err := p.Async(t.Context(), large)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := p.Publish(ctx, large); !errors.Is(err, spool.ErrFull) || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, broker.ErrUnknown) {
			t.Errorf("another one: %v", err)
		}
		invalid := message("invalid")
		invalid.RoutingKey = strings.Repeat("long", 64)
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := p.Publish(ctx, invalid); !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("what cannot be sent at all: %v", err)
		}
		s.Deny(nil)
		want(t, []*publisher.Receipt{r}, publisher.Confirmed)
		shut(t, p)
	})
}

// TestSpoolAtClose: the end of the time for closing has the rest spooled, and the next
// Publisher of the directory publishes it.
func TestSpoolAtClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, dir := newStage(), t.TempDir()
		p := open(t, publisher.Options{Dialer: s, SpoolDir: dir, SpoolAfter: time.Hour})
		s.hold()
		list := async(t, p, 3)
		synctest.Wait()
		unblock := s.block("low on memory")
		list = append(list, async(t, p, 3)...)
		delayed, err := p.Task(broker.Queue{Name: "work"}, &task.Message{Name: "late"}, publisher.In(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		r, err := p.Async(t.Context(), delayed)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := p.Close(ctx); err == nil {
			t.Error("Close: no error, in spite of the delayed one")
		}
		want(t, list, publisher.Spooled)
		want(t, []*publisher.Receipt{r}, 0, publisher.ErrClosed)
		unblock()
		s.release()
		p = open(t, publisher.Options{Dialer: s, SpoolDir: dir})
		time.Sleep(time.Minute)
		got, all := s.ids("work"), idsOf(list)
		slices.Sort(got)
		slices.Sort(all)
		if !slices.Equal(got, all) {
			t.Errorf("in the queue: %v, want %v", got, all)
		}
		shut(t, p)
	})
}
