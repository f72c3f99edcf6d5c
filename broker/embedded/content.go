package embedded

import (
	"bytes"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// firstBody is how much memory a content header alone can make us take.
const firstBody = 4 << 10

// content puts a message together: a header frame and body frames follow
// basic.publish.
type content struct {
	state contentState

	exchange, key        string
	mandatory, immediate bool

	props []byte // shared with the message before if they are the same
	body  []byte
	left  uint64 // bytes of the body that have not come
}

type contentState uint8

const (
	contentNone contentState = iota
	contentHeader
	contentBody
)

// begin waits for the content of m, whose strings are for good.
func (c *content) begin(m *wire.BasicPublish) {
	c.state = contentHeader
	c.exchange, c.key = m.Exchange, m.RoutingKey
	c.mandatory, c.immediate = m.Mandatory, m.Immediate
}

// expected reports whether the next frame must be one of the content.
func (c *content) expected() bool { return c.state != contentNone }

// size is how much of a body is held.
func (c *content) size() int { return len(c.body) }

// add takes a frame and reports whether the message is whole then.
func (c *content) add(ch *channel, f wire.Frame) (whole bool, err error) {
	if c.state == contentHeader {
		err = c.header(ch, f)
	} else {
		err = c.more(ch, f)
	}
	if err != nil || c.left > 0 {
		return false, err
	}
	c.state = contentNone
	ch.conn.assembled -= c.size()
	return true, nil
}

func (c *content) header(ch *channel, f wire.Frame) error {
	if f.Type != wire.FrameHeader {
		return failf(wire.CodeUnexpectedFrame, "expected content header for class %d, got non content header frame instead", wire.ClassBasic)
	}
	h, err := wire.ParseContentHeader(f.Payload)
	if err != nil {
		return err
	}
	if h.Class != wire.ClassBasic {
		return failf(wire.CodeUnexpectedFrame, "expected content header for class %d, got one for class %d instead", wire.ClassBasic, h.Class)
	}
	if most := ch.conn.b.o.Limits.MessageBytes; h.BodySize > uint64(most) {
		c.state, c.left = contentNone, 0
		return failf(wire.CodePreconditionFailed, "message size %d is larger than configured max size %d", h.BodySize, most)
	}
	if ch.conn.b.alarms.on.Load() {
		ch.conn.throttled = true
	}
	if !bytes.Equal(c.props, h.Raw) {
		c.props = bytes.Clone(h.Raw)
	}
	c.state, c.left, c.body = contentBody, h.BodySize, nil
	return nil
}

// more takes a body frame. The body is allocated at once if it is small or all
// here; else memory grows with what has come.
func (c *content) more(ch *channel, f wire.Frame) error {
	if f.Type != wire.FrameBody {
		return failf(wire.CodeUnexpectedFrame, "expected content body, got non content body frame instead")
	}
	n := uint64(len(f.Payload))
	if n > c.left {
		return failf(wire.CodeUnexpectedFrame, "content body is longer than its header says")
	}
	if c.body == nil {
		c.body = make([]byte, 0, max(min(c.left, firstBody), n))
	}
	if most := 2 * ch.conn.b.o.Limits.MessageBytes; ch.conn.assembled+len(f.Payload) > most {
		return failf(wire.CodeResourceError, "incomplete messages on this connection are larger than %d bytes together", most)
	}
	c.body = append(c.body, f.Payload...)
	c.left -= n
	ch.conn.assembled += len(f.Payload)
	return nil
}
