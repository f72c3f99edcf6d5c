package fakebroker

import (
	"context"
	"maps"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/ladder"
)

// Apply makes the queues, as everything that names one does. The ladder of package
// ladder works without it.
func (s *session) Apply(ctx context.Context, t broker.Topology) error {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if s.ended {
		return broker.ErrClosed
	}
	for _, q := range t.Queues {
		s.b.queue(q.Name)
	}
	return ctx.Err()
}

// Delayed is how many messages wait on the ladder.
func (b *Broker) Delayed() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.delayed
}

// delay puts a publication to an exchange of the ladder into its queue when it is due,
// as dead-lettering would: with the exchange that it comes from in the end, the key it
// had, and the headers of a message that has expired. ok is false when p is none.
func (b *Broker) delay(p *broker.Publication) (ok bool) {
	after, queue, isKey := ladder.Parse(p.RoutingKey)
	if !isKey || !strings.HasPrefix(p.Exchange, strings.TrimSuffix(ladder.DelayExchange(0), "0")) {
		return false
	}
	m := &message{pub: *p}
	m.pub.Exchange = ladder.DeliverExchange
	if after > 0 {
		m.pub.Headers = maps.Clone(p.Headers)
		if m.pub.Headers == nil {
			m.pub.Headers = map[string]any{}
		}
		m.pub.Headers["x-death"] = []any{map[string]any{"queue": p.Exchange, "reason": "expired", "count": int64(1)}}
		m.pub.Headers["x-first-death-reason"] = "expired"
		m.pub.Headers["x-first-death-queue"] = p.Exchange
	}
	arrive := func() {
		q := b.queue(queue)
		q.ready.PushBack(m)
		q.deliver(b)
	}
	if after == 0 {
		arrive()
		return true
	}
	b.delayed++
	time.AfterFunc(after, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.delayed--
		arrive()
	})
	return true
}
