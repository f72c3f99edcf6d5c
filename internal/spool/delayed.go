package spool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/ladder"
)

// ladderTimeout bounds the declaration of the ladder, which takes RabbitMQ 2 s.
const ladderTimeout = 30 * time.Second

// pave makes the way of a message that is to wait on the broker, once for each queue
// and session: whoever has put it here may have had no broker to do so. It may block
// for ladderTimeout. Who may not declare relies on somebody having done so.
func (s *Spool) pave(ctx context.Context, session broker.Session, p *broker.Publication) error {
	queue, delayed := p.Headers[ladder.HeaderQueue].(string)
	if !delayed || !strings.HasPrefix(p.Exchange, ladder.QueuePrefix) || s.paved(session, queue) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, ladderTimeout)
	defer cancel()
	err := session.Apply(ctx, ladder.Exit(queue))
	if errors.Is(err, broker.ErrTopology) && s.firstTime(session) { // no ladder, or no queue
		if err = session.Apply(ctx, ladder.Topology()); err == nil {
			err = session.Apply(ctx, ladder.Exit(queue))
		}
	}
	if err != nil && !errors.Is(err, broker.ErrForbidden) {
		return fmt.Errorf("declare what a delay for queue %q takes: %w", queue, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on(session).queues[queue] = true
	return nil
}

// way is what delayed messages have on a session.
type way struct {
	session broker.Session
	tried   bool            // to declare the ladder
	queues  map[string]bool // into which it leads
}

// on is the way on a session; mu is locked.
func (s *Spool) on(session broker.Session) *way {
	if s.way.session != session {
		s.way = way{session: session, queues: map[string]bool{}}
	}
	return &s.way
}

// firstTime is true once for each session: a queue that does not exist is no reason to
// declare the ladder with each message.
func (s *Spool) firstTime(session broker.Session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.on(session)
	first := !w.tried
	w.tried = true
	return first
}

func (s *Spool) paved(session broker.Session, queue string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.on(session).queues[queue]
}
