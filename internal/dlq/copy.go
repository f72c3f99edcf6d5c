package dlq

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/broker"
)

var (
	// ErrLoop: the message was replayed as often as is allowed.
	ErrLoop = errors.New("replayed too often")
	// ErrUnreadable: the client could not take the headers of the message.
	ErrUnreadable = errors.New("its headers cannot be read, and a copy would lack them")
)

// Replay is the copy of a dead letter that runs it again, in a queue: without the
// account of its failures, so that all attempts are before it. What it has been
// through stays: how often and when it was replayed, and why it was a dead letter the
// first time. The error wraps ErrLoop when it was replayed maxReplays times before
// (0: any number is allowed), or ErrUnreadable.
func Replay(d *broker.Delivery, queue string, maxReplays int, now time.Time) (*broker.Publication, error) {
	l := Read(d)
	switch {
	case l.Unreadable:
		return nil, fmt.Errorf("message %q: %w", l.ID, ErrUnreadable)
	case maxReplays > 0 && l.Replays >= maxReplays:
		return nil, fmt.Errorf("message %q: %w: %d times, the last time it was a dead letter for the reason %q", l.ID, ErrLoop, l.Replays, l.Reason)
	}
	p := copyOf(d, queue)
	for _, name := range []string{headerAttempt, headerReason, headerError, headerQueue, headerNode, headerLost, headerAutopsy, headerSnoozes, headerKind} {
		delete(p.Headers, name)
	}
	p.Headers[headerReplays] = int64(l.Replays + 1)
	p.Headers[headerReplayedAt] = now.UTC().Format(time.RFC3339)
	if first := cmp.Or(l.FirstReason, l.Reason); first != "" {
		p.Headers[headerFirstReason] = first
	}
	if l.FirstSeen != nil {
		p.Headers[headerFirstSeen] = l.FirstSeen.Format(time.RFC3339)
	}
	return p, nil
}

// Copy is a dead letter as it can be published to a queue of dead letters: all of it,
// but what only a broker may set. What RabbitMQ's x-death has said of the reason is
// kept in a worker's headers.
func Copy(d *broker.Delivery, queue string) (*broker.Publication, error) {
	l := Read(d)
	if l.Unreadable {
		return nil, fmt.Errorf("message %q: %w", l.ID, ErrUnreadable)
	}
	p := copyOf(d, queue)
	keep := func(name, value string) {
		if _, has := p.Headers[name]; !has && value != "" {
			p.Headers[name] = value
		}
	}
	keep(headerReason, l.Reason)
	keep(headerQueue, l.Queue)
	if l.FirstSeen != nil {
		keep(headerFirstSeen, l.FirstSeen.Format(time.RFC3339))
	}
	return p, nil
}

// Again is a message as it can be published once more, to a queue by the default
// exchange: all of it, but what only a broker may set. The error wraps ErrUnreadable.
func Again(d *broker.Delivery, queue string) (*broker.Publication, error) {
	if _, unreadable := d.Headers[broker.HeaderDropped]; unreadable {
		return nil, fmt.Errorf("message %q: %w", IDOf(d), ErrUnreadable)
	}
	return copyOf(d, queue), nil
}

// copyOf copies a message for a queue, by the default exchange. It has no expiry: it
// has waited for people. x-death would make RabbitMQ before 4.0.1 drop it as a cycle
// when it is a dead letter again, CC would send it to other queues as well, and a
// user-id that is not our own is refused.
func copyOf(d *broker.Delivery, queue string) *broker.Publication {
	p := &broker.Publication{Properties: d.Properties, RoutingKey: queue, Body: d.Body}
	p.User, p.Expiration, p.Persistent = "", "", true
	p.Headers = maps.Clone(d.Headers)
	if p.Headers == nil {
		p.Headers = map[string]any{}
	}
	maps.DeleteFunc(p.Headers, func(name string, _ any) bool { return ofBroker(name) })
	return p
}

func ofBroker(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case headerDeath, "x-delivery-count", "x-acquired-count", "cc", "bcc":
		return true
	}
	return strings.HasPrefix(name, "x-first-death-") || strings.HasPrefix(name, "x-last-death-")
}

// Destination is the queue that a dead letter is replayed to when nobody says another
// one: that of the letters in the dead-letter queue where it is known (work), else
// what the letter says of itself. It is "" when nothing is known.
func Destination(l *Letter, work string) string { return cmp.Or(work, l.Queue) }
