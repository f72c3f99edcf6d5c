package faults

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// tap is a proxy between an instance and its broker that changes nothing and reads
// along: which deliveries came on which channel, and how they were settled.
type tap struct {
	upstream string
	address  string
	wg       sync.WaitGroup

	mu        sync.Mutex
	listener  net.Listener
	wire      Wire
	conns     map[*tapped]struct{}
	consumers int // basic.consume so far
	recent    []arrival
	closed    bool

	spoilDown, spoilUp bool // towards the instance, towards the broker
}

// arrival is one basic.deliver.
type arrival struct {
	at       time.Time
	consumer int // how many basic.consume there had been
}

// maxRecent is how many arrivals are remembered: far more than come in the time
// that a question about them takes.
const maxRecent = 1 << 14

// tapped is one connection through the tap.
type tapped struct {
	t        *tap
	down, up net.Conn // the instance's and the broker's side
	channels map[uint16]*tags
	garbled  bool
	orphan   bool // up is gone, and down is not told
}

// newTap listens on a port of its own. Close ends it.
func newTap(upstream string) (*tap, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("faults: tap: %w", err)
	}
	// address is where the instance connects to, for as long as the tap lives.
	t := &tap{upstream: upstream, listener: l, address: l.Addr().String(), conns: map[*tapped]struct{}{}}
	t.wg.Go(func() { t.accept(l) })
	return t, nil
}

func (t *tap) accept(l net.Listener) {
	for {
		down, err := l.Accept()
		if err != nil {
			return
		}
		t.wg.Go(func() { t.serve(down) })
	}
}

func (t *tap) serve(down net.Conn) {
	up, err := net.DialTimeout("tcp", t.upstream, 10*time.Second)
	if err != nil {
		refuse(down)
		return
	}
	c := &tapped{t: t, down: down, up: up, channels: map[uint16]*tags{}}
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		_, _ = down.Close(), up.Close()
		return
	}
	t.conns[c] = struct{}{}
	t.mu.Unlock()

	var wg sync.WaitGroup
	wg.Go(func() { c.copy(up, down, &frames{skip: greeting, method: c.sent}) })
	wg.Go(func() { c.copy(down, up, &frames{method: c.received}) })
	wg.Wait()
	_ = down.Close()
	t.mu.Lock()
	delete(t.conns, c)
	t.mu.Unlock()
}

// refuse closes a connection as a port does on which nobody listens: with a reset.
func refuse(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// copy passes bytes on from one side to the other, and reads along.
func (c *tapped) copy(to, from net.Conn, f *frames) {
	defer c.end()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			c.t.spoil(buf[:n], to == c.down)
			c.read(f, buf[:n])
			if _, err := to.Write(buf[:n]); err != nil && !c.isOrphan() {
				return
			}
		}
		if err != nil {
			if tcp, ok := to.(*net.TCPConn); ok && isReset(err) {
				_ = tcp.SetLinger(0)
			}
			return
		}
	}
}

// spoil breaks bytes if they are to be broken: the last ones that were read, which is
// where a frame ends.
func (t *tap) spoil(b []byte, down bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if down && t.spoilDown || !down && t.spoilUp {
		b[len(b)-1] ^= 0x55
	}
}

// corrupt breaks bytes in these directions from now on.
func (t *tap) corrupt(down, up bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spoilDown, t.spoilUp = down, up
}

func isReset(err error) bool {
	_, is := errors.AsType[*net.OpError](err)
	return is && !errors.Is(err, net.ErrClosed)
}

// end closes both sides, unless the instance is not to be told.
func (c *tapped) end() {
	_ = c.up.Close()
	if !c.isOrphan() {
		_ = c.down.Close()
	}
}

func (c *tapped) isOrphan() bool {
	c.t.mu.Lock()
	defer c.t.mu.Unlock()
	return c.orphan
}

func (c *tapped) read(f *frames, b []byte) {
	c.t.mu.Lock()
	defer c.t.mu.Unlock()
	if c.garbled {
		return
	}
	if f.write(b) != nil {
		c.garbled = true
		c.t.wire.Garbled++
	}
}

// channel is the state of a channel; opened anew it is another epoch.
func (c *tapped) channel(number uint16) *tags {
	if c.channels[number] == nil {
		c.channels[number] = newTags()
	}
	return c.channels[number]
}

// sent looks at what the instance says. The tap is locked.
func (c *tapped) sent(channel uint16, m method) {
	switch {
	case m.is(20, 10): // channel.open
		c.channels[channel] = newTags()
	case m.is(60, 20): // basic.consume
		c.t.consumers++
	case m.is(60, 80), m.is(60, 120): // basic.ack, basic.nack
		if tag, multiple, ok := m.tag(); ok {
			c.channel(channel).settle(tag, multiple, &c.t.wire)
		}
	case m.is(60, 90): // basic.reject: it has no multiple
		if tag, _, ok := m.tag(); ok {
			c.channel(channel).settle(tag, false, &c.t.wire)
		}
	}
}

// received looks at what the broker says. The tap is locked.
func (c *tapped) received(channel uint16, m method) {
	switch {
	case m.is(60, 60): // basic.deliver
		if tag, ok := m.deliveryTag(); ok {
			c.channel(channel).deliver(tag, &c.t.wire)
			c.t.arrived()
		}
	case m.is(20, 40) && m.reply() == 406: // channel.close
		c.t.wire.Refused++
	}
}

func (t *tap) arrived() {
	if len(t.recent) >= maxRecent {
		t.recent = append(t.recent[:0], t.recent[maxRecent/2:]...)
	}
	t.recent = append(t.recent, arrival{time.Now(), t.consumers})
}

// seen is the count of everything so far.
func (t *tap) seen() Wire {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.wire
}

// subscriptions is how many basic.consume there were.
func (t *tap) subscriptions() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.consumers
}

// first returns when the first delivery since at came to a consumer that was
// subscribed after that many others.
func (t *tap) first(at time.Time, after int) (time.Time, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range t.recent {
		if !a.at.Before(at) && a.consumer > after {
			return a.at, true
		}
	}
	return time.Time{}, false
}

// orphan takes the broker's side of every connection away and does not tell the
// instance: what it sends goes nowhere, and nothing comes.
func (t *tap) orphan() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.conns {
		c.orphan = true
		_ = c.up.Close()
	}
}

// up listens again, after down.
func (t *tap) up() error {
	l, err := net.Listen("tcp", t.address)
	if err != nil {
		return fmt.Errorf("faults: tap: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.listener, t.closed = l, false
	t.wg.Go(func() { t.accept(l) })
	return nil
}

// down ends the tap and its connections, and waits until they have: whoever connects
// now is refused.
func (t *tap) down() {
	t.mu.Lock()
	_ = t.listener.Close()
	t.closed = true
	for c := range t.conns {
		c.orphan = false
		_, _ = c.up.Close(), c.down.Close()
	}
	t.mu.Unlock()
	t.wg.Wait()
}
