package fakebroker

import "time"

// This file is what a test may do to the broker.

// Deny makes Dial fail with err; nil lets it work again.
func (b *Broker) Deny(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.denied = err
}

// Refuse makes every publication fail with err; nil lets them work again.
func (b *Broker) Refuse(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuse = err
}

// Block has every session say that it is blocked since now, for that reason; ""
// ends it. Publications are accepted all the same: a test that wants to see one
// wait wraps the session.
func (b *Broker) Block(reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.blocked = block{}
	if reason != "" {
		b.blocked = block{reason, time.Now()}
	}
}

// CutSessions kills every session: their deliveries return to the queues.
func (b *Broker) CutSessions() { b.CutSessionsFor(ErrCut) }

// CutSessionsFor is CutSessions with another reason.
func (b *Broker) CutSessionsFor(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.sessions {
		s.end(err)
	}
}

// CutConsumers kills the consumers of a queue and leaves the sessions alive.
func (b *Broker) CutConsumers(queue string) { b.CutConsumersFor(queue, ErrCut) }

// CutConsumersFor is CutConsumers with another reason.
func (b *Broker) CutConsumersFor(queue string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queue(queue)
	for _, c := range append([]*consumer(nil), q.consumers...) {
		c.end(err)
	}
}

// CutConsumer kills the consumer with that tag, for a reason.
func (b *Broker) CutConsumer(tag string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, q := range b.queues {
		for _, c := range append([]*consumer(nil), q.consumers...) {
			if c.name == tag {
				c.end(err)
			}
		}
	}
}
