package amqp

import (
	"context"
	"errors"
	"fmt"
	"sync"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker"
)

// publisher owns the connection for publishing of a session. It is opened by the
// first Publish, and again by the first one after it was lost: one attempt each.
type publisher struct {
	s    *session
	turn chan struct{} // capacity 1: held while dialling

	mu   sync.Mutex
	link *publishLink // nil before the first
	dead bool         // opens no more
}

func newPublisher(s *session) *publisher {
	return &publisher{s: s, turn: make(chan struct{}, 1)}
}

func (p *publisher) publish(ctx context.Context, m *broker.Publication, done func(error)) error {
	out, err := toPublishing(m)
	if err != nil {
		return fmt.Errorf("%w: %w", broker.ErrInvalid, err)
	}
	l, err := p.open(ctx)
	if err != nil {
		return err
	}
	return l.publish(ctx, m, out, done)
}

// current returns the live link, if there is one.
func (p *publisher) current() (*publishLink, error) {
	if err := p.s.usable(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.link == nil || p.link.isDone() {
		return nil, nil
	}
	return p.link, nil
}

func (p *publisher) open(ctx context.Context) (*publishLink, error) {
	if l, err := p.current(); l != nil || err != nil {
		return l, err
	}
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if l, err := p.current(); l != nil || err != nil {
		return l, err // somebody else has opened it meanwhile
	}
	conn, err := p.dial(ctx)
	if err != nil {
		return nil, err
	}
	l := newPublishLink(p.s, conn)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		conn.wire.abort()
		return nil, broker.ErrClosed
	}
	p.link = l
	p.s.wg.Go(l.gate)
	return l, nil
}

// dial returns the connection to publish on.
func (p *publisher) dial(ctx context.Context) (*link, error) {
	if l := p.s.link; p.s.d.OneConnection {
		// Whoever listens for blocks needs a channel of his own. The broker says
		// that it blocks a connection after something was published on it.
		return &link{Connection: l.Connection, wire: l.wire, blocks: l.NotifyBlocked(make(chan amqp091.Blocking, 16))}, nil
	}
	l, err := p.s.d.connect(ctx, "publish")
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", p.s.d.where(), err)
	}
	return l, nil
}

// die cuts the connection; what is unconfirmed ends with ErrUnknown.
func (p *publisher) die() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = true
	if p.link != nil {
		p.link.wire.abort()
	}
}

// close waits for the outstanding confirms and closes the connection.
func (p *publisher) close(ctx context.Context) error {
	p.mu.Lock()
	p.dead = true
	l := p.link
	p.mu.Unlock()
	if l == nil {
		return nil
	}
	err := l.drain(ctx)
	if !p.s.d.OneConnection { // or consumers still settle on it
		l.close(ctx)
	}
	return err
}

// publishLink is one connection, and the channels on it that messages are published
// by: one for each exchange, since the broker answers a publication to an exchange that
// is missing or not for us by closing its channel, with all that is unconfirmed there.
type publishLink struct {
	*link
	s     *session
	slots chan struct{} // capacity: the confirm window
	done  chan struct{} // closed when nothing can be published any more

	mu      sync.Mutex
	outlets map[string]*outlet // by exchange; those that have ended are not in it
	blocked chan struct{}      // not nil: the broker blocks us; closed when it ends
}

// maxOutlets is how many exchanges have a channel of their own. The others share one.
const maxOutlets = 64

// sharedOutlet is the key of that one: no exchange has such a name.
const sharedOutlet = "\x00"

func newPublishLink(s *session, conn *link) *publishLink {
	return &publishLink{
		link: conn, s: s, slots: make(chan struct{}, s.d.PublishWindow), done: make(chan struct{}), outlets: map[string]*outlet{},
	}
}

func (l *publishLink) isDone() bool { return isClosed(l.done) }

func isClosed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

var errPublishLink = errors.New("the connection for publishing was lost")

// publish hands m to the broker. An error means that it did not.
func (l *publishLink) publish(ctx context.Context, m *broker.Publication, out amqp091.Publishing, done func(error)) error {
	select {
	case l.slots <- struct{}{}:
	case <-l.done:
		return errPublishLink
	case <-ctx.Done():
		return fmt.Errorf("confirm window is full: %w", ctx.Err())
	}
	err := l.awaitGate(ctx)
	if err == nil {
		err = l.wire.awaitRoom(ctx)
	}
	if err == nil {
		err = l.send(ctx, m, out, done)
	}
	if err != nil {
		<-l.slots
	}
	return err
}

// send publishes m by the channel of its exchange. One that has ended meanwhile is
// replaced.
func (l *publishLink) send(ctx context.Context, m *broker.Publication, out amqp091.Publishing, done func(error)) error {
	for {
		o, err := l.outlet(m.Exchange)
		if err != nil {
			return err
		}
		select {
		case <-o.opened:
		case <-l.done:
			return errPublishLink
		case <-ctx.Done():
			return fmt.Errorf("the broker opens no channel: %w", ctx.Err())
		}
		err = o.send(m, out, done)
		if !errors.Is(err, errOutlet) || l.isDone() {
			return err
		}
	}
}

// outlet returns the channel of an exchange, which may still be opening.
func (l *publishLink) outlet(exchange string) (*outlet, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isDone() {
		return nil, errPublishLink
	}
	o := l.outlets[exchange]
	if o == nil && len(l.outlets) >= maxOutlets {
		exchange = sharedOutlet
		o = l.outlets[exchange]
	}
	if o == nil {
		o = newOutlet(l, exchange)
		l.outlets[exchange] = o
		l.s.wg.Go(o.run) // the gate is counted as long as the link is not done
	}
	return o, nil
}

// forget makes the next publication to the exchange open a channel.
func (l *publishLink) forget(o *outlet) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.outlets[o.exchange] == o {
		delete(l.outlets, o.exchange)
	}
}

// abandon closes a channel of which nothing is expected any more. The broker may not
// answer that either: then it ends with the connection.
func (l *publishLink) abandon(ch *amqp091.Channel) {
	l.s.wg.Go(func() { _ = ch.Close() })
}

// awaitGate blocks while the broker blocks the connection. To write then would
// fill the socket and stop the heartbeats.
func (l *publishLink) awaitGate(ctx context.Context) error {
	for {
		l.mu.Lock()
		blocked := l.blocked
		l.mu.Unlock()
		if blocked == nil {
			return nil
		}
		select {
		case <-blocked:
		case <-l.done:
			return errPublishLink
		case <-ctx.Done():
			return fmt.Errorf("the broker blocks publishers (memory or disk alarm): %w", ctx.Err())
		}
	}
}

func (l *publishLink) isBlocked() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.blocked != nil
}

// gate follows connection.blocked and connection.unblocked, until the connection ends.
func (l *publishLink) gate() {
	defer l.end()
	for b := range l.blocks {
		l.note(b)
		l.mu.Lock()
		switch {
		case b.Active && l.blocked == nil:
			l.blocked = make(chan struct{})
		case !b.Active && l.blocked != nil:
			close(l.blocked)
			l.blocked = nil
		}
		l.mu.Unlock()
	}
}

// end is called when the connection has ended, before its channels have.
func (l *publishLink) end() {
	l.mu.Lock()
	close(l.done)
	l.mu.Unlock()
	l.wire.abort()
}

// drain waits until nothing is unconfirmed, by taking every slot.
func (l *publishLink) drain(ctx context.Context) error {
	for range cap(l.slots) {
		select {
		case l.slots <- struct{}{}:
		case <-l.done:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("amqp: waiting for confirms: %w", ctx.Err())
		}
	}
	return nil
}
