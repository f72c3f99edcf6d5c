package engine

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Channel has the consumers and the unsettled deliveries of a channel. Its
// methods may be called concurrently; those of a client's methods come from one
// goroutine.
type Channel struct {
	e     *Engine
	owner *Owner
	out   Out

	mu          sync.Mutex
	closed      bool
	prefetch    int // of consumers to come; 0: no limit
	limit       int // of the channel; 0: none
	outstanding int // unsettled deliveries to consumers
	nextTag     uint64
	unsettled   unsettled
	consumers   map[string]*consumer
	waiting     []*consumer // refused because of the channel, not of themselves
	delivery    Delivery    // reused

	scratch []pending // of the client's goroutine
}

// NewChannel returns a channel of a connection. Close ends it.
func (e *Engine) NewChannel(o *Owner, out Out) *Channel {
	e.channels.Add(1)
	return &Channel{e: e, owner: o, out: out, nextTag: 1, consumers: make(map[string]*consumer)}
}

// Close ends the consumers and requeues what is not settled, in order. A second
// Close does nothing.
func (ch *Channel) Close() {
	ch.mu.Lock()
	if ch.closed {
		ch.mu.Unlock()
		return
	}
	ch.closed = true
	items := ch.unsettled.takeAll(nil)
	consumers := ch.consumers
	ch.consumers, ch.waiting, ch.outstanding = nil, nil, 0
	ch.mu.Unlock()
	ch.e.channels.Add(-1)
	ch.e.consumers.Add(int64(-len(consumers)))

	slices.SortStableFunc(items, func(a, b pending) int { return cmp.Compare(a.q.id, b.q.id) })
	var queues []*Queue
	for _, c := range consumers {
		queues = append(queues, c.q)
	}
	for _, p := range items {
		queues = append(queues, p.q)
	}
	slices.SortFunc(queues, func(a, b *Queue) int { return cmp.Compare(a.id, b.id) })
	for _, q := range slices.Compact(queues) {
		n := 0
		for n < len(items) && items[n].q == q {
			n++
		}
		if q.leave(ch, items[:n]) {
			ch.e.unlist(q)
		}
		items = items[n:]
	}
}

// Qos sets how many deliveries may be unsettled: of each consumer started from
// now on, or, if global, of the channel. 0 is no limit. As in RabbitMQ, one that is
// not global takes the limit of the channel away.
func (ch *Channel) Qos(count uint16, global bool) {
	ch.mu.Lock()
	if global {
		ch.limit = int(count)
	} else {
		ch.prefetch, ch.limit = int(count), 0
	}
	ch.mu.Unlock()
	ch.Resume()
}

// Resume says that Out.Writable is true again. Like all methods that deliver, it
// must be called without the locks that the methods of Out take.
func (ch *Channel) Resume() {
	ch.mu.Lock()
	waiting, _ := ch.takeWaiting(nil)
	ch.mu.Unlock()
	ch.e.wake(waiting)
}

// takeWaiting empties waiting, whose consumers are then to be woken: own are those of
// the queues of items. It is called under the lock.
func (ch *Channel) takeWaiting(items []pending) (others, own []*consumer) {
	for _, c := range ch.waiting {
		c.waiting = false
		if slices.ContainsFunc(items, func(p pending) bool { return p.q == c.q }) {
			own = append(own, c)
		} else {
			others = append(others, c)
		}
	}
	ch.waiting = nil
	return others, own
}

// wake gives consumers turns again.
func (e *Engine) wake(consumers []*consumer) {
	for _, c := range consumers {
		c.q.wake(c, e.now())
	}
}

// wake gives a consumer turns again.
func (q *Queue) wake(c *consumer, now int64) {
	q.mu.Lock()
	q.roster.unblock(c)
	q.run(now)
	q.unlock()
}

type verdict uint8

const (
	delivered verdict = iota
	refused
	unreadable
)

// deliver sends a message to a consumer of the channel, under the lock of the
// queue. If it refuses, the consumer is in ch.waiting. As in RabbitMQ, the limit of the
// channel stops consumers without acknowledgements too, though these do not count.
func (ch *Channel) deliver(c *consumer, h handout, now int64) verdict {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.closed || ch.limit > 0 && ch.outstanding >= ch.limit || !ch.out.Writable() {
		if !c.waiting && !ch.closed {
			c.waiting = true
			ch.waiting = append(ch.waiting, c)
		}
		return refused
	}
	d := &ch.delivery
	if !c.q.fill(d, h) {
		return unreadable
	}
	d.ConsumerTag, d.Tag, d.Remaining = c.tag, ch.nextTag, 0
	ch.nextTag++
	if !c.noAck {
		ch.outstanding++
		ch.unsettled.add(pending{tag: d.Tag, at: now, q: c.q, l: h.l, seq: h.seq, c: c})
	}
	ch.out.Deliver(d)
	*d = Delivery{}
	return delivered
}

// Overdue reports whether the oldest delivery that is not settled is older than
// the timeout: the server then closes the channel with 406.
func (ch *Channel) Overdue() (timeout time.Duration, late bool) {
	timeout = ch.e.options.ConsumerTimeout
	if timeout < 0 {
		return timeout, false
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	oldest := ch.unsettled.oldest()
	return timeout, oldest != nil && ch.e.now()-oldest.at > timeout.Microseconds()
}
