package amqp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker"
)

const (
	maxLanes    = 128
	maxPrefetch = 65535 // of one channel: 16 bits
	// laneShift splits a Delivery.Tag: the lane above, AMQP's delivery tag below.
	laneShift = 56
	// Bounds of the wait between the last ack and the end of its channel.
	minGrace, maxGrace = 200 * time.Millisecond, 2 * time.Second
)

// consumer is one subscription, spread over lanes.
type consumer struct {
	s       *session
	queue   string
	name    string // the beginning of the lanes' tags
	lanes   []*lane
	out     chan *broker.Delivery // closed by the goroutine that waits for the pumps
	settler *settler
	pumps   sync.WaitGroup

	started chan struct{} // closed at the end of start: the lanes are all there
	done    chan struct{}

	mu        sync.Mutex
	err       error
	dead      bool
	cancelled chan struct{} // made by the first Cancel; closed with the broker's answer
	// Written before cancelled is closed.
	cancelErr  error
	cancelTook time.Duration

	last sync.RWMutex // held by who cancels or hands back; the lanes are closed afterwards
	over bool         // guarded by last: nobody does any more
}

// lane is one AMQP channel of a consumer and its share of the window.
type lane struct {
	conn     *link
	ch       *amqp091.Channel // nil until it is opened
	prefetch int
	index    uint64
	tag      string              // consumer tag
	closed   chan *amqp091.Error // capacity 1
	cancels  chan string         // capacity 1
	last     atomic.Uint64       // newest delivery tag

	// Of the settler's goroutine.
	window *window
	broken bool // an ack failed: the channel is closed
	dirty  bool // in settler.dirty
}

var _ broker.Consumer = (*consumer)(nil)

// spread divides a window of credit deliveries among as few channels as the span
// allows, as evenly as possible. The sum is credit.
func spread(credit, span int) []int {
	span = min(span, maxPrefetch)
	n := min((credit+span-1)/span, maxLanes)
	shares := make([]int, n)
	for i := range shares {
		shares[i] = credit / n
		if i < credit%n {
			shares[i]++
		}
	}
	return shares
}

func newConsumer(s *session, src broker.Source) *consumer {
	c := &consumer{
		s: s, queue: src.Queue.Name,
		name: fmt.Sprintf("%s-%d", s.d.ConnectionName, s.made.Add(1)),
		// The whole window fits, so that the pumps never wait for the reader.
		out:     make(chan *broker.Delivery, src.Credit),
		started: make(chan struct{}),
		done:    make(chan struct{}),
	}
	for i, prefetch := range spread(src.Credit, s.d.ChannelSpan) {
		c.lanes = append(c.lanes, &lane{
			conn: s.link, prefetch: prefetch, index: uint64(i),
			tag:    fmt.Sprintf("%s-%d", c.name, i),
			window: newWindow(prefetch),
		})
	}
	c.settler = newSettler(c.lanes, src.Settled)
	return c
}

// start opens all lanes and subscribes on them. After an error the caller
// abandons c.
func (c *consumer) start() error {
	defer close(c.started)
	if err := c.s.enlist(c); err != nil {
		return fmt.Errorf("amqp: consume %q: %w", c.queue, err)
	}
	c.s.wg.Go(func() { c.settler.run(c.done) })
	c.pumps.Add(1) // until all lanes are there, out must not be closed
	defer c.pumps.Done()
	c.s.wg.Go(func() {
		c.pumps.Wait()
		close(c.out)
	})
	err := c.each(c.lanes, (*lane).open)
	if err == nil {
		// One first: when the queue is missing, one refusal is enough.
		err = c.subscribe(c.lanes[0])
	}
	if err == nil {
		err = c.each(c.lanes[1:], c.subscribe)
	}
	if err != nil {
		return classify(fmt.Sprintf("consume %q", c.queue), err)
	}
	return nil
}

// each runs f for lanes at once: each takes round trips, and they would queue
// behind the deliveries of the lanes before.
func (c *consumer) each(lanes []*lane, f func(*lane) error) error {
	errs := make([]error, len(lanes))
	var wg sync.WaitGroup
	for i, l := range lanes {
		wg.Go(func() { errs[i] = f(l) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err // the others say the same
		}
	}
	return nil
}

// open opens the lane's channel and tells the broker its window.
func (l *lane) open() error {
	ch, err := l.conn.Channel()
	if err != nil {
		return err
	}
	l.ch = ch
	l.closed = ch.NotifyClose(make(chan *amqp091.Error, 1))
	l.cancels = ch.NotifyCancel(make(chan string, 1))
	return ch.Qos(l.prefetch, 0, false)
}

func (c *consumer) subscribe(l *lane) error {
	in, err := l.ch.Consume(c.queue, l.tag, false, false, false, false, nil)
	if err != nil {
		return err
	}
	c.pumps.Go(func() { c.pump(l, in) })
	c.s.wg.Go(func() { c.watch(l) })
	return nil
}

// pump hands on what one lane receives.
func (c *consumer) pump(l *lane, in <-chan amqp091.Delivery) {
	for d := range in {
		l.last.Store(d.DeliveryTag)
		out := fromDelivery(&d, l.index<<laneShift|d.DeliveryTag, c.queue)
		select {
		case c.out <- out: // there is room: the broker keeps to the window
		case <-c.done:
			return
		}
	}
}

// watch waits for the end of one lane, and ends the others with it. A deleted
// queue shows as a cancel only: the channel stays open.
func (c *consumer) watch(l *lane) {
	select {
	case said := <-l.closed:
		c.resign()
		c.die(ended(c.queue, said))
	case _, ok := <-l.cancels:
		if ok {
			c.resign()
			c.die(fmt.Errorf("amqp: consume %q: %w: the queue was deleted, or its node is down, or a delivery was not settled in time", c.queue, broker.ErrCancelled))
			return
		}
		// Closed with the channel; closed says why.
		if said := <-l.closed; said != nil {
			c.resign()
			c.die(ended(c.queue, said))
		}
	case <-c.done:
	}
}

// die ends the consumer; cause is nil when we end it. Only the first call counts.
// What is unsettled returns to the queue with the end of the channels, which is
// left to a goroutine: it needs the broker's answers.
func (c *consumer) die(cause error) {
	c.mu.Lock()
	if c.dead {
		c.mu.Unlock()
		return
	}
	c.dead, c.err = true, cause
	c.settler.stop()
	close(c.done)
	c.s.wg.Go(c.closeLanes)
	c.mu.Unlock()
	c.s.forget(c)
}

// abandon ends a consumer that nobody has got yet.
func (c *consumer) abandon() { c.die(broker.ErrClosed) }

// closeLanes closes the channels; that of a dead connection are closed already. What
// followed a channel.close would make RabbitMQ close the connection (504).
func (c *consumer) closeLanes() {
	<-c.started
	c.last.Lock()
	c.over = true
	c.last.Unlock()
	_ = c.each(c.lanes, func(l *lane) error {
		if l.ch == nil {
			return nil // never opened
		}
		<-c.settler.ended
		return l.ch.Close()
	})
}

// Tag implements [broker.Consumer].
func (c *consumer) Tag() string { return c.name }

// Deliveries implements [broker.Consumer].
func (c *consumer) Deliveries() <-chan *broker.Delivery { return c.out }

// Settle implements [broker.Consumer].
func (c *consumer) Settle(tag uint64, v broker.Verdict) error {
	i, number := tag>>laneShift, tag&(1<<laneShift-1)
	if i >= uint64(len(c.lanes)) || number == 0 || number > c.lanes[i].last.Load() {
		return fmt.Errorf("amqp: settle: %#x is not a delivery of this consumer", tag)
	}
	if v < broker.Ack || v > broker.Failed {
		return fmt.Errorf("amqp: settle: unknown verdict %d", v)
	}
	return c.settler.add(settlement{lane: int(i), tag: number, verdict: v})
}

// Cancel implements [broker.Consumer].
func (c *consumer) Cancel(ctx context.Context) error {
	c.mu.Lock()
	if c.dead {
		c.mu.Unlock()
		return fmt.Errorf("amqp: cancel %q: %w", c.queue, broker.ErrStale)
	}
	if c.cancelled == nil {
		c.cancelled = make(chan struct{})
		c.s.wg.Go(func() {
			defer close(c.cancelled)
			start := time.Now()
			defer func() { c.cancelTook = time.Since(start) }()
			c.cancelErr = c.cancelLanes()
		})
	}
	c.mu.Unlock()
	select {
	case <-c.cancelled:
		if c.cancelErr != nil {
			return fmt.Errorf("amqp: cancel %q: %w", c.queue, c.cancelErr)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("amqp: cancel %q: %w", c.queue, ctx.Err())
	}
}

// Done implements [broker.Consumer].
func (c *consumer) Done() <-chan struct{} { return c.done }

// Err implements [broker.Consumer].
func (c *consumer) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close implements [broker.Consumer].
func (c *consumer) Close(ctx context.Context) error {
	err := c.quiesce(ctx)
	c.die(nil)
	return err
}

// quiesce sees to it that what was settled stays settled when the channels are
// closed next.
//
// To have written the acks is not enough. For a quorum queue, RabbitMQ's channel
// has at most 32 acks on the way to the queue, keeps later ones back until it
// hears of those, and drops what it keeps when it is closed: the deliveries come
// again. An ack has no answer to wait for. But basic.cancel goes through the
// queue's log behind the acks, so its answer comes when they have arrived; and
// those that were kept follow in about the same time.
func (c *consumer) quiesce(ctx context.Context) error {
	select {
	case <-c.started:
	default:
		return nil // the session is closed while it starts: nobody has settled
	}
	err := c.settler.flush(ctx)
	if err == nil {
		err = c.Cancel(ctx)
	}
	if err == nil {
		err = c.settler.flush(ctx) // what was settled meanwhile
	}
	if err == nil {
		err = c.grace(ctx)
	}
	if err == nil {
		err = c.handBackWithin(ctx)
	}
	if err == nil || errors.Is(err, broker.ErrStale) || c.isDead() {
		return nil // it has died: there is nothing to lose any more
	}
	return fmt.Errorf("amqp: flush the settlements of %q: %w", c.queue, err)
}

// handBackWithin is handBack that ends with ctx: resign may be doing the same, and a
// write knows no context.
func (c *consumer) handBackWithin(ctx context.Context) error {
	result := make(chan error, 1)
	c.s.wg.Go(func() { result <- c.handBack(ctx) })
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// grace waits until the last ack is some time ago: a few times what basic.cancel
// took, which made the same way.
func (c *consumer) grace(ctx context.Context) error {
	last := c.settler.lastSent.Load()
	if last == nil {
		return nil
	}
	enough := min(max(minGrace, 10*c.cancelTook), maxGrace)
	t := time.NewTimer(time.Until(last.Add(enough)))
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

func (c *consumer) isDead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead
}
