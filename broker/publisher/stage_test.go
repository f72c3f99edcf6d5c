package publisher_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/publisher"
	"github.com/magne-actors/magne-actors/internal/fakebroker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stage is a fakebroker whose answers wait for the test, and that can block.
type stage struct {
	*fakebroker.Broker
	mu       sync.Mutex
	sessions map[*actor]bool
	holding  bool          // answers wait for release
	wall     chan struct{} // not nil: publishers are blocked until it is closed
	tried    []string      // message-ids in the order of publishing
	dials    int
	answer   func(p *broker.Publication) error // instead of the broker, if it is not nil
}

func newStage() *stage {
	return &stage{Broker: fakebroker.New(), sessions: map[*actor]bool{}}
}

// actor is a session of a stage.
type actor struct {
	broker.Session
	stage *stage
	held  []held
}

type held struct {
	p    *broker.Publication
	done func(error)
}

func (s *stage) Dial(ctx context.Context) (broker.Session, error) {
	session, err := s.Broker.Dial(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dials++
	if err != nil {
		return nil, err
	}
	a := &actor{Session: session, stage: s}
	s.sessions[a] = true
	return a, nil
}

func (a *actor) Publish(ctx context.Context, p *broker.Publication, done func(error)) error {
	for {
		a.stage.mu.Lock()
		wall := a.stage.wall
		if wall == nil {
			break
		}
		a.stage.mu.Unlock()
		select {
		case <-wall:
		case <-a.Done():
			return broker.ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("blocked: %w", ctx.Err())
		}
	}
	if !a.stage.sessions[a] {
		a.stage.mu.Unlock()
		return broker.ErrClosed
	}
	a.stage.tried = append(a.stage.tried, p.MessageID)
	answer, holding := a.stage.answer, a.stage.holding
	if holding {
		a.held = append(a.held, held{p, done})
	}
	a.stage.mu.Unlock()
	switch {
	case holding:
		return nil
	case answer != nil:
		if err := answer(p); err != nil {
			done(err)
			return nil
		}
	}
	return a.Session.Publish(ctx, p, done)
}

func (a *actor) Close(ctx context.Context) error {
	err := a.Session.Close(ctx)
	a.drop()
	return err
}

// drop answers what can have no answer any more.
func (a *actor) drop() {
	a.stage.mu.Lock()
	delete(a.stage.sessions, a)
	list := a.held
	a.held = nil
	a.stage.mu.Unlock()
	for _, h := range list {
		h.done(fmt.Errorf("dropped: %w", broker.ErrUnknown))
	}
}

// hold has answers wait, and release lets the broker answer them.
func (s *stage) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holding = true
}

func (s *stage) release() {
	s.mu.Lock()
	s.holding = false
	var list []held
	for a := range s.sessions {
		for _, h := range a.held {
			list = append(list, held{h.p, func(error) {
				if err := a.Session.Publish(context.Background(), h.p, h.done); err != nil { // it was cut while it was dialed
					h.done(fmt.Errorf("%w: %w", broker.ErrUnknown, err))
				}
			}})
		}
		a.held = nil
	}
	s.mu.Unlock()
	for _, h := range list {
		h.done(nil)
	}
}

// cut ends all sessions.
func (s *stage) cut() {
	s.mu.Lock()
	var list []*actor
	for a := range s.sessions {
		list = append(list, a)
	}
	s.mu.Unlock()
	s.CutSessions()
	for _, a := range list {
		a.drop()
	}
}

// block blocks publishers; the function that it returns ends that.
func (s *stage) block(reason string) (unblock func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wall := make(chan struct{})
	s.wall = wall
	s.Block(reason)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.wall = nil
		s.Block("")
		close(wall)
	}
}

func (s *stage) attempts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.tried...)
}

// ids of what is in a queue.
func (s *stage) ids(queue string) (ids []string) {
	for _, p := range s.Ready(queue) {
		ids = append(ids, p.MessageID)
	}
	return ids
}

func open(t *testing.T, o publisher.Options) *publisher.Publisher {
	t.Helper()
	p, err := publisher.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// shut closes p, in which nothing may be left.
func shut(t *testing.T, p *publisher.Publisher) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := p.Close(ctx); err != nil {
		t.Error(err)
	}
}

func message(id string) *broker.Publication {
	p := &broker.Publication{RoutingKey: "work", Body: []byte(id)}
	p.MessageID = id
	return p
}

// async publishes n messages without ids.
func async(t *testing.T, p *publisher.Publisher, n int) []*publisher.Receipt {
	t.Helper()
	list := make([]*publisher.Receipt, n)
	for i := range list {
		r, err := p.Async(t.Context(), message(""))
		if err != nil {
			t.Fatal(err)
		}
		list[i] = r
	}
	return list
}

// want wants that answer to each.
func want(t *testing.T, list []*publisher.Receipt, outcome publisher.Outcome, errs ...error) {
	t.Helper()
	for i, r := range list {
		got, err := r.Result()
		if got != outcome || err == nil != (len(errs) == 0) {
			t.Fatalf("%d: %v, %v; want %v, %v", i, got, err, outcome, errs)
		}
		for _, is := range errs {
			if !errors.Is(err, is) {
				t.Errorf("%d: %q does not wrap %q", i, err, is)
			}
		}
	}
}

func idsOf(list []*publisher.Receipt) (ids []string) {
	for _, r := range list {
		ids = append(ids, r.MessageID())
	}
	return ids
}
