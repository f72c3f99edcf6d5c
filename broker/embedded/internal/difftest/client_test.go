package difftest

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// patience is how long a broker may take for an answer.
const patience = 20 * time.Second

// client is one connection, read when an answer is expected and not otherwise.
type client struct {
	nc       net.Conn
	r        *wire.Reader
	out      []byte
	channels map[uint16]*channel
	closed   string // why the broker closed the connection
}

// channel is one channel of a client.
type channel struct {
	c       *client
	id      uint16
	closed  string // why the broker closed it, or the connection
	replies []command
	events  []command // deliveries, returns, confirms and the like since they were taken
}

// command is a method with its content.
type command struct {
	m     wire.Method
	props []byte
	body  []byte
}

var errClosed = errors.New("closed by the broker")

func dial(vhost string, nc net.Conn, err error) (*client, error) {
	if err != nil {
		return nil, err
	}
	c := &client{nc: nc, r: wire.NewReader(nc), channels: map[uint16]*channel{}}
	zero := &channel{c: c}
	c.channels[0] = zero
	if err := c.handshake(zero, vhost); err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("difftest: connect: %w", err)
	}
	return c, nil
}

func (c *client) handshake(zero *channel, vhost string) error {
	c.out = append(c.out, wire.ProtocolHeader...)
	if _, err := zero.wait(); err != nil {
		return err
	}
	zero.send(&wire.ConnectionStartOk{
		Mechanism: "PLAIN", Response: "\x00guest\x00guest", Locale: "en_US",
		ClientProperties: wire.Table{"capabilities": wire.Table{
			"publisher_confirms": true, "consumer_cancel_notify": true, "basic.nack": true,
			"exchange_exchange_bindings": true, "authentication_failure_close": true,
		}},
	})
	m, err := zero.wait()
	if err != nil {
		return err
	}
	tune, ok := m.m.(*wire.ConnectionTune)
	if !ok {
		return fmt.Errorf("got %s", m.m.Name())
	}
	c.r.SetFrameMax(tune.FrameMax)
	zero.send(&wire.ConnectionTuneOk{ChannelMax: tune.ChannelMax, FrameMax: tune.FrameMax})
	zero.send(&wire.ConnectionOpen{VirtualHost: vhost})
	_, err = zero.wait()
	return err
}

// open opens a channel that is not open.
func (c *client) open(id uint16) (*channel, error) {
	ch := &channel{c: c, id: id}
	c.channels[id] = ch
	_, err := ch.call(&wire.ChannelOpen{})
	return ch, err
}

func (ch *channel) send(m wire.Method) {
	ch.c.out = wire.AppendMethodFrame(ch.c.out, ch.id, m)
}

func (ch *channel) publish(m *wire.BasicPublish, props, body []byte) {
	ch.send(m)
	ch.c.out = wire.AppendContent(ch.c.out, ch.id, wire.ClassBasic, props, body, 4096)
}

// call sends a method and returns the answer to it.
func (ch *channel) call(m wire.Method) (command, error) {
	ch.send(m)
	return ch.wait()
}

// wait returns the next answer on the channel, or errClosed, or an error of the
// network.
func (ch *channel) wait() (command, error) {
	for {
		if len(ch.replies) > 0 {
			reply := ch.replies[0]
			ch.replies = ch.replies[1:]
			return reply, nil
		}
		if ch.closed != "" {
			return command{}, errClosed
		}
		if err := ch.c.read(); err != nil {
			return command{}, err
		}
	}
}

// until reads until done.
func (ch *channel) until(done func() bool) error {
	for !done() {
		if ch.closed != "" {
			return errClosed
		}
		if err := ch.c.read(); err != nil {
			return err
		}
	}
	return nil
}

func (c *client) flush() error {
	if err := c.nc.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.nc.Write(c.out)
	c.out = c.out[:0]
	return err
}

// read sends what is to be sent and takes in one command.
func (c *client) read() error {
	if err := c.flush(); err != nil {
		return err
	}
	id, cmd, err := c.command()
	if err != nil {
		return err
	}
	ch := c.channels[id]
	if ch == nil {
		return fmt.Errorf("difftest: %s on channel %d, which is not open", cmd.m.Name(), id)
	}
	switch m := cmd.m.(type) {
	case *wire.ConnectionClose:
		c.closed = fmt.Sprintf("connection %d %s (%d.%d)", m.ReplyCode, m.ReplyText, m.ClassID, m.MethodID)
		for _, ch := range c.channels {
			ch.closed = c.closed
		}
		ch.send(&wire.ConnectionCloseOk{})
		return c.flush()
	case *wire.ChannelClose:
		ch.closed = fmt.Sprintf("channel %d %s (%d.%d)", m.ReplyCode, m.ReplyText, m.ClassID, m.MethodID)
		ch.send(&wire.ChannelCloseOk{})
		return c.flush()
	case *wire.BasicDeliver, *wire.BasicReturn, *wire.BasicAck, *wire.BasicNack, *wire.BasicCancel:
		ch.events = append(ch.events, cmd)
	default:
		ch.replies = append(ch.replies, cmd)
	}
	return nil
}

// command reads a method and the content that belongs to it.
func (c *client) command() (uint16, command, error) {
	f, err := c.r.ReadFrame()
	for err == nil && f.Type == wire.FrameHeartbeat {
		f, err = c.r.ReadFrame()
	}
	if err != nil {
		return 0, command{}, err
	}
	id := f.Channel
	m, err := wire.ParseMethod(f.Payload)
	if err != nil {
		return 0, command{}, err
	}
	cmd := command{m: m}
	switch m.(type) {
	case *wire.BasicDeliver, *wire.BasicReturn, *wire.BasicGetOk:
	default:
		return id, cmd, nil
	}
	if f, err = c.r.ReadFrame(); err != nil {
		return 0, command{}, err
	}
	h, err := wire.ParseContentHeader(f.Payload)
	if err != nil {
		return 0, command{}, err
	}
	cmd.props = append(cmd.props, h.Raw...)
	for uint64(len(cmd.body)) < h.BodySize {
		if f, err = c.r.ReadFrame(); err != nil {
			return 0, command{}, err
		}
		cmd.body = append(cmd.body, f.Payload...)
	}
	return id, cmd, nil
}

// close ends the connection in good order.
func (c *client) close() error {
	defer c.nc.Close()
	if c.closed != "" {
		return nil
	}
	_, err := c.channels[0].call(&wire.ConnectionClose{ReplyCode: 200})
	return err
}
