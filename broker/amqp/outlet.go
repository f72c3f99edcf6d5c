package amqp

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker"
)

// outlet is a channel in confirm mode for the publications to one exchange.
type outlet struct {
	l        *publishLink
	exchange string // its key in l.outlets

	opened   chan struct{} // closed when the following are set
	err      error         // why it could not be opened
	ch       *amqp091.Channel
	confirms chan amqp091.Confirmation
	returns  chan amqp091.Return
	closed   chan *amqp091.Error

	done chan struct{} // closed when nothing can be published by it any more

	// Of collect alone.
	began   time.Time
	refused int       // answers in a row that were basic.nack
	blocked time.Time // when the broker last held up publishers

	mu      sync.Mutex
	retired bool      // another channel is to be used; this one ends with its last confirm
	pending []pending // in the order of publishing, unconfirmed
	first   uint64    // sequence number of pending[0]
	next    uint64    // sequence number after that of the newest return
}

// pending is a publication that waits for its confirm.
type pending struct {
	p        *broker.Publication
	at       time.Time // of publishing
	confirm  *amqp091.DeferredConfirmation
	done     func(error)
	returned string // the broker's reason, when it came back
	acked    bool   // at the end of the channel: although an earlier one was not answered
}

// errOutlet: the channel has ended, and another one may do.
var errOutlet = errors.New("the channel has ended")

func newOutlet(l *publishLink, exchange string) *outlet {
	return &outlet{l: l, exchange: exchange, opened: make(chan struct{}), done: make(chan struct{}), first: 1}
}

// run opens the channel and settles what is published by it, until it ends.
func (o *outlet) run() {
	if o.err = o.open(); o.err != nil {
		close(o.done)
		o.l.forget(o)
		close(o.opened)
		return
	}
	close(o.opened)
	o.began = time.Now()
	o.collect()
}

func (o *outlet) open() error {
	ch, err := o.l.Channel()
	if err != nil {
		return fmt.Errorf("%w: %w", errPublishLink, err)
	}
	window := cap(o.l.slots)
	// A full window fits each: the library's reader waits for a slow listener only
	// for a while and then drops what it had for it.
	o.confirms = ch.NotifyPublish(make(chan amqp091.Confirmation, window))
	o.returns = ch.NotifyReturn(make(chan amqp091.Return, window))
	o.closed = ch.NotifyClose(make(chan *amqp091.Error, 1))
	o.ch = ch
	if err := ch.Confirm(false); err != nil {
		return fmt.Errorf("%w: %w", errPublishLink, err)
	}
	return nil
}

func (o *outlet) send(m *broker.Publication, out amqp091.Publishing, done func(error)) error {
	if o.err != nil {
		return o.err
	}
	// The mutex keeps pending in the order of the channel's sequence numbers.
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.retired || isClosed(o.done) {
		return errOutlet
	}
	o.pending = append(o.pending, pending{p: m, at: time.Now(), done: done})
	const mandatory, immediate = true, false
	confirm, err := o.ch.PublishWithDeferredConfirm(m.Exchange, m.RoutingKey, mandatory, immediate, out)
	if err != nil {
		// Not a whole message was written, or nothing will be: it is not pending.
		o.pending = o.pending[:len(o.pending)-1]
		if errors.Is(err, amqp091.ErrClosed) && !o.l.IsClosed() {
			o.l.forget(o) // the channel alone, and collect has not got to it yet
			return errOutlet
		}
		return fmt.Errorf("%w: %w", errPublishLink, err)
	}
	o.pending[len(o.pending)-1].confirm = confirm
	return nil
}

// collect settles the confirms in the order of publishing. The broker sends the
// return of a message before its confirm, but the library hands them over in two
// channels: so all returns that have arrived are taken before each confirm.
func (o *outlet) collect() {
	look := time.NewTicker(max(o.l.s.d.ConfirmTimeout/8, time.Millisecond))
	defer look.Stop()
	for open := true; open; {
		select {
		case c, ok := <-o.confirms:
			o.takeReturns()
			if open = ok; ok {
				o.settle(c.DeliveryTag)
			}
		case now := <-look.C:
			o.despair(now)
		}
	}
	said := <-o.closed
	rest := o.end()
	cause := o.l.cause(said)
	if said != nil && !o.l.IsClosed() {
		cause = errors.New("the broker has closed the channel: " + tell(said))
	}
	o.giveUp(rest, said, cause)
}

// end takes what is unconfirmed, or whose confirm is held back by the library. Nothing is
// published by this channel from then on.
func (o *outlet) end() (rest []pending) {
	o.heed()
	o.mu.Lock()
	if !isClosed(o.done) {
		close(o.done)
	}
	rest, o.pending = o.pending, nil
	o.mu.Unlock()
	o.l.forget(o)
	return rest
}

// heed notes what was acked out of order, and then what came back: the return of each of
// those has arrived. A refusal is not told there from the end of the channel.
func (o *outlet) heed() {
	o.mu.Lock()
	for i := range o.pending {
		o.pending[i].acked = o.pending[i].confirm.Acked()
	}
	o.mu.Unlock()
	o.takeReturns()
}

func (o *outlet) giveUp(rest []pending, said *amqp091.Error, cause error) {
	for i := range rest {
		x := &rest[i]
		if x.acked {
			x.done(x.outcome(true))
		} else {
			x.done(x.lost(said, cause))
		}
		<-o.l.slots
	}
}

// despair gives a channel up whose oldest publication has not been answered in time:
// RabbitMQ (3.10.8) can lose one that it was sent just before it blocked publishers,
// and the confirms of all later ones of that channel are then held back by the
// library, which hands them over in order.
func (o *outlet) despair(now time.Time) {
	limit := o.l.s.d.ConfirmTimeout
	if o.l.isBlocked() {
		o.blocked = now
	}
	o.mu.Lock()
	late := len(o.pending) > 0 && now.Sub(o.pending[0].at) > limit && now.Sub(o.blocked) > limit
	o.mu.Unlock()
	if !late {
		return
	}
	o.giveUp(o.end(), nil, fmt.Errorf("the broker has not confirmed it in %v", limit))
	o.l.abandon(o.ch)
}

func (o *outlet) takeReturns() {
	for {
		select {
		case r, ok := <-o.returns:
			if !ok {
				o.returns = nil // closed with the channel
				return
			}
			o.attribute(&r)
		default:
			return
		}
	}
}

// attribute finds the publication that came back. A return has no sequence
// number; returns come in the order of publishing, so the one that is looked for
// comes after those that were found before. Of several that are equal in all
// that is compared, any may fail: they are interchangeable.
func (o *outlet) attribute(r *amqp091.Return) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.next = max(o.next, o.first)
	for i := int(o.next - o.first); i < len(o.pending); i++ {
		if o.pending[i].equals(r) {
			o.next = o.first + uint64(i) + 1
			o.pending[i].returned = fmt.Sprintf("%d %s", r.ReplyCode, r.ReplyText)
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

// settle ends the publication with that sequence number. What the broker has said of it
// is in its own confirmation. The library (1.16.0) calls its listeners in order, and one
// that was refused alone while an earlier one was still open is acked there when an ack
// of several covers it (confirms.Multiple): RabbitMQ sends exactly that when a queue is
// full for a moment, and the message would be taken for published.
func (o *outlet) settle(number uint64) {
	o.mu.Lock()
	if len(o.pending) == 0 || o.first != number {
		o.mu.Unlock()
		return // the library resequences: this is the head or nothing
	}
	x := o.pending[0]
	o.pending[0] = pending{}
	o.pending = o.pending[1:]
	o.first++
	o.mu.Unlock()
	ack := x.confirm.Acked()
	x.done(x.outcome(ack))
	<-o.l.slots
	o.doubt(ack)
}

// RabbitMQ (3.10.8) does not tell a channel that a full queue with reject-publish
// takes messages again when the limit was removed: it refuses that channel's for
// ever, and takes those of another one. So after some refusals another one is used,
// but not a new one for each message while the queue is full in earnest.
const (
	maxRefused = 3
	doubtAfter = time.Second
)

// doubt ends a channel that gets nothing but refusals, when its last confirm is in.
func (o *outlet) doubt(ack bool) {
	if o.refused++; ack {
		o.refused = 0
	}
	o.mu.Lock()
	if !o.retired && o.refused >= maxRefused && time.Since(o.began) > doubtAfter {
		o.retired = true
		o.l.forget(o)
	}
	over := o.retired && len(o.pending) == 0
	o.mu.Unlock()
	if over {
		_ = o.ch.Close() // or the connection is lost, which ends it as well
	}
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
