package actors

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/spool"
	"github.com/magne-actors/magne-actors/task"
)

func TestSpoolable(t *testing.T) {
	for _, c := range []struct {
		err   error
		tries int
		want  bool
	}{
		{nil, 5, false},
		{errBlocked, 0, true},
		{broker.ErrRefused, 0, false}, // it may have passed at the next try
		{broker.ErrRefused, 1, true},
		{broker.ErrUnknown, 1, true},
		{broker.ErrUnroutable, 9, false}, // people look for it in its queue
		{broker.ErrInvalid, 9, false},
		{broker.ErrTopology, 9, false},
		{broker.ErrStale, 9, false},
		{broker.ErrForbidden, 9, false}, // it will be so tomorrow
	} {
		if got := spoolable(c.err, c.tries); got != c.want {
			t.Errorf("%v, %d tries before: got %v, want %v", c.err, c.tries, got, c.want)
		}
	}
}

// gate is a broker that takes nothing while it blocks publishers.
type gate struct{ broker.Dialer }

func (g gate) Dial(ctx context.Context) (broker.Session, error) {
	s, err := g.Dialer.Dial(ctx)
	return gated{s}, err
}

type gated struct{ broker.Session }

func (g gated) Publish(ctx context.Context, p *broker.Publication, done func(error)) error {
	for {
		if _, since := g.Blocked(); since.IsZero() {
			return g.Session.Publish(ctx, p, done)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-g.Done():
			return broker.ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// spooled starts a System with a spool; all of its tasks fail for good. wrap, if
// not nil, goes around the spool.
func spooled(t *testing.T, dir string, wrap func(broker.Spool) broker.Spool) (*rig, *spool.Spool) {
	t.Helper()
	s, err := spool.Open(spool.Options{Dir: dir, MaxBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	mux := handlers(map[string]task.HandlerFunc{"fail": func(context.Context, *task.Message) error { return task.Discard(errors.New("no")) }})
	r := start(t, Pool{High: 4, Slots: 4, Mux: mux}, func(o *Options) {
		o.Dialer = gate{o.Dialer}
		o.Spool = s
		if wrap != nil {
			o.Spool = wrap(s)
		}
	})
	return r, s
}

// TestSpoolWhileBlocked: the broker delivers and takes nothing. The copies go to
// the disk, their deliveries are acked and the pool goes on; afterwards the broker
// gets every copy once.
func TestSpoolWhileBlocked(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r, s := spooled(t, dir, nil)
		r.broker.Block("memory alarm")
		const n = 40 // many times what the pool may hold
		r.put(n, "fail")
		wait(spoolAfter + time.Second)
		node := find(r.system.Tree(), "broker")
		if r.broker.Acked() != n || node.Spool == nil || node.Spool.Messages != n || node.Spool.Oldest == nil {
			t.Errorf("acked %d of %d, spool %+v", r.broker.Acked(), n, node.Spool)
		}
		r.broker.Block("")
		wait(time.Minute)
		if got := r.broker.Len("dead"); got != n || s.Pending() != 0 {
			t.Errorf("%d dead letters, %d in the spool, want %d and none", got, s.Pending(), n)
		}
		r.put(1, "fail")
		wait(time.Second)
		if got, st := r.broker.Len("dead"), s.Stats(); got != n+1 || st.Accepted != n {
			t.Errorf("%d dead letters, %d of them by way of the spool; want the last one without it", got, st.Accepted)
		}
		r.finish()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// swallowing is a broker that takes copies while it blocks, and answers none of
// them until it is told what.
type swallowing struct {
	broker.Session
	answers chan func(error)
}

func (s swallowing) Publish(_ context.Context, _ *broker.Publication, done func(error)) error {
	s.answers <- done
	return nil
}

type swallower struct {
	broker.Dialer
	answers chan func(error)
}

func (s swallower) Dial(ctx context.Context) (broker.Session, error) {
	session, err := s.Dialer.Dial(ctx)
	return swallowing{session, s.answers}, err
}

// TestInsured: copies that the broker has taken and does not answer are insured by
// the spool. What it confirms later is withdrawn there, what it loses is kept.
func TestInsured(t *testing.T) {
	for name, c := range map[string]struct {
		answer    error
		full      bool // the spool is
		withdrawn int64
		waiting   int
		acked     int
	}{
		"confirmed":          {nil, false, 4, 0, 4},
		"lost":               {broker.ErrUnknown, false, 0, 4, 4},
		"confirmed, no room": {nil, true, 0, 0, 4},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				s, err := spool.Open(spool.Options{Dir: dir, MaxBytes: 64 << 10})
				if err != nil {
					t.Fatal(err)
				}
				if c.full {
					fill(t, s)
				}
				before := s.Stats()
				answers := make(chan func(error), 100)
				mux := handlers(map[string]task.HandlerFunc{"fail": func(context.Context, *task.Message) error { return task.Discard(errors.New("no")) }})
				r := start(t, Pool{High: 4, Slots: 4, Mux: mux}, func(o *Options) {
					o.Dialer, o.Spool = swallower{o.Dialer, answers}, noFlush{s}
				})
				r.put(4, "fail")
				wait(time.Second)
				r.broker.Block("memory alarm")
				wait(spoolAfter + time.Second)
				if n := r.broker.Acked(); n != 4 && !c.full || n != 0 && c.full {
					t.Errorf("acked %d while the broker blocks", n)
				}
				for range 4 {
					(<-answers)(c.answer)
				}
				wait(time.Second)
				st := s.Stats()
				if st.Withdrawn-before.Withdrawn != c.withdrawn || s.Pending() != c.waiting || st.Held != before.Held || r.broker.Acked() != c.acked {
					t.Errorf("acked %d, spool %+v", r.broker.Acked(), st)
				}
				r.broker.Block("")
				r.finish()
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// noFlush leaves what is in the spool where it is.
type noFlush struct{ broker.Spool }

func (noFlush) Flush(context.Context, broker.Session)              {}
func (noFlush) Drain(context.Context, broker.Session) (int, error) { return 0, nil }

// fill has messages in the spool that nobody releases, until there is no room.
func fill(t *testing.T, s *spool.Spool) {
	t.Helper()
	for full := false; !full; {
		done := make(chan error)
		s.Put(&broker.Publication{Body: make([]byte, 300)}, func(_ func(bool), err error) { done <- err })
		full = <-done != nil
	}
}

// TestSpoolFull: without room the original is kept, as without a spool.
func TestSpoolFull(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r, s := spooled(t, dir, nil)
		r.broker.Block("memory alarm")
		r.put(1000, "fail")
		wait(time.Minute)
		st := s.Stats()
		if acked := r.broker.Acked(); acked != int(st.Accepted) || acked == 0 || st.Refused == 0 || st.Bytes > st.MaxBytes {
			t.Errorf("acked %d, spool %+v", acked, st)
		}
		if r.broker.Unsettled() == 0 {
			t.Error("nothing is unsettled: what did not fit is gone")
		}
		r.broker.Block("")
		wait(10 * time.Minute)
		if got := r.broker.Len("dead"); got != 1000 {
			t.Errorf("%d dead letters, want 1000", got)
		}
		r.finish()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestSpoolWithoutAck: the consumer dies before the ack. The copy is withdrawn:
// the message is delivered again and makes its own.
func TestSpoolWithoutAck(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		cut := &cutting{}
		r, s := spooled(t, dir, func(s broker.Spool) broker.Spool {
			cut.Spool = s
			return cut
		})
		cut.before = func() { r.broker.CutConsumers("work") }
		r.broker.Block("memory alarm")
		r.put(1, "fail")
		wait(time.Minute)
		if st := s.Stats(); st.Accepted != 2 || st.Withdrawn != 1 || st.Messages != 1 {
			t.Errorf("spool %+v, want one copy withdrawn and one kept", st)
		}
		r.broker.Block("")
		wait(time.Minute)
		if got := r.broker.Len("dead"); got != 1 {
			t.Errorf("%d dead letters, want 1", got)
		}
		r.finish()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// cutting calls before once, between the fsync of a copy and the news of it.
type cutting struct {
	broker.Spool
	before func()
	once   sync.Once
}

func (c *cutting) Put(p *broker.Publication, done func(func(bool), error)) {
	c.Spool.Put(p, func(release func(bool), err error) {
		c.once.Do(c.before)
		done(release, err)
	})
}

// TestSpoolAtStart publishes what an earlier process has left.
func TestSpoolAtStart(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r, s := spooled(t, dir, nil)
		r.broker.Block("memory alarm")
		r.put(3, "fail")
		wait(time.Minute)
		r.finish()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		r, s = spooled(t, dir, nil)
		wait(time.Second)
		if got := r.broker.Len("dead"); got != 3 {
			t.Errorf("%d dead letters after the next start, want 3", got)
		}
		r.finish()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
