package queueargs

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/routing"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// Types of queues.
const (
	Classic = "classic"
	Quorum  = "quorum"
)

// Overflow is what happens to a message for which a queue has no room.
type Overflow uint8

// What may happen: the oldest message goes, the new one is refused, or refused and
// dead-lettered.
const (
	DropHead Overflow = iota
	RejectPublish
	RejectPublishDLX
)

// Declaration is what queue.declare says of a queue.
type Declaration struct {
	Name       string
	Durable    bool
	Exclusive  bool
	AutoDelete bool
	Args       wire.Table
}

// Policy is what the arguments of a queue mean. A nil pointer is no such argument.
type Policy struct {
	Type string // Classic or Quorum

	Expires    *time.Duration // of the queue, when it is not used; more than 0
	MessageTTL *time.Duration // of its messages; may be 0
	MaxLength  *int64         // messages
	MaxBytes   *int64         // of bodies
	Overflow   Overflow

	DeadLetterExchange *string
	DeadLetterKey      *string
	DeliveryLimit      *int64 // quorum queues only

	MaxPriority  int // classic queues only; 0 to 255, 0 is no priorities
	SingleActive bool
}

// Stored returns the declaration as the queue has it: an exclusive queue is not
// durable.
func (d Declaration) Stored() Declaration {
	d.Durable = d.Durable && !d.Exclusive
	return d
}

// Declare checks the declaration of a new queue. The name of the queue, which may be
// one that the broker chose, is for the texts.
func Declare(d Declaration) (*Policy, error) {
	d = d.Stored()
	if v, ok := d.Args["x-dead-letter-exchange"]; ok {
		if _, ok := v.(string); !ok {
			return nil, refuse("invalid type '%s' for arg 'x-dead-letter-exchange' in %s",
				wire.TypeName(v), routing.QueueText(d.Name))
		}
	}
	if err := checkArgs(&d, []check{{"x-queue-type", queueType}}); err != nil {
		return nil, err
	}
	t := typeOf(d.Args)
	if err := checkArgs(&d, declareChecks[t.name]); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(d.Args)) {
		if known[name] && !t.args[name] {
			return nil, refuse("invalid arg '%s' for %s of queue type %s", name, routing.QueueText(d.Name), t.module)
		}
	}
	if err := t.properties(&d); err != nil {
		return nil, err
	}
	return policy(t.name, d.Args), nil
}

// ServerNamed returns an error if the broker may not choose the name of a queue with
// such arguments. It comes before all other checks.
func ServerNamed(args wire.Table) error {
	if t := typeOf(args); t != nil && t.name != Classic {
		return refuse("Cannot declare a server-named queue for type %s", t.module)
	}
	return nil
}

func refuse(format string, args ...any) *routing.Error {
	return &routing.Error{Code: wire.CodePreconditionFailed, Text: fmt.Sprintf(format, args...)}
}

// properties refuses what quorum queues cannot be.
func (t *kind) properties(d *Declaration) error {
	if t.name != Quorum {
		return nil
	}
	for _, p := range []struct {
		bad  bool
		name string
	}{
		{d.AutoDelete, "auto-delete"},
		{d.Exclusive, "exclusive-owner"},
		{!d.Durable, "non-durable"},
	} {
		if p.bad {
			return refuse("invalid property '%s' for %s", p.name, routing.QueueText(d.Name))
		}
	}
	return nil
}

// policy takes the values of arguments that have been checked.
func policy(name string, args wire.Table) *Policy {
	p := &Policy{
		Type:               name,
		Expires:            milliseconds(args, "x-expires"),
		MessageTTL:         milliseconds(args, "x-message-ttl"),
		MaxLength:          number(args, "x-max-length"),
		MaxBytes:           number(args, "x-max-length-bytes"),
		DeadLetterExchange: text(args, "x-dead-letter-exchange"),
		DeadLetterKey:      text(args, "x-dead-letter-routing-key"),
	}
	p.SingleActive, _ = args["x-single-active-consumer"].(bool)
	switch args["x-overflow"] {
	case "reject-publish":
		p.Overflow = RejectPublish
	case "reject-publish-dlx":
		// A quorum queue accepts it, logs that it is invalid, and drops the head.
		if name == Classic {
			p.Overflow = RejectPublishDLX
		}
	}
	if name == Quorum {
		// It is not checked: what is no number is no limit.
		p.DeliveryLimit = number(args, "x-delivery-limit")
	} else if n := number(args, "x-max-priority"); n != nil {
		p.MaxPriority = int(*n)
	}
	return p
}

func number(args wire.Table, name string) *int64 {
	if n, ok := wire.Integer(args[name]); ok {
		return &n
	}
	return nil
}

func milliseconds(args wire.Table, name string) *time.Duration {
	n, ok := wire.Integer(args[name])
	if !ok {
		return nil
	}
	d := time.Duration(n) * time.Millisecond
	return &d
}

func text(args wire.Table, name string) *string {
	if s, ok := args[name].(string); ok {
		return &s
	}
	return nil
}

// Equivalent returns an error if a queue that exists cannot be the one that is
// declared. sameOwner says that the declaration comes from the connection to which
// the existing queue is exclusive.
func Equivalent(existing, received Declaration, sameOwner bool) error {
	existing, received = existing.Stored(), received.Stored()
	if existing.Exclusive != received.Exclusive || existing.Exclusive && !sameOwner {
		return Locked(existing.Name)
	}
	for _, f := range []struct {
		name     string
		old, now bool
	}{
		{"durable", existing.Durable, received.Durable},
		{"auto_delete", existing.AutoDelete, received.AutoDelete},
	} {
		if f.old != f.now {
			return refuse("inequivalent arg '%s' for %s: received '%t' but current is '%t'",
				f.name, routing.QueueText(existing.Name), f.now, f.old)
		}
	}
	for _, name := range typeOf(existing.Args).names {
		if diff := wire.Inequivalence(name, existing.Args, received.Args); diff != "" {
			return refuse("inequivalent arg '%s' for %s: %s", name, routing.QueueText(existing.Name), diff)
		}
	}
	return nil
}

// Locked is the error about a queue that is exclusive to another connection, with
// wire.CodeResourceLocked.
func Locked(name string) *routing.Error {
	return &routing.Error{Code: wire.CodeResourceLocked, Text: "cannot obtain exclusive access to locked " +
		routing.QueueText(name) + ". It could be originally declared on another connection or the " +
		"exclusive property value does not match that of the original declaration."}
}
