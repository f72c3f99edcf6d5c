package actors

import (
	"fmt"
	"hash/maphash"
	"strings"

	"github.com/magne-actors/magne-actors/broker"
)

// The headers that tell the runs of one message from each other, beside headerAttempt
// and headerCopies. They are written by internal/dlq.
const (
	headerReplays    = "x-replays"
	headerReplayedAt = "x-replayed-at"
)

// key names one run that is to be made of one message. The broker may deliver it
// several times; a retry or a replay has another key.
type key struct {
	id                       string // the message-id; "" is no key
	attempt, copies, replays int32
}

// keyOf is the key of a delivery, none without a message-id.
func keyOf(d *broker.Delivery) key {
	if d.MessageID == "" {
		return key{}
	}
	if d.Headers == nil {
		return key{id: d.MessageID, attempt: 1}
	}
	return key{
		id: d.MessageID, attempt: int32(attemptOf(d)),
		copies: int32(count(d.Headers[headerCopies], 0)), replays: int32(count(d.Headers[headerReplays], 0)),
	}
}

// sumOf is a hash of what a publisher has said in a message. Deliveries with equal
// keys and different sums are different messages of a publisher that gives one id to
// many.
func sumOf(seed maphash.Seed, d *broker.Delivery) uint64 {
	h := maphash.Bytes(seed, d.Body)
	p := &d.Properties
	for i, s := range [...]string{
		p.Type, p.CorrelationID, p.ContentType, p.ContentEncoding, p.ReplyTo, p.AppID, p.User, p.Expiration,
	} {
		if s != "" {
			h = mix(h, uint64(i), maphash.String(seed, s))
		}
	}
	if !p.Timestamp.IsZero() {
		h = mix(h, 8, uint64(p.Timestamp.Unix())) // AMQP has seconds
	}
	if p.Priority != 0 {
		h = mix(h, 9, uint64(p.Priority))
	}
	if sum := sumOfHeaders(seed, d.Headers); sum != 0 { // those of a broker only are none
		h = mix(h, 10, sum)
	}
	return h
}

// sumOfHeaders is a hash of the headers that a task can see, which have no order.
func sumOfHeaders(seed maphash.Seed, headers map[string]any) (sum uint64) {
	for name, value := range headers {
		if ofBroker(name) {
			continue
		}
		h := maphash.String(seed, name)
		switch v := value.(type) {
		case string:
			h = mix(h, 1, maphash.String(seed, v))
		case []byte:
			h = mix(h, 2, maphash.Bytes(seed, v))
		case bool, int8, uint8, int16, uint16, int32, uint32, int64:
			h = mix(h, 3, maphash.Comparable(seed, v))
		default: // floats, times and tables: seldom, and NaN is not equal to itself
			h = mix(h, 4, maphash.String(seed, fmt.Sprint(v)))
		}
		sum += h
	}
	return sum
}

// ofBroker reports whether a broker writes a header of that name, and another one
// each time that it delivers the message.
func ofBroker(name string) bool {
	if len(name) < 2 || name[0]|0x20 != 'x' || name[1] != '-' {
		return false
	}
	name = strings.ToLower(name)
	switch name {
	case "x-death", "x-delivery-count", "x-acquired-count":
		return true
	}
	return strings.HasPrefix(name, "x-first-death-") || strings.HasPrefix(name, "x-last-death-")
}

// mix folds the value of the field with that number into h; the multipliers are odd
// and have no pattern.
func mix(h, field, value uint64) uint64 {
	h ^= value + field*0x9e3779b97f4a7c15
	h *= 0xff51afd7ed558ccd
	return h ^ h>>32
}
