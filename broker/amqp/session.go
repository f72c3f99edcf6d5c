package amqp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker"
)

// session is one connection for consuming, and one for publishing once there was
// something to publish. It is never repaired: see the package comment.
type session struct {
	d    Dialer
	link *link // for consuming and declaring
	pub  *publisher
	made atomic.Int64 // consumers

	done chan struct{}
	wg   sync.WaitGroup // goroutines of the session and its consumers

	mu        sync.Mutex
	err       error
	closing   bool // Close was called
	dead      bool
	consumers map[*consumer]struct{}
}

var (
	_ broker.Session   = (*session)(nil)
	_ broker.Addressed = (*session)(nil)
)

func newSession(d Dialer, l *link) *session {
	s := &session{d: d, link: l, done: make(chan struct{}), consumers: map[*consumer]struct{}{}}
	s.pub = newPublisher(s)
	s.wg.Go(func() {
		s.die(l.cause(<-l.closed))
	})
	s.wg.Go(func() {
		for b := range l.blocks {
			l.note(b)
		}
	})
	return s
}

// die ends the session and everything of it. Only the first call counts.
func (s *session) die(cause error) {
	s.mu.Lock()
	if s.dead {
		s.mu.Unlock()
		return
	}
	s.dead = true
	if !s.closing {
		s.err = cause
		if cause == nil {
			s.err = errors.New("amqp: connection lost")
		}
	}
	err, consumers := s.err, s.consumers
	s.consumers = nil
	s.mu.Unlock()

	for c := range consumers {
		c.die(err)
	}
	s.link.wire.abort()
	s.pub.die()
	close(s.done)
}

// Address implements [broker.Addressed].
func (s *session) Address() string { return s.d.address() }

// Done implements [broker.Session].
func (s *session) Done() <-chan struct{} { return s.done }

// Err implements [broker.Session].
func (s *session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Blocked implements [broker.Session]. The broker blocks connections that publish;
// ours for consuming does not, but what it says is heard.
func (s *session) Blocked() (reason string, since time.Time) {
	links := []*link{s.link}
	s.pub.mu.Lock()
	if s.pub.link != nil && !s.pub.link.isDone() {
		links = append(links, s.pub.link.link)
	}
	s.pub.mu.Unlock()
	for _, l := range links {
		if b := l.block.Load(); b != nil && (since.IsZero() || b.since.Before(since)) {
			reason, since = b.reason, b.since
		}
	}
	return reason, since
}

// usable returns why nothing can be started on the session any more.
func (s *session) usable() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.usableLocked()
}

// spawn runs f in a goroutine of the session, while it lives.
func (s *session) spawn(f func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usableLocked(); err != nil {
		return err
	}
	s.wg.Go(f)
	return nil
}

func (s *session) usableLocked() error {
	switch {
	case s.closing:
		return broker.ErrClosed
	case s.dead:
		return s.err
	}
	return nil
}

// enlist makes c die with the session.
func (s *session) enlist(c *consumer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usableLocked(); err != nil {
		return err
	}
	s.consumers[c] = struct{}{}
	return nil
}

func (s *session) forget(c *consumer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.consumers, c)
}

// Close implements [broker.Session]. When ctx ends first it returns an error
// that says what was cut off; the session is closed all the same.
func (s *session) Close(ctx context.Context) error {
	s.mu.Lock()
	again := s.closing
	s.closing = true
	consumers := make([]*consumer, 0, len(s.consumers))
	for c := range s.consumers {
		consumers = append(consumers, c)
	}
	s.mu.Unlock()
	if again {
		return nil
	}

	var wg sync.WaitGroup
	errs := make([]error, len(consumers)+1)
	for i, c := range consumers {
		wg.Go(func() { errs[i] = c.quiesce(ctx) })
	}
	wg.Go(func() { errs[len(consumers)] = s.pub.close(ctx) })
	wg.Wait()
	for _, c := range consumers {
		c.die(nil)
	}
	s.link.close(ctx)
	s.die(nil)
	s.await(ctx)
	return errors.Join(errs...)
}

// await waits for the goroutines of the session, at most until ctx ends: a
// callback may break its promise not to block.
func (s *session) await(ctx context.Context) {
	ended := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

// Consume implements [broker.Session].
func (s *session) Consume(ctx context.Context, src broker.Source) (broker.Consumer, error) {
	if src.Credit < 1 || src.Credit > maxLanes*maxPrefetch {
		return nil, fmt.Errorf("amqp: consume %q: credit %d is not in 1..%d", src.Queue.Name, src.Credit, maxLanes*maxPrefetch)
	}
	// amqp091-go's calls know no context: they end with the broker's answer or
	// with the connection. When ctx is faster, what they made is thrown away.
	type result struct {
		c   *consumer
		err error
	}
	taken, results := make(chan struct{}), make(chan result)
	err := s.spawn(func() { //nolint:contextcheck // what the consumer does at its end is not of this call
		c, err := s.consume(src)
		select {
		case results <- result{c, err}:
		case <-taken:
			if err == nil {
				c.abandon()
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("amqp: consume %q: %w", src.Queue.Name, err)
	}
	select {
	case r := <-results:
		if r.err != nil {
			return nil, r.err
		}
		return r.c, nil
	case <-ctx.Done():
		close(taken)
		return nil, unanswered(ctx, "consume", src.Queue.Name)
	}
}

func (s *session) consume(src broker.Source) (*consumer, error) {
	if err := s.declare(src.Queue); err != nil {
		return nil, s.explain(err)
	}
	c := newConsumer(s, src)
	if err := c.start(); err != nil {
		c.abandon()
		return nil, s.explain(err)
	}
	return c, nil
}

// Declare implements [broker.Session].
func (s *session) Declare(ctx context.Context, q broker.Queue) error {
	result := make(chan error, 1) // amqp091-go's calls know no context
	err := s.spawn(func() { result <- s.explain(s.declare(q)) })
	if err != nil {
		return fmt.Errorf("amqp: declare %q: %w", q.Name, err)
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return unanswered(ctx, "declare", q.Name)
	}
}

// unanswered is the error of a call that ctx has ended. RabbitMQ keeps what is asked of
// a quorum queue without a leader until it has one, on a connection that is well.
func unanswered(ctx context.Context, what, queue string) error {
	if err := ctx.Err(); !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("amqp: %s %q: %w", what, queue, err)
	}
	return fmt.Errorf("amqp: %s %q: no answer of the broker (%w): a quorum queue gives none while it has no leader; `rabbitmq-queues quorum_status %s` tells",
		what, queue, ctx.Err(), queue)
}

// explain replaces an error that only says "closed" by why the session died.
// amqp091-go tells callers first, and us a moment later.
func (s *session) explain(err error) error {
	if !errors.Is(err, amqp091.ErrClosed) {
		return err
	}
	moment := time.NewTimer(time.Second)
	defer moment.Stop()
	select {
	case <-s.done:
	case <-moment.C:
	}
	return cmp.Or(s.usable(), err)
}

// Publish implements [broker.Session].
func (s *session) Publish(ctx context.Context, p *broker.Publication, done func(error)) error {
	if err := s.pub.publish(ctx, p, done); err != nil {
		return fmt.Errorf("amqp: publish to exchange %q, key %q: %w", p.Exchange, p.RoutingKey, err)
	}
	return nil
}
