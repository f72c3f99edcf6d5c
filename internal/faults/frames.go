package faults

import (
	"encoding/binary"
	"errors"
)

// errGarbled: the bytes are not AMQP 0-9-1 frames. It is what a fault may do to
// them, so a reader of frames stops and its bytes are passed on all the same.
var errGarbled = errors.New("faults: not an AMQP frame")

const (
	frameMethod = 1
	frameEnd    = 0xCE
	frameHead   = 7       // type, channel, size
	maxFrame    = 1 << 20 // far above what RabbitMQ agrees to
	// greeting is the length of the protocol header that a client begins with.
	greeting = 8
)

// frames cuts a stream of bytes into AMQP frames and hands on those with methods.
// It keeps what it needs of an unfinished frame, and of other frames nothing.
type frames struct {
	skip   int // bytes that are not looked at: the greeting, and what a frame has left
	buf    []byte
	method func(channel uint16, m method)
}

// write takes the next bytes of the stream. After an error the stream cannot be
// read any further.
func (f *frames) write(b []byte) error {
	for len(b) > 0 {
		if n := min(f.skip, len(b)); n > 0 {
			f.skip -= n
			b = b[n:]
			continue
		}
		if need := f.need() - len(f.buf); need > 0 {
			n := min(need, len(b))
			f.buf = append(f.buf, b[:n]...)
			b = b[n:]
		}
		if len(f.buf) < frameHead {
			continue
		}
		if kind := f.buf[0]; kind == 0 || kind > 8 || f.size() > maxFrame {
			return errGarbled
		}
		if len(f.buf) < f.need() {
			continue
		}
		if err := f.advance(); err != nil {
			return err
		}
	}
	return nil
}

// need is how many bytes of the frame must be there before more is known.
func (f *frames) need() int {
	if len(f.buf) < frameHead {
		return frameHead
	}
	if f.buf[0] != frameMethod {
		return frameHead
	}
	return frameHead + f.size() + 1
}

func (f *frames) size() int { return int(binary.BigEndian.Uint32(f.buf[3:])) }

// advance looks at what is complete: a whole frame with a method, or else a head.
func (f *frames) advance() error {
	if f.buf[0] != frameMethod {
		f.skip = f.size() + 1
		f.buf = f.buf[:0]
		return nil
	}
	payload := f.buf[frameHead : len(f.buf)-1]
	if f.buf[len(f.buf)-1] != frameEnd || len(payload) < 4 {
		return errGarbled
	}
	channel := binary.BigEndian.Uint16(f.buf[1:])
	f.method(channel, method{binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:]), payload[4:]})
	f.buf = f.buf[:0]
	return nil
}

// method is one AMQP method; args is valid until the next one.
type method struct {
	class, id uint16
	args      []byte
}

// is compares class and method, as the specification numbers them.
func (m method) is(class, id uint16) bool { return m.class == class && m.id == id }

// tag is the first argument of ack, nack and reject, and flag the first bit after
// it: multiple, or for reject requeue.
func (m method) tag() (tag uint64, flag bool, ok bool) {
	if len(m.args) < 9 {
		return 0, false, false
	}
	return binary.BigEndian.Uint64(m.args), m.args[8]&1 == 1, true
}

// deliveryTag is that of a deliver: it stands behind the consumer tag.
func (m method) deliveryTag() (uint64, bool) {
	if len(m.args) == 0 || len(m.args) < 1+int(m.args[0])+8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(m.args[1+int(m.args[0]):]), true
}

// reply is the code of a close.
func (m method) reply() uint16 {
	if len(m.args) < 2 {
		return 0
	}
	return binary.BigEndian.Uint16(m.args)
}
