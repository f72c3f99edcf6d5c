package fakebroker

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/magne-actors/magne-actors/broker"
)

// ErrCut is the reason of sessions and consumers that a test has killed.
var ErrCut = errors.New("cut by the test")

// Broker is the broker; use New. All methods are safe for concurrent use.
type Broker struct {
	mu       sync.Mutex
	queues   map[string]*queue
	sessions map[*session]bool
	denied   error // what Dial answers instead of a session
	refuse   error // what every publication is answered with
	blocked  block // what every session says of itself
	wrong    []string
	settled  map[broker.Verdict]int
	consumed int // consumers that there have been
	peak     int // most unsettled deliveries of one consumer
	delayed  int // messages that wait on the ladder
}

type block struct {
	reason string
	since  time.Time
}

type queue struct {
	name      string
	ready     list.List // of *message
	consumers []*consumer
	next      int
}

type message struct {
	pub         broker.Publication
	redelivered bool
}

// New returns an empty broker.
func New() *Broker {
	return &Broker{queues: map[string]*queue{}, sessions: map[*session]bool{}, settled: map[broker.Verdict]int{}}
}

// Put appends a message to a queue.
func (b *Broker) Put(queue string, p broker.Publication) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queue(queue)
	q.ready.PushBack(&message{pub: p})
	q.deliver(b)
}

// Ready takes a copy of what waits in a queue.
func (b *Broker) Ready(queue string) []broker.Publication {
	b.mu.Lock()
	defer b.mu.Unlock()
	var ps []broker.Publication
	for e := b.queue(queue).ready.Front(); e != nil; e = e.Next() {
		ps = append(ps, e.Value.(*message).pub)
	}
	return ps
}

// Len is how many messages wait in a queue.
func (b *Broker) Len(queue string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.queue(queue).ready.Len()
}

// Acked is how many deliveries were acked.
func (b *Broker) Acked() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.settled[broker.Ack]
}

// Settled is how many deliveries were settled with that verdict.
func (b *Broker) Settled(v broker.Verdict) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.settled[v]
}

// Peak is the largest number of unsettled deliveries that a consumer had.
func (b *Broker) Peak() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.peak
}

// Unsettled is the number of deliveries that consumers hold.
func (b *Broker) Unsettled() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, q := range b.queues {
		for _, c := range q.consumers {
			n += len(c.unsettled)
		}
	}
	return n
}

// Consumers is how many consumers a queue has.
func (b *Broker) Consumers(queue string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue(queue).consumers)
}

// Wrong lists the settlements that a real broker would have answered with a
// closed channel: of an unknown delivery, or of one that is settled already.
func (b *Broker) Wrong() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.wrong
}

// Dial implements broker.Dialer.
func (b *Broker) Dial(ctx context.Context) (broker.Session, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.denied != nil {
		return nil, b.denied
	}
	s := &session{b: b, done: make(chan struct{})}
	b.sessions[s] = true
	return s, ctx.Err()
}

func (b *Broker) queue(name string) *queue {
	q := b.queues[name]
	if q == nil {
		q = &queue{name: name}
		b.queues[name] = q
	}
	return q
}

// deliver hands out what it can, to the consumers in turn.
func (q *queue) deliver(b *Broker) {
	for tried := 0; q.ready.Len() > 0 && tried < len(q.consumers); {
		c := q.consumers[q.next%len(q.consumers)]
		q.next++
		if c.cancelled || len(c.unsettled) >= c.source.Credit {
			tried++
			continue
		}
		tried = 0
		m := q.ready.Remove(q.ready.Front()).(*message)
		c.tag++
		c.unsettled[c.tag] = m
		b.peak = max(b.peak, len(c.unsettled))
		c.deliveries <- &broker.Delivery{
			Properties: m.pub.Properties, Tag: c.tag, Queue: q.name,
			Exchange: m.pub.Exchange, RoutingKey: m.pub.RoutingKey, Redelivered: m.redelivered, Body: m.pub.Body,
		}
	}
}

type session struct {
	b         *Broker
	done      chan struct{}
	ended     bool
	err       error
	consumers []*consumer
}

func (s *session) Consume(ctx context.Context, src broker.Source) (broker.Consumer, error) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if s.ended {
		return nil, broker.ErrClosed
	}
	q := s.b.queue(src.Queue.Name)
	s.b.consumed++
	c := &consumer{
		name: fmt.Sprintf("%s-%d", src.Queue.Name, s.b.consumed),
		b:    s.b, q: q, source: src, unsettled: map[uint64]*message{},
		deliveries: make(chan *broker.Delivery, src.Credit), done: make(chan struct{}),
	}
	s.consumers = append(s.consumers, c)
	q.consumers = append(q.consumers, c)
	q.deliver(s.b)
	return c, ctx.Err()
}

// Declare makes the queue, as everything that names one does.
func (s *session) Declare(ctx context.Context, q broker.Queue) error {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if s.ended {
		return broker.ErrClosed
	}
	s.b.queue(q.Name)
	return ctx.Err()
}

func (s *session) Publish(_ context.Context, p *broker.Publication, done func(error)) error {
	s.b.mu.Lock()
	if s.ended {
		s.b.mu.Unlock()
		return broker.ErrClosed
	}
	err := s.b.refuse
	if err == nil && !s.b.delay(p) {
		q := s.b.queue(p.RoutingKey)
		q.ready.PushBack(&message{pub: *p})
		q.deliver(s.b)
	}
	s.b.mu.Unlock()
	done(err)
	return nil
}

func (s *session) Blocked() (reason string, since time.Time) {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	return s.b.blocked.reason, s.b.blocked.since
}

func (s *session) Done() <-chan struct{} { return s.done }

func (s *session) Err() error {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	return s.err
}

func (s *session) Close(context.Context) error {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.end(nil)
	return nil
}

func (s *session) end(err error) {
	if s.ended {
		return
	}
	s.ended, s.err = true, err
	delete(s.b.sessions, s)
	close(s.done)
	for _, c := range s.consumers {
		c.end(err)
	}
}

type consumer struct {
	name       string
	b          *Broker
	q          *queue
	source     broker.Source
	tag        uint64
	unsettled  map[uint64]*message
	deliveries chan *broker.Delivery // capacity: the credit
	cancelled  bool
	done       chan struct{}
	ended      bool
	err        error
}

// Tag is the queue's name and a number.
func (c *consumer) Tag() string { return c.name }

func (c *consumer) Deliveries() <-chan *broker.Delivery { return c.deliveries }

func (c *consumer) Settle(tag uint64, v broker.Verdict) error {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	if c.ended {
		return broker.ErrStale
	}
	m, ok := c.unsettled[tag]
	if !ok {
		c.b.wrong = append(c.b.wrong, fmt.Sprintf("queue %s: tag %d settled twice or unknown", c.q.name, tag))
		return nil
	}
	delete(c.unsettled, tag)
	if v.Returns() {
		m.redelivered = true
		c.q.ready.PushFront(m)
	}
	c.b.settled[v]++
	if c.source.Settled != nil {
		c.source.Settled(1)
	}
	c.q.deliver(c.b)
	return nil
}

func (c *consumer) Cancel(context.Context) error {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	if !c.cancelled && !c.ended {
		c.cancelled = true
		close(c.deliveries)
	}
	return nil
}

func (c *consumer) Done() <-chan struct{} { return c.done }

func (c *consumer) Err() error {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	return c.err
}

func (c *consumer) Close(context.Context) error {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	c.end(nil)
	return nil
}

// end returns the unsettled deliveries to the queue, in their order.
func (c *consumer) end(err error) {
	if c.ended {
		return
	}
	c.ended, c.err = true, err
	for i, other := range c.q.consumers {
		if other == c {
			c.q.consumers = append(c.q.consumers[:i:i], c.q.consumers[i+1:]...)
		}
	}
	tags := slices.Sorted(maps.Keys(c.unsettled))
	for _, tag := range slices.Backward(tags) {
		m := c.unsettled[tag]
		m.redelivered = true
		c.q.ready.PushFront(m)
	}
	close(c.done)
	if !c.cancelled {
		close(c.deliveries)
	}
	c.q.deliver(c.b)
}
