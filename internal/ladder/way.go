package ladder

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/magne-actors/magne-actors/broker"
)

// paveTimeout bounds the declaration of the ladder, which takes RabbitMQ 2 s.
const paveTimeout = 30 * time.Second

// Postpone makes p one that arrives in queue when it is due. One that is due already
// stays as it is, but for the headers that say so. The headers that p had are copied.
func Postpone(p *broker.Publication, queue string, due, now time.Time) {
	p.Headers = maps.Clone(p.Headers)
	if p.Headers == nil {
		p.Headers = map[string]any{}
	}
	p.Headers[HeaderETA] = due.UTC().Format(ETAFormat)
	p.Headers[HeaderQueue] = queue
	if wait := due.Sub(now); wait > 0 {
		p.Exchange, p.RoutingKey = Route(wait, queue)
		p.Persistent = true
	}
}

// Delayed returns the queue that a publication to the ladder is for. ok is false for
// one that does not wait on the broker.
func Delayed(p *broker.Publication) (queue string, ok bool) {
	queue, ok = p.Headers[HeaderQueue].(string)
	return queue, ok && strings.HasPrefix(p.Exchange, QueuePrefix)
}

// Way sees to it that delayed messages find their way: that the ladder is declared, and
// leads to their queues, once for each session. The zero value is ready for use, by
// several goroutines.
type Way struct {
	mu      sync.Mutex
	session broker.Session
	tried   bool            // to declare the ladder on session
	doubted bool            // something of the ladder is missing
	queues  map[string]bool // into which it leads
}

// Pave declares what a delay for queue takes, where it is missing. It may block for
// 30 s. Who may not declare relies on somebody having done so. The error wraps
// [broker.ErrTopology] when there is no such queue.
func (w *Way) Pave(ctx context.Context, session broker.Session, queue string) error {
	if w.leads(session, queue) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, paveTimeout)
	defer cancel()
	var err error
	lay := w.isDoubted() && w.first(session)
	if !lay {
		err = session.Apply(ctx, Exit(queue))
		lay = errors.Is(err, broker.ErrTopology) && w.first(session) // no ladder, or no queue
	}
	if lay {
		if err = session.Apply(ctx, Topology()); err == nil {
			err = session.Apply(ctx, Exit(queue))
		}
	}
	if err != nil && !errors.Is(err, broker.ErrForbidden) {
		return fmt.Errorf("declare what a delay for queue %q takes: %w", queue, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.on(session)
	w.queues[queue], w.doubted = true, false
	return nil
}

// Doubt says that a message for queue came back from the ladder: something of it is
// missing, as after a declaration that was cut off, and Pave declares all of it.
func (w *Way) Doubt(queue string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.doubted = true
	delete(w.queues, queue)
}

func (w *Way) isDoubted() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.doubted
}

// on forgets what is known of other sessions; mu is locked.
func (w *Way) on(session broker.Session) {
	if w.session != session {
		w.session, w.tried, w.queues = session, false, map[string]bool{}
	}
}

// first is true once for each session: a queue that does not exist is no reason to
// declare the ladder with each message.
func (w *Way) first(session broker.Session) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.on(session)
	first := !w.tried
	w.tried = true
	return first
}

func (w *Way) leads(session broker.Session, queue string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.on(session)
	return w.queues[queue]
}
