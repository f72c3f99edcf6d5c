package wire

import (
	"encoding/binary"
	"slices"
)

// ContentHeader is the payload of a header frame.
type ContentHeader struct {
	Class    uint16
	BodySize uint64 // of all body frames together, in bytes
	// Raw is the property flags and the property list as they came, so that they
	// can go out unchanged. It has not been checked: ViewProperties does.
	Raw []byte
}

// ParseContentHeader parses the payload of a header frame. Raw is the payload's
// memory. The error is a *SyntaxError.
func ParseContentHeader(payload []byte) (ContentHeader, error) {
	d := decoder{b: payload}
	h := ContentHeader{Class: d.short()}
	weight := d.short()
	h.BodySize = d.longlong()
	switch {
	case d.err != nil || len(d.b) < 2:
		return ContentHeader{}, syntaxErrorf("a content header of %d bytes", len(payload))
	case weight != 0:
		return ContentHeader{}, syntaxErrorf("a content header of weight %d", weight)
	}
	h.Raw = d.b
	return h, nil
}

// AppendContentHeader appends a header frame. The header cannot be divided: raw
// may make the frame longer than frame-max, as it does with RabbitMQ.
func AppendContentHeader(dst []byte, channel, class uint16, raw []byte, bodySize uint64) []byte {
	start := len(dst)
	dst = beginFrame(dst, FrameHeader, channel)
	dst = binary.BigEndian.AppendUint32(dst, uint32(class)<<16) // and weight 0
	dst = binary.BigEndian.AppendUint64(dst, bodySize)
	return endFrame(append(dst, raw...), start)
}

// AppendBody appends the body frames of a body, none for an empty one, each no
// longer than frameMax; a frameMax of FrameOverhead or less, 0 too, is no limit.
func AppendBody(dst []byte, channel uint16, body []byte, frameMax uint32) []byte {
	most := len(body)
	if frameMax > FrameOverhead {
		most = int(frameMax - FrameOverhead)
	}
	for len(body) > 0 {
		n := min(most, len(body))
		dst = AppendFrame(dst, FrameBody, channel, body[:n])
		body = body[n:]
	}
	return dst
}

// AppendContent appends the header frame and the body frames of a message. It
// grows dst at most once.
func AppendContent(dst []byte, channel, class uint16, raw, body []byte, frameMax uint32) []byte {
	frames := 2
	if frameMax > FrameOverhead {
		frames += len(body) / int(frameMax-FrameOverhead)
	}
	dst = slices.Grow(dst, 12+len(raw)+len(body)+frames*FrameOverhead)
	dst = AppendContentHeader(dst, channel, class, raw, uint64(len(body)))
	return AppendBody(dst, channel, body, frameMax)
}

// AppendDeliver appends the method frame of basic.deliver, which AppendContent
// should follow.
func AppendDeliver(dst []byte, channel uint16, tag string, deliveryTag uint64, redelivered bool, exchange, key string) []byte {
	m := BasicDeliver{ConsumerTag: tag, DeliveryTag: deliveryTag, Redelivered: redelivered, Exchange: exchange, RoutingKey: key}
	start := len(dst)
	return endFrame(m.append(beginBasic(dst, channel, 60)), start)
}

// AppendGetOk appends the method frame of basic.get-ok, which AppendContent
// should follow.
func AppendGetOk(dst []byte, channel uint16, deliveryTag uint64, redelivered bool, exchange, key string, messages uint32) []byte {
	m := BasicGetOk{DeliveryTag: deliveryTag, Redelivered: redelivered, Exchange: exchange, RoutingKey: key, MessageCount: messages}
	start := len(dst)
	return endFrame(m.append(beginBasic(dst, channel, 71)), start)
}

// AppendReturn appends the method frame of basic.return, which AppendContent
// should follow.
func AppendReturn(dst []byte, channel, code uint16, text, exchange, key string) []byte {
	m := BasicReturn{ReplyCode: code, ReplyText: text, Exchange: exchange, RoutingKey: key}
	start := len(dst)
	return endFrame(m.append(beginBasic(dst, channel, 50)), start)
}

// AppendAck appends the method frame of basic.ack.
func AppendAck(dst []byte, channel uint16, deliveryTag uint64, multiple bool) []byte {
	m := BasicAck{DeliveryTag: deliveryTag, Multiple: multiple}
	start := len(dst)
	return endFrame(m.append(beginBasic(dst, channel, 80)), start)
}

// AppendNack appends the method frame of basic.nack as a broker sends it, without
// requeue.
func AppendNack(dst []byte, channel uint16, deliveryTag uint64, multiple bool) []byte {
	m := BasicNack{DeliveryTag: deliveryTag, Multiple: multiple}
	start := len(dst)
	return endFrame(m.append(beginBasic(dst, channel, 120)), start)
}

func beginBasic(dst []byte, channel, method uint16) []byte {
	dst = beginFrame(dst, FrameMethod, channel)
	return binary.BigEndian.AppendUint32(dst, uint32(ClassBasic)<<16|uint32(method))
}
