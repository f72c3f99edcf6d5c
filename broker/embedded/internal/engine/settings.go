package engine

import (
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/queueargs"
)

// settings are a queue's arguments, as its hot paths want them: negative numbers
// are no limit.
type settings struct {
	quorum        bool
	ttl           time.Duration // of messages
	expires       time.Duration // of the queue
	maxLength     int64
	maxBytes      int64
	overflow      queueargs.Overflow
	lanes         int
	single        bool
	deliveryLimit int64

	deadLetters  bool
	deadExchange string
	deadKey      *string
}

func settingsOf(p *queueargs.Policy) settings {
	s := settings{
		quorum:        p.Type == queueargs.Quorum,
		ttl:           valueOr(p.MessageTTL, -1),
		expires:       valueOr(p.Expires, -1),
		maxLength:     valueOr(p.MaxLength, -1),
		maxBytes:      valueOr(p.MaxBytes, -1),
		overflow:      p.Overflow,
		lanes:         p.MaxPriority + 1,
		single:        p.SingleActive,
		deliveryLimit: valueOr(p.DeliveryLimit, -1),
		deadLetters:   p.DeadLetterExchange != nil,
		deadExchange:  valueOr(p.DeadLetterExchange, ""),
		deadKey:       p.DeadLetterKey,
	}
	return s
}

func valueOr[T any](p *T, none T) T {
	if p == nil {
		return none
	}
	return *p
}
