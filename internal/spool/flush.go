package spool

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/ladder"
)

const (
	// adoptEvery is how often Flush looks for segments that others have left.
	adoptEvery = 5 * time.Second
	// pauseAfter is how long Flush waits after the session took nothing.
	pauseAfter = time.Second
	// A message that was refused or returned is tried again after retryFirst, then
	// twice as long, up to retryMost.
	retryFirst, retryMost = time.Second, 30 * time.Second
)

// Flush publishes what waits in the spool, and what comes, until ctx ends or
// session is dead. Messages that the broker refuses or returns are tried again
// after a while and delay no others. It also takes over what other processes have
// left. Several calls may run at once.
func (s *Spool) Flush(ctx context.Context, session broker.Session) {
	adopt := time.NewTicker(adoptEvery)
	defer adopt.Stop()
	s.seekOrphans()
	for ctx.Err() == nil && !isDone(session.Done()) && !isDone(s.done) {
		e, wait, changed := s.next(time.Now(), false)
		if e != nil {
			if s.publish(ctx, session, e) == nil {
				continue
			}
			wait = pauseAfter
		}
		due := time.NewTimer(wait)
		select {
		case <-due.C:
		case <-changedUnless(e != nil, changed):
		case <-adopt.C:
			s.seekOrphans()
		case <-session.Done():
		case <-s.done:
		case <-ctx.Done():
		}
		due.Stop()
	}
}

// changedUnless is changed, or nothing that ever happens during a pause.
func changedUnless(pause bool, changed <-chan struct{}) <-chan struct{} {
	if pause {
		return nil
	}
	return changed
}

func isDone(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Drain tries each message that waits once, and returns when the broker has
// answered for all of them, how many are left: zero when it has them all. The
// error says why it ended before that. It takes no part in a Flush beside it.
func (s *Spool) Drain(ctx context.Context, session broker.Session) (left int, err error) {
	s.again()
	for {
		e, _, changed := s.next(time.Now(), true)
		switch {
		case e != nil:
			if err := s.publish(ctx, session, e); err != nil {
				return s.Pending(), err
			}
			continue
		case s.inFlight() == 0:
			return s.Pending(), nil
		}
		select {
		case <-changed:
		case <-session.Done():
			return s.Pending(), fmt.Errorf("spool: the connection was lost: %w", errors.Join(broker.ErrUnknown, session.Err()))
		case <-s.done:
			return s.Pending(), ErrClosed
		case <-ctx.Done():
			return s.Pending(), fmt.Errorf("spool: %w", context.Cause(ctx))
		}
	}
}

// waiters are messages that wait for another try, as a heap: what is due first is the
// first. There can be hundreds of thousands, and each message that is published looks
// for what is due.
type waiters []*entry

func (w waiters) Len() int           { return len(w) }
func (w waiters) Less(i, j int) bool { return w[i].due.Before(w[j].due) }
func (w waiters) Swap(i, j int)      { w[i], w[j] = w[j], w[i] }
func (w *waiters) Push(e any)        { *w = append(*w, e.(*entry)) }
func (w *waiters) Pop() any {
	last := len(*w) - 1
	e := (*w)[last]
	(*w)[last] = nil
	*w = (*w)[:last]
	return e
}

func (s *Spool) inFlight() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flying
}

// again makes all that wait for another try ready.
func (s *Spool) again() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.later {
		s.enlist(e)
	}
	s.later = nil
}

// next takes the next message to publish. Without one it says how long at most
// nothing is due, and what is closed when something changes. With once, those that
// have been tried stay where they are.
func (s *Spool) next(now time.Time, once bool) (e *entry, wait time.Duration, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wait = time.Minute
	if !once {
		for len(s.later) > 0 && !s.later[0].due.After(now) {
			s.enlist(heap.Pop(&s.later).(*entry))
		}
		if len(s.later) > 0 {
			wait = min(wait, s.later[0].due.Sub(now))
		}
	}
	if front := s.ready.Front(); front != nil {
		s.ready.Remove(front)
		s.flying++
		e = front.Value.(*entry)
	}
	return e, wait, s.changed
}

// publish hands one message to the session. An error says that the session took
// nothing; the message is where it was.
func (s *Spool) publish(ctx context.Context, session broker.Session, e *entry) error {
	p, err := e.in.read(e.at, e.size)
	switch {
	case errors.Is(err, os.ErrClosed): // after Close
	case err != nil:
		s.lose(e, err)
		return nil
	default:
		queue, delayed := ladder.Delayed(p)
		if delayed {
			// Whoever has put it here may have had no broker to do so.
			err = s.way.Pave(ctx, session, queue)
		}
		if err != nil {
			s.answered(e, err)
			return nil
		}
		err = session.Publish(ctx, p, func(err error) {
			if delayed && errors.Is(err, broker.ErrUnroutable) {
				s.way.Doubt(queue)
			}
			s.answered(e, err)
		})
	}
	switch {
	case err == nil:
	case errors.Is(err, broker.ErrInvalid):
		s.answered(e, err)
		err = nil
	default:
		s.back(e, err)
	}
	return err
}

// back returns a message that nobody took to where it was.
func (s *Spool) back(e *entry, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flying--
	s.ready.PushFront(e)
	s.stats.LastError = err.Error()
}

// answered is the broker's answer.
func (s *Spool) answered(e *entry, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flying--
	if err == nil {
		s.stats.Published++
		s.stats.LastError = ""
		s.markLocked(e)
		s.poke()
	} else {
		s.stats.LastError = err.Error()
		e.due = time.Now().Add(min(retryFirst<<min(e.tries, 10), retryMost))
		e.tries++
		heap.Push(&s.later, e)
	}
	s.changedLocked()
}

// lose gives up a message that cannot be read any more.
func (s *Spool) lose(e *entry, err error) {
	s.o.Logger.Error("a message of the spool cannot be read, its file is kept", "file", e.in.path, "at", e.at, "err", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flying--
	s.stats.Damaged += e.size
	e.lost = true
	s.markLocked(e)
	s.changedLocked()
	s.poke()
}

// seekOrphans has the committer take over what others have left.
func (s *Spool) seekOrphans() {
	s.mu.Lock()
	s.orphans = true
	s.mu.Unlock()
	s.poke()
}
