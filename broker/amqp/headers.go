package amqp

import (
	"fmt"
	"math"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker"
)

const (
	maxShort = 255 // bytes of a short string: names, keys, most properties
	// maxTableBytes bounds the encoded headers: they must fit one frame, which
	// RabbitMQ limits to 128 KiB, together with the other properties.
	maxTableBytes = 96 << 10
	// What amqp091-go accepts when it receives; more ends its connection.
	maxDepth    = 32   // of tables and arrays, below the headers
	maxElements = 8192 // of one table or array
)

// fromTable turns a table from the wire, in place, into what the seam promises:
// nested tables are map[string]any.
func fromTable(t amqp091.Table) map[string]any {
	for k, v := range t {
		switch v := v.(type) {
		case amqp091.Table, []any:
			t[k] = fromField(v)
		}
	}
	return t
}

func fromField(v any) any {
	switch v := v.(type) {
	case amqp091.Table:
		return fromTable(v)
	case []any:
		for i := range v {
			v[i] = fromField(v[i])
		}
	}
	return v
}

// toTable copies m into a table that amqp091-go can encode. It refuses what has
// no representation, and what the broker would close the connection for.
func toTable(m map[string]any) (amqp091.Table, error) {
	if len(m) == 0 {
		return nil, nil
	}
	var e encoder
	t, err := e.table(m, 0)
	if err == nil && e.bytes > maxTableBytes {
		err = fmt.Errorf("%d bytes are too many, at most %d", e.bytes, maxTableBytes)
	}
	return t, err
}

// encoder converts fields and counts the bytes that they will take, roughly and
// never too few.
type encoder struct{ bytes int }

func fits(elements, depth int) error {
	switch {
	case depth > maxDepth:
		return fmt.Errorf("nested deeper than %d", maxDepth)
	case elements > maxElements:
		return fmt.Errorf("more than %d elements", maxElements)
	}
	return nil
}

func (e *encoder) table(m map[string]any, depth int) (amqp091.Table, error) {
	if err := fits(len(m), depth); err != nil {
		return nil, err
	}
	t := make(amqp091.Table, len(m))
	for k, v := range m {
		if len(k) > maxShort {
			return nil, fmt.Errorf("key of %d bytes is too long", len(k))
		}
		e.bytes += len(k) + 1
		field, err := e.field(v, depth)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", k, err)
		}
		t[k] = field
	}
	return t, nil
}

func (e *encoder) array(a []any, depth int) ([]any, error) {
	if err := fits(len(a), depth); err != nil {
		return nil, err
	}
	out := make([]any, len(a))
	for i, v := range a {
		field, err := e.field(v, depth)
		if err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
		out[i] = field
	}
	return out, nil
}

func (e *encoder) field(v any, depth int) (any, error) {
	e.bytes += 9 // type and the largest number, or a length
	switch v := v.(type) {
	case nil, bool, int8, uint8, int16, uint16, int32, uint32, int64, float32, float64, time.Time, amqp091.Decimal:
		return v, nil
	case int:
		return fitInt(int64(v)), nil
	case uint:
		return fitUint(uint64(v))
	case uint64:
		return fitUint(v)
	case string:
		e.bytes += len(v)
		return v, nil
	case []byte:
		e.bytes += len(v)
		return v, nil
	case map[string]any:
		return e.table(v, depth+1)
	case amqp091.Table:
		return e.table(v, depth+1)
	case []any:
		return e.array(v, depth+1)
	case []string:
		a := make([]any, len(v))
		for i := range v {
			a[i] = v[i]
		}
		return e.array(a, depth+1)
	}
	return nil, fmt.Errorf("AMQP has no type for a %T", v)
}

// fitInt exists because amqp091-go encodes an int in 32 bits, whatever its value.
func fitInt(v int64) any {
	if v >= math.MinInt32 && v <= math.MaxInt32 {
		return int32(v)
	}
	return v
}

func fitUint(v uint64) (any, error) {
	if v > math.MaxInt64 {
		return nil, fmt.Errorf("%d does not fit 64 bits with a sign", v)
	}
	return fitInt(int64(v)), nil
}

// fromDelivery converts a delivery; its body and headers are taken over.
func fromDelivery(d *amqp091.Delivery, tag uint64, queue string) *broker.Delivery {
	return &broker.Delivery{
		Properties: broker.Properties{
			ContentType: d.ContentType, ContentEncoding: d.ContentEncoding,
			MessageID: d.MessageId, CorrelationID: d.CorrelationId, Type: d.Type,
			ReplyTo: d.ReplyTo, Expiration: d.Expiration, AppID: d.AppId, User: d.UserId,
			Timestamp: d.Timestamp, Priority: d.Priority,
			Persistent: d.DeliveryMode == amqp091.Persistent,
			Headers:    fromTable(d.Headers),
		},
		Tag: tag, Queue: queue,
		Exchange: d.Exchange, RoutingKey: d.RoutingKey, Redelivered: d.Redelivered,
		Body: d.Body,
	}
}

// Check returns what Publish would refuse of p without a broker: an error that
// wraps [broker.ErrInvalid], or nil.
func Check(p *broker.Publication) error {
	if _, err := toPublishing(p); err != nil {
		return fmt.Errorf("amqp: %w: %w", broker.ErrInvalid, err)
	}
	return nil
}

// toPublishing converts and checks p. amqp091-go and the broker answer most of
// what is refused here by closing the whole connection.
func toPublishing(p *broker.Publication) (amqp091.Publishing, error) {
	for _, s := range [...]struct{ name, value string }{
		{"Exchange", p.Exchange},
		{"RoutingKey", p.RoutingKey},
		{"ContentType", p.ContentType},
		{"ContentEncoding", p.ContentEncoding},
		{"MessageID", p.MessageID},
		{"CorrelationID", p.CorrelationID},
		{"Type", p.Type},
		{"ReplyTo", p.ReplyTo},
		{"Expiration", p.Expiration},
		{"AppID", p.AppID},
		{"User", p.User},
	} {
		if len(s.value) > maxShort {
			return amqp091.Publishing{}, fmt.Errorf("%s of %d bytes is too long, at most %d", s.name, len(s.value), maxShort)
		}
	}
	headers, err := toTable(p.Headers)
	if err != nil {
		return amqp091.Publishing{}, fmt.Errorf("headers: %w", err)
	}
	out := amqp091.Publishing{
		Headers:     headers,
		ContentType: p.ContentType, ContentEncoding: p.ContentEncoding,
		MessageId: p.MessageID, CorrelationId: p.CorrelationID, Type: p.Type,
		ReplyTo: p.ReplyTo, Expiration: p.Expiration, AppId: p.AppID, UserId: p.User,
		Timestamp: p.Timestamp, Priority: p.Priority, Body: p.Body,
	}
	if p.Persistent {
		out.DeliveryMode = amqp091.Persistent
	}
	return out, nil
}
