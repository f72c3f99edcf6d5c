package embedded

import (
	"context"
	"log/slog"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/engine"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// channel is a channel that the client has opened. The connection's mutex
// protects it, but for what says otherwise. It is the engine's Out.
type channel struct {
	conn   *conn
	id     uint16
	engine *engine.Channel

	closing  bool // channel.close is on its way to the client
	content  content
	message  engine.Publish // for the engine, during a call
	lastName string         // of the queue declared last
	confirms *confirmer     // nil: not in confirm mode
	seq      uint64         // of the message published last, in confirm mode

	// Under the mutex of the connection's out.
	mute      bool                // nothing more may be said
	stalled   bool                // in out.stalled
	consumers map[string]struct{} // by tag
}

// channelFrame handles a frame of a channel.
func (c *conn) channelFrame(f wire.Frame) error {
	ch := c.channels[f.Channel]
	if ch == nil {
		return c.openChannel(f)
	}
	if ch.closing {
		return ch.closingFrame(f)
	}
	m, err := ch.frame(f)
	if err == nil {
		return nil
	}
	fail, internal := failureOf(err)
	if m != nil {
		fail = fail.of(m)
	}
	if internal {
		c.log.Error("internal error", "channel", ch.id, "err", err)
	}
	if fail.hard() {
		return fail
	}
	ch.fail(fail)
	return nil
}

// openChannel takes the first frame on a number.
func (c *conn) openChannel(f wire.Frame) error {
	if f.Type == wire.FrameHeartbeat {
		return failf(wire.CodeUnexpectedFrame, "heartbeat on channel %d", f.Channel)
	}
	if len(c.channels) >= c.channelMax || int(f.Channel) > c.channelMax {
		return failf(wire.CodeNotAllowed, "number of channels opened (%d) has reached the negotiated channel_max (%d)", len(c.channels), c.channelMax)
	}
	if f.Type != wire.FrameMethod {
		return failf(wire.CodeUnexpectedFrame, "expected method frame, got non method frame instead")
	}
	m, err := wire.ParseMethod(f.Payload)
	if err != nil {
		return atMethod(err, f.Payload)
	}
	if _, ok := m.(*wire.ChannelOpen); !ok {
		return failf(wire.CodeChannelError, "expected 'channel.open'").of(m)
	}
	ch := &channel{conn: c, id: f.Channel}
	ch.engine = c.b.engine.NewChannel(c.owner, ch)
	c.channels[f.Channel] = ch
	c.open.Add(1)
	c.out.method(f.Channel, &wire.ChannelOpenOk{})
	return nil
}

// closingFrame ignores everything but the end of the channel.
func (ch *channel) closingFrame(f wire.Frame) error {
	if f.Type != wire.FrameMethod {
		return nil
	}
	m, err := wire.ParseMethod(f.Payload)
	if err != nil {
		return atMethod(err, f.Payload)
	}
	switch m.(type) {
	case *wire.ChannelClose: // both said it
		ch.conn.out.method(ch.id, &wire.ChannelCloseOk{})
	case *wire.ChannelCloseOk:
		ch.forget()
	}
	return nil
}

// frame handles a frame of an open channel. With an error it returns the method
// that failed, if there is one.
func (ch *channel) frame(f wire.Frame) (wire.Method, error) {
	switch {
	case ch.content.expected():
		whole, err := ch.content.add(ch, f)
		if err == nil && whole {
			err = ch.publish()
		}
		if err == nil { // mostly: allocate nothing
			return nil, nil
		}
		return &wire.BasicPublish{}, err
	case f.Type == wire.FrameHeartbeat:
		return nil, failf(wire.CodeUnexpectedFrame, "heartbeat on channel %d", ch.id)
	case f.Type != wire.FrameMethod:
		return nil, failf(wire.CodeUnexpectedFrame, "expected method frame, got non method frame instead")
	}
	m, err := ch.conn.parser.Parse(f.Payload)
	if err != nil {
		return nil, atMethod(err, f.Payload)
	}
	return m, ch.method(m)
}

// end takes what the channel has back into the queues. Nothing is said on it
// from then on.
func (ch *channel) end() {
	ch.engine.Close()
	ch.conn.assembled -= ch.content.size()
	ch.content = content{}
	w := ch.conn.out
	w.mu.Lock()
	defer w.mu.Unlock()
	ch.mute = true
}

// fail closes the channel with an error; it ends with the client's close-ok.
func (ch *channel) fail(f *failure) {
	level := slog.LevelWarn
	if ch.conn.nc.RemoteAddr() == (pipeAddr{}) { // a client in this process says itself what it makes of it
		level = slog.LevelDebug
	}
	ch.conn.log.Log(context.Background(), level, "channel closed with an error", "channel", ch.id, "user", ch.conn.user, "err", f)
	ch.end()
	ch.closing = true
	ch.conn.out.method(ch.id, f.closeChannel())
}

// close answers channel.close.
func (ch *channel) close() {
	if ch.confirms != nil {
		ch.flushConfirms()
	}
	ch.end()
	ch.conn.out.method(ch.id, &wire.ChannelCloseOk{})
	ch.forget()
}

func (ch *channel) forget() {
	delete(ch.conn.channels, ch.id)
	ch.conn.open.Add(-1)
}

// reply answers a method, unless the client does not want that.
func (ch *channel) reply(noWait bool, m wire.Method) {
	if !noWait {
		ch.conn.out.method(ch.id, m)
	}
}

// sweep closes the channels on which a delivery has waited for too long.
func (c *conn) sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ch := range c.channels {
		if ch.closing {
			continue
		}
		if timeout, late := ch.engine.Overdue(); late {
			ch.fail(failf(wire.CodePreconditionFailed, "delivery acknowledgement on channel %d timed out. "+
				"Timeout value used: %d ms. This timeout value can be configured, see consumers doc guide to learn more",
				ch.id, timeout.Milliseconds()))
		}
	}
}

// Deliver is the engine's: it must neither wait nor call the engine.
func (ch *channel) Deliver(d *engine.Delivery) {
	w := ch.conn.out
	w.mu.Lock()
	defer w.mu.Unlock()
	if ch.mute || w.dead {
		return
	}
	w.buf = wire.AppendDeliver(w.buf, ch.id, d.ConsumerTag, d.Tag, d.Redelivered, d.Exchange, d.Key)
	w.buf = wire.AppendContent(w.buf, ch.id, wire.ClassBasic, d.Props, d.Body, ch.conn.frameMax)
	w.work.Signal()
}

// Writable is the engine's.
func (ch *channel) Writable() bool { return !ch.conn.out.full(ch) }

// Cancelled is the engine's.
func (ch *channel) Cancelled(tag string) {
	w := ch.conn.out
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(ch.consumers, tag)
	if ch.conn.caps.cancelNotify && !ch.mute {
		w.methodLocked(ch.id, &wire.BasicCancel{ConsumerTag: tag, NoWait: true})
	}
}
