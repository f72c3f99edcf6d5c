package rabbit43

import (
	"fmt"
	"iter"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

const frameMax = 131072

// peer is the broker. Its fields are guarded by mu.
type peer struct {
	t        *testing.T
	address  string
	cancelOK bool // it takes basic.cancel-ok

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced when something has happened
	conns    map[*conn]bool
	queues   map[string]*queue
	foreign  string   // the user may not configure queues whose names begin so; "": all
	acked    []string // bodies
	answered []string // consumer tags of basic.cancel-ok
	ignored  int      // settlements of deliveries that were taken back
	wrong    []string // what no client may do
}

// start starts a peer with the queue "work", which ends with the test, and that with
// an error when a client has done what it may not.
func start(t *testing.T, cancelOK bool) *peer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{
		t: t, address: l.Addr().String(), cancelOK: cancelOK,
		changed: make(chan struct{}), conns: map[*conn]bool{}, queues: map[string]*queue{},
	}
	p.queues["work"] = &queue{name: "work", limit: 20}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { p.serve(nc) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		for c := range p.conns {
			c.nc.Close()
		}
		p.mu.Unlock()
		wg.Wait()
		if len(p.wrong) > 0 {
			t.Errorf("the client did what RabbitMQ 4.3 does not take: %q", p.wrong)
		}
	})
	return p
}

func (p *peer) dialer() amqp.Dialer {
	return amqp.Dialer{URL: "amqp://guest:guest@" + p.address + "/"}
}

// change wakes who waits for something.
func (p *peer) change() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// until waits until the state of the peer is so.
func (p *peer) until(what string, is func() bool) {
	p.t.Helper()
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	for {
		p.mu.Lock()
		ok, changed := is(), p.changed
		p.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-late.C:
			p.t.Fatalf("still not after a minute: %s", what)
		}
	}
}

// put publishes to a queue.
func (p *peer) put(q string, bodies ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, body := range bodies {
		m := &message{body: body, props: wire.Properties{Present: wire.PropMessageID, MessageID: body}}
		p.queues[q].ready = append(p.queues[q].ready, m)
	}
	p.deliver(p.queues[q])
}

// message is one of a queue that is ready, or that somebody holds.
func (p *peer) message(body string) (m message) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, q := range p.queues {
		for _, m := range slices.Concat(q.ready, q.dead) {
			if m.body == body {
				return *m
			}
		}
	}
	for c := range p.conns {
		for _, ch := range c.channels {
			for _, h := range ch.unsettled {
				if h.m.body == body {
					return *h.m
				}
			}
		}
	}
	p.t.Errorf("there is no message %q", body)
	return m
}

func (p *peer) consumersOf(q *queue) iter.Seq[*consumer] {
	return func(yield func(*consumer) bool) {
		for c := range p.conns {
			for _, ch := range c.channels {
				for _, tag := range slices.Sorted(maps.Keys(ch.consumers)) {
					if x := ch.consumers[tag]; x.q == q && !yield(x) {
						return
					}
				}
			}
		}
	}
}

// conn is a connection of a client.
type conn struct {
	p        *peer
	nc       net.Conn
	notify   bool // it takes basic.cancel
	channels map[uint16]*channel
}

// serve reads a connection to its end.
func (p *peer) serve(nc net.Conn) {
	c := &conn{p: p, nc: nc, channels: map[uint16]*channel{}}
	p.mu.Lock()
	p.conns[c] = true
	p.mu.Unlock()
	r := wire.NewReader(nc)
	r.SetFrameMax(frameMax)
	if r.ReadProtocolHeader() == nil {
		c.send(0, &wire.ConnectionStart{ServerProperties: properties(p.cancelOK), VersionMinor: 9, Mechanisms: "PLAIN", Locales: "en_US"})
		for {
			f, err := r.ReadFrame()
			if err != nil {
				break
			}
			p.mu.Lock()
			c.frame(f)
			p.change()
			p.mu.Unlock()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.change()
	nc.Close()
	delete(p.conns, c)
	for _, ch := range c.channels {
		p.end(ch)
	}
}

func properties(cancelOK bool) wire.Table {
	version := "4.3.6"
	capabilities := wire.Table{}
	for _, name := range []string{"publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify", "connection.blocked", "authentication_failure_close"} {
		capabilities[name] = true
	}
	if cancelOK {
		version, capabilities["accept_consumer_cancel_ok"] = "4.3.7", true
	}
	return wire.Table{"product": "RabbitMQ", "version": version, "capabilities": capabilities}
}

func (c *conn) send(channel uint16, ms ...wire.Method) {
	var b []byte
	for _, m := range ms {
		b = wire.AppendMethodFrame(b, channel, m)
	}
	c.write(b)
}

// write ignores what fails: the reader sees the end of the connection.
func (c *conn) write(b []byte) {
	_ = c.nc.SetWriteDeadline(time.Now().Add(time.Minute))
	_, _ = c.nc.Write(b)
}

func (c *conn) deliver(x *consumer, m *message) {
	props := m.props
	if m.acquired > 0 {
		props.Headers = maps.Clone(props.Headers)
		if props.Headers == nil {
			props.Headers = wire.Table{}
		}
		props.Present |= wire.PropHeaders
		props.Headers["x-acquired-count"], props.Headers["x-delivery-count"] = int64(m.acquired), int64(m.failed)
	}
	raw, err := props.AppendRaw(nil)
	if err != nil {
		c.p.t.Error(err)
	}
	b := wire.AppendDeliver(nil, x.ch.id, x.tag, x.ch.last, m.acquired > 0, "", x.q.name)
	c.write(wire.AppendContent(b, x.ch.id, wire.ClassBasic, raw, []byte(m.body), frameMax))
}

// frame handles one frame. p.mu is held.
func (c *conn) frame(f wire.Frame) {
	ch := c.channels[f.Channel]
	switch {
	case f.Type == wire.FrameHeartbeat:
		return
	case ch != nil && ch.closing: // the client does not know yet
		if m, _ := wire.ParseMethod(f.Payload); f.Type == wire.FrameMethod && m != nil && m.Name() == "channel.close-ok" {
			delete(c.channels, f.Channel)
		}
		return
	}
	switch f.Type {
	case wire.FrameHeader:
		h, err := wire.ParseContentHeader(f.Payload)
		if err != nil {
			c.p.t.Error(err)
			return
		}
		h.Raw = slices.Clone(h.Raw)
		ch.header, ch.body = h, nil
		c.p.published(ch)
	case wire.FrameBody:
		ch.body = append(ch.body, f.Payload...)
		c.p.published(ch)
	case wire.FrameMethod:
		m, err := wire.ParseMethod(f.Payload)
		switch _, opens := m.(*wire.ChannelOpen); {
		case err != nil:
			c.p.t.Error(err)
		case f.Channel == 0:
			c.connection(m)
		case ch == nil && !opens:
			c.fail(wire.CodeChannelError, "expected 'channel.open', got "+m.Name())
		case opens:
			c.channels[f.Channel] = &channel{conn: c, id: f.Channel, unsettled: map[uint64]*held{}, late: map[uint64]bool{}, consumers: map[string]*consumer{}}
			c.send(f.Channel, &wire.ChannelOpenOk{})
		default:
			ch.method(m)
		}
	}
}

func (c *conn) connection(m wire.Method) {
	switch m := m.(type) {
	case *wire.ConnectionStartOk:
		capabilities, _ := m.ClientProperties["capabilities"].(wire.Table)
		c.notify, _ = capabilities["consumer_cancel_notify"].(bool)
		c.send(0, &wire.ConnectionTune{ChannelMax: 2047, FrameMax: frameMax, Heartbeat: 60})
	case *wire.ConnectionOpen:
		c.send(0, &wire.ConnectionOpenOk{})
	case *wire.ConnectionClose:
		c.send(0, &wire.ConnectionCloseOk{})
	}
}

// fail closes the connection for what no client may do.
func (c *conn) fail(code uint16, text string) {
	c.p.wrong = append(c.p.wrong, text)
	c.send(0, &wire.ConnectionClose{ReplyCode: code, ReplyText: wire.ReplyText(code, text)})
}

// close closes the channel. What the client sends on it until it knows is ignored.
func (ch *channel) close(code uint16, text string) {
	ch.conn.send(ch.id, &wire.ChannelClose{ReplyCode: code, ReplyText: wire.ReplyText(code, text)})
	ch.conn.p.end(ch)
	ch.conn.channels[ch.id] = &channel{conn: ch.conn, id: ch.id, closing: true}
}

// method handles a method on a channel. p.mu is held.
func (ch *channel) method(m wire.Method) {
	p, reply := ch.conn.p, wire.Method(nil)
	switch m := m.(type) {
	case *wire.ChannelClose:
		p.end(ch)
		reply = &wire.ChannelCloseOk{}
	case *wire.BasicQos:
		if m.Global {
			ch.conn.fail(wire.CodeInternalError, "Feature `global_qos` is deprecated")
			return
		}
		ch.prefetch = int(m.PrefetchCount)
		reply = &wire.BasicQosOk{}
	case *wire.QueueDeclare:
		ch.declare(m)
	case *wire.ExchangeDeclare:
		reply = &wire.ExchangeDeclareOk{}
	case *wire.QueueBind:
		reply = &wire.QueueBindOk{}
	case *wire.ExchangeBind:
		reply = &wire.ExchangeBindOk{}
	case *wire.ConfirmSelect:
		reply = &wire.ConfirmSelectOk{}
	case *wire.BasicPublish:
		ch.publish = m
	case *wire.BasicConsume:
		ch.consume(m)
	case *wire.BasicCancel:
		if x := ch.consumers[m.ConsumerTag]; x != nil {
			x.cancelled = true
		}
		if !m.NoWait {
			reply = &wire.BasicCancelOk{ConsumerTag: m.ConsumerTag}
		}
	default:
		ch.settle(m)
	}
	if reply != nil {
		ch.conn.send(ch.id, reply)
	}
}

// settle handles what is about deliveries and consumers.
func (ch *channel) settle(m wire.Method) {
	p := ch.conn.p
	var tag uint64
	var multiple bool
	switch m := m.(type) {
	case *wire.BasicAck:
		tag, multiple = m.DeliveryTag, m.Multiple
	case *wire.BasicNack:
		tag, multiple = m.DeliveryTag, m.Multiple
	case *wire.BasicReject:
		tag = m.DeliveryTag
	case *wire.BasicCancelOk:
		if !p.cancelOK {
			ch.conn.fail(wire.CodeNotImplemented, m.Name())
		}
		p.answered = append(p.answered, m.ConsumerTag)
		delete(ch.consumers, m.ConsumerTag)
		return
	default:
		p.t.Errorf("the peer does not know %s", m.Name())
		return
	}
	tags, ok := ch.collect(tag, multiple)
	if !ok {
		p.wrong = append(p.wrong, fmt.Sprintf("%s of %d", m.Name(), tag))
		ch.close(wire.CodePreconditionFailed, fmt.Sprintf("unknown delivery tag %d", tag))
		return
	}
	if len(tags) == 0 && ch.late[tag] {
		p.ignored++
	}
	switch m := m.(type) {
	case *wire.BasicNack:
		p.back(ch, tags, false)
	case *wire.BasicReject:
		if m.Requeue {
			p.back(ch, tags, true)
			return
		}
		p.forget(ch, tags)
	default:
		p.forget(ch, tags)
	}
}

func (ch *channel) declare(m *wire.QueueDeclare) {
	p := ch.conn.p
	q := p.queues[m.Queue]
	switch {
	case p.foreign != "" && strings.HasPrefix(m.Queue, p.foreign):
		ch.close(wire.CodeAccessRefused, "configure access to queue '"+m.Queue+"' in vhost '/' refused for user 'guest'")
		return
	case q == nil && m.Passive:
		ch.close(wire.CodeNotFound, "no queue '"+m.Queue+"' in vhost '/'")
		return
	case !m.Passive && !m.Durable && !m.Exclusive:
		ch.conn.fail(wire.CodeInternalError, "Feature `transient_nonexcl_queues` is deprecated")
		return
	case q == nil:
		limit, ok := wire.Integer(m.Arguments["x-delivery-limit"])
		if !ok {
			limit = 20
		}
		q = &queue{name: m.Queue, limit: int(limit)}
		p.queues[m.Queue] = q
	}
	ch.conn.send(ch.id, &wire.QueueDeclareOk{Queue: m.Queue, MessageCount: uint32(len(q.ready))})
}

func (ch *channel) consume(m *wire.BasicConsume) {
	p := ch.conn.p
	q := p.queues[m.Queue]
	if q == nil {
		ch.close(wire.CodeNotFound, "no queue '"+m.Queue+"' in vhost '/'")
		return
	}
	ch.consumers[m.ConsumerTag] = &consumer{ch: ch, tag: m.ConsumerTag, q: q, prefetch: ch.prefetch}
	ch.conn.send(ch.id, &wire.BasicConsumeOk{ConsumerTag: m.ConsumerTag})
	p.deliver(q)
}

// published takes a message that is whole, and confirms it.
func (p *peer) published(ch *channel) {
	if uint64(len(ch.body)) < ch.header.BodySize {
		return
	}
	ch.published++
	props, err := wire.ParseProperties(ch.header.Raw)
	if err != nil {
		p.t.Error(err)
		return
	}
	key := ch.publish.RoutingKey
	if ch.publish.Exchange != "" {
		key = ch.publish.Exchange + "." + key // as the dead letters of ours are bound
	}
	if q := p.queues[key]; q != nil {
		q.ready = append(q.ready, &message{props: *props, body: string(ch.body)})
		p.deliver(q)
	} else {
		p.t.Errorf("published to %q, which is no queue", key)
	}
	ch.conn.write(wire.AppendAck(nil, ch.id, ch.published, false))
}
