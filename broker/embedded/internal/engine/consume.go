package engine

import (
	"github.com/magne-actors/magne-actors/broker/embedded/internal/queueargs"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/routing"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// Consume starts a consumer. started is called with the tag after the consumer
// is registered and before its first delivery, as the methods of Out are.
func (ch *Channel) Consume(s ConsumeSpec, started func(tag string)) error {
	ch.mu.Lock()
	_, used := ch.consumers[s.Tag]
	prefetch, limited := ch.prefetch, ch.limit > 0
	ch.mu.Unlock()
	if used {
		return errorf(wire.CodeNotAllowed, "attempt to reuse consumer tag '%s'", s.Tag)
	}
	q, err := ch.e.queueFor(ch.owner, s.Queue)
	if err != nil {
		return err
	}
	args, err := queueargs.Consume(q.name, q.typeName(), s.Args)
	if err != nil {
		return err
	}
	if limited && q.set.quorum {
		return errorf(wire.CodeNotImplemented, "%s does not support global qos", routing.QueueText(q.name))
	}
	if s.Tag == "" {
		s.Tag = randomName("amq.ctag-")
	}
	c := &consumer{
		tag: s.Tag, ch: ch, q: q, noAck: s.NoAck, exclusive: s.Exclusive,
		priority: args.Priority, prefetch: prefetch,
	}
	return q.enlist(c, started)
}

// enlist registers a consumer and gives it what there is.
func (q *Queue) enlist(c *consumer, started func(tag string)) error {
	now := q.e.now()
	q.mu.Lock()
	defer q.unlock()
	r := &q.roster
	switch {
	case q.deleted:
		return routing.NoQueue(q.name)
	case r.exclusive != nil, c.exclusive && (r.single || len(r.all) > 0):
		return errorf(wire.CodeAccessRefused, "%s in exclusive use", routing.QueueText(q.name))
	}
	if !c.ch.register(c, started) {
		return nil // the channel was closed meanwhile
	}
	r.add(c)
	q.run(now)
	return nil
}

func (ch *Channel) register(c *consumer, started func(tag string)) bool {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.closed {
		return false
	}
	ch.consumers[c.tag] = c
	ch.e.consumers.Add(1)
	started(c.tag)
	return true
}

// Cancel ends a consumer. What it has not settled remains so. An unknown tag is
// no error.
func (ch *Channel) Cancel(tag string) {
	ch.mu.Lock()
	c := ch.consumers[tag]
	delete(ch.consumers, tag)
	ch.mu.Unlock()
	if c != nil {
		ch.e.consumers.Add(-1)
		if c.q.dismiss(c) {
			ch.e.unlist(c.q)
		}
	}
}

// dismiss takes a consumer away and reports whether that deleted the queue.
func (q *Queue) dismiss(c *consumer) (deleted bool) {
	q.mu.Lock()
	defer q.unlock()
	if !q.roster.remove(c) || q.deleted {
		return false
	}
	now := q.e.now()
	if q.auto && len(q.roster.all) == 0 {
		q.end()
		return true
	}
	q.used(now)
	q.run(now) // there may be another active consumer
	return false
}

// cancelled takes a consumer away whose queue has ended it.
func (ch *Channel) cancelled(c *consumer) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.consumers[c.tag] == c {
		delete(ch.consumers, c.tag)
		ch.e.consumers.Add(-1)
		ch.out.Cancelled(c.tag)
	}
}

// Get delivers one message, if there is one ready: got is called as Out.Deliver.
func (ch *Channel) Get(queue string, noAck bool, got func(*Delivery)) (ok bool, err error) {
	q, err := ch.e.queueFor(ch.owner, queue)
	if err != nil {
		return false, err
	}
	if q.set.quorum && q.set.single {
		return false, errorf(wire.CodeResourceLocked, "cannot obtain access to locked %s. basic.get operations "+
			"are not supported by quorum queues with single active consumer", routing.QueueText(q.name))
	}
	now := q.e.now()
	q.mu.Lock()
	defer q.unlock()
	if q.deleted {
		return false, routing.NoQueue(q.name)
	}
	q.used(now)
	q.trim(now)
	l, seq, ent := q.head()
	if ent == nil || ent.due(now) {
		return false, nil
	}
	// What is behind it and expired is gone before the count, as in RabbitMQ.
	q.take(l, seq, ent, out)
	q.trim(now)
	h := handout{l, seq, ent, ent.msg}
	switch ok, err = ch.get(q, h, noAck, now, got); {
	case !ok:
		q.comeBack(l, seq, ent)
	case noAck:
		q.forget(l, seq, ent)
	default:
		q.begun(l, seq, ent)
	}
	return ok, err
}

func (ch *Channel) get(q *Queue, h handout, noAck bool, now int64, got func(*Delivery)) (bool, error) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	var d Delivery
	if ch.closed {
		return false, nil
	}
	if !q.fill(&d, h) {
		return false, errorf(wire.CodeInternalError, "Cannot get a message from %s", routing.QueueText(q.name))
	}
	d.Tag, d.Remaining = ch.nextTag, uint32(q.ready)
	ch.nextTag++
	if !noAck {
		ch.unsettled.add(pending{tag: d.Tag, at: now, q: q, l: h.l, seq: h.seq})
	}
	got(&d)
	q.e.delivered.Add(1)
	return true, nil
}
