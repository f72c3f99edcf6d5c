package amqp

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
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
	l, err := newPublishLink(conn, p.s.d.PublishWindow)
	if err != nil {
		conn.wire.abort()
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		conn.wire.abort()
		return nil, broker.ErrClosed
	}
	p.link = l
	p.s.wg.Go(l.collect)
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
	l.close(ctx)
	return err
}

// publishLink is one connection with one channel in confirm mode.
type publishLink struct {
	*link
	ch       *amqp091.Channel
	slots    chan struct{} // capacity: the confirm window
	confirms chan amqp091.Confirmation
	returns  chan amqp091.Return
	chClosed chan *amqp091.Error
	done     chan struct{} // closed when nothing can be published any more

	mu      sync.Mutex
	pending []pending     // in the order of publishing, unconfirmed
	first   uint64        // sequence number of pending[0]
	next    uint64        // sequence number after that of the newest return
	blocked chan struct{} // not nil: the broker blocks us; closed when it ends
}

// pending is a publication that waits for its confirm.
type pending struct {
	p        *broker.Publication
	done     func(error)
	returned string // the broker's reason, when it came back
}

func newPublishLink(conn *link, window int) (*publishLink, error) {
	ch, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	l := &publishLink{
		link: conn, ch: ch,
		slots: make(chan struct{}, window), done: make(chan struct{}), first: 1,
		// A full window fits each: the library's reader waits for a slow listener
		// only for a while and then drops what it had for it.
		confirms: ch.NotifyPublish(make(chan amqp091.Confirmation, window)),
		returns:  ch.NotifyReturn(make(chan amqp091.Return, window)),
		chClosed: ch.NotifyClose(make(chan *amqp091.Error, 1)),
	}
	if err := ch.Confirm(false); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *publishLink) isDone() bool {
	select {
	case <-l.done:
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
		err = l.send(m, out, done)
	}
	if err != nil {
		<-l.slots
	}
	return err
}

func (l *publishLink) send(m *broker.Publication, out amqp091.Publishing, done func(error)) error {
	// The mutex keeps pending in the order of the channel's sequence numbers.
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isDone() {
		return errPublishLink
	}
	l.pending = append(l.pending, pending{p: m, done: done})
	const mandatory, immediate = true, false
	if err := l.ch.Publish(m.Exchange, m.RoutingKey, mandatory, immediate, out); err != nil {
		// Not a whole message was written, or nothing will be: it is not pending.
		l.pending = l.pending[:len(l.pending)-1]
		return fmt.Errorf("%w: %w", errPublishLink, err)
	}
	return nil
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

// gate follows connection.blocked and connection.unblocked.
func (l *publishLink) gate() {
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

// collect settles the confirms in the order of publishing. The broker sends the
// return of a message before its confirm, but the library hands them over in two
// channels: so all returns that have arrived are taken before each confirm.
func (l *publishLink) collect() {
	for c := range l.confirms {
		l.takeReturns()
		l.settle(c)
	}
	l.takeReturns()
	said := <-l.chClosed
	l.mu.Lock()
	close(l.done)
	rest := l.pending
	l.pending = nil
	l.mu.Unlock()
	l.wire.abort() // a channel that the broker closed takes its connection along
	for i := range rest {
		rest[i].done(rest[i].lost(said, l.cause(said)))
		<-l.slots
	}
}

func (l *publishLink) takeReturns() {
	for {
		select {
		case r, ok := <-l.returns:
			if !ok {
				l.returns = nil // closed with the channel
				return
			}
			l.attribute(&r)
		default:
			return
		}
	}
}

// attribute finds the publication that came back. A return has no sequence
// number; returns come in the order of publishing, so the one that is looked for
// comes after those that were found before. Of several that are equal in all
// that is compared, any may fail: they are interchangeable.
func (l *publishLink) attribute(r *amqp091.Return) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = max(l.next, l.first)
	for i := int(l.next - l.first); i < len(l.pending); i++ {
		if l.pending[i].equals(r) {
			l.next = l.first + uint64(i) + 1
			l.pending[i].returned = fmt.Sprintf("%d %s", r.ReplyCode, r.ReplyText)
			return
		}
	}
}

func (x *pending) equals(r *amqp091.Return) bool {
	p := x.p
	return p.Exchange == r.Exchange && p.RoutingKey == r.RoutingKey &&
		p.MessageID == r.MessageId && p.CorrelationID == r.CorrelationId &&
		p.Type == r.Type && p.ReplyTo == r.ReplyTo &&
		bytes.Equal(p.Body, r.Body)
}

func (l *publishLink) settle(c amqp091.Confirmation) {
	l.mu.Lock()
	if len(l.pending) == 0 || l.first != c.DeliveryTag {
		l.mu.Unlock()
		return // the library resequences: this is the head or nothing
	}
	x := l.pending[0]
	l.pending[0] = pending{}
	l.pending = l.pending[1:]
	l.first++
	l.mu.Unlock()
	x.done(x.outcome(c.Ack))
	<-l.slots
}

func (x *pending) outcome(ack bool) error {
	switch {
	case x.returned != "":
		return fmt.Errorf("amqp: publish to exchange %q, key %q: %w: %s", x.p.Exchange, x.p.RoutingKey, broker.ErrUnroutable, x.returned)
	case !ack:
		return fmt.Errorf("amqp: publish to exchange %q, key %q: %w", x.p.Exchange, x.p.RoutingKey, broker.ErrRefused)
	}
	return nil
}

// What a closed channel says about the publications to the exchange that it names.
var (
	errNoExchange = fmt.Errorf("%w: no such exchange: %w", broker.ErrUnroutable, broker.ErrTopology)
	errForbidden  = fmt.Errorf("%w: %w", broker.ErrRefused, broker.ErrForbidden)
)

// lost is the outcome of a publication whose confirm cannot come any more. When
// the broker closed the channel because of its exchange, that is known.
func (x *pending) lost(said *amqp091.Error, cause error) error {
	meaning := broker.ErrUnknown
	if said != nil && said.Server && strings.Contains(said.Reason, "exchange '"+cmp.Or(x.p.Exchange, "amq.default")+"'") {
		switch said.Code {
		case amqp091.NotFound:
			meaning = errNoExchange
		case amqp091.AccessRefused:
			meaning = errForbidden
		}
	}
	text := "closed"
	if cause != nil {
		text = strings.TrimPrefix(cause.Error(), "amqp: ")
	}
	return fmt.Errorf("amqp: publish to exchange %q, key %q: %w: %s", x.p.Exchange, x.p.RoutingKey, meaning, text)
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
