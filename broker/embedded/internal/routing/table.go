package routing

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// Types of exchanges.
const (
	Direct  = "direct"
	Fanout  = "fanout"
	Topic   = "topic"
	Headers = "headers"
)

// Exchange is what exchange.declare says of an exchange.
type Exchange struct {
	Name       string
	Type       string
	Durable    bool
	AutoDelete bool // goes when its last binding as a source goes
	Internal   bool // takes messages from other exchanges only
	Args       wire.Table
}

// Alternate returns the name in the argument alternate-exchange, and whether there
// is one.
func (x Exchange) Alternate() (name string, ok bool) {
	name, ok = x.Args[alternateArg].(string)
	return name, ok
}

// Binding leads from an exchange to a queue or an exchange. Two bindings are the
// same when all that a client says of them is: Key and Args too.
type Binding struct {
	Source      string
	Destination string
	ToExchange  bool // Destination is an exchange
	Key         string
	Args        wire.Table
	// Durable says whether it outlives the broker, which it does when both ends do.
	// A Table sets it in what it returns and ignores it in what it is given.
	Durable bool
}

// Change is what went together with what was taken away.
type Change struct {
	Unbound []Binding  // all bindings that are no more, in no order
	Deleted []Exchange // the exchanges, auto-deleted ones too
}

// Table has the exchanges, queues and bindings of a broker. Q is what stands for a
// queue. The methods which change it return the Table after the change, and the
// same Table when there is an error or nothing to change.
type Table[Q comparable] struct {
	exchanges pmap[*exchange[Q]]
	queues    pmap[*queue[Q]]
}

// queue is the destination of its bindings, which are by source and id.
type queue[Q comparable] struct {
	value   Q
	durable bool
	sources pmap[Binding]
}

const alternateArg = "alternate-exchange"

// New returns a Table with the exchanges that every broker has.
func New[Q comparable]() *Table[Q] {
	t := &Table[Q]{}
	for _, x := range []Exchange{
		{Name: "", Type: Direct},
		{Name: "amq.direct", Type: Direct},
		{Name: "amq.fanout", Type: Fanout},
		{Name: "amq.headers", Type: Headers},
		{Name: "amq.match", Type: Headers},
		{Name: "amq.topic", Type: Topic},
		{Name: "amq.rabbitmq.trace", Type: Topic, Internal: true},
	} {
		x.Durable = true
		t.exchanges = t.exchanges.with(x.Name, newExchange[Q](x))
	}
	return t
}

// Predeclared reports whether every broker has an exchange of that name, so that
// it need not be stored.
func Predeclared(name string) bool {
	return name == "" || strings.HasPrefix(name, "amq.")
}

// Declare adds an exchange. When there is one of that name, it reports created
// false, and an error unless the two are equivalent.
func (t *Table[Q]) Declare(x Exchange) (_ *Table[Q], created bool, err error) {
	switch x.Type {
	case Direct, Fanout, Topic, Headers:
	default:
		return t, false, errorf(wire.CodeCommandInvalid, "unknown exchange type '%s'", x.Type)
	}
	x.Name = CleanName(x.Name)
	if err := notDefault(x.Name); err != nil {
		return t, false, err
	}
	if old, ok := t.exchanges.get(x.Name); ok {
		return t, false, equivalent(&old.Exchange, &x)
	}
	if err := ReservedName("exchange", x.Name); err != nil {
		return t, false, err
	}
	if v, ok := x.Args[alternateArg]; ok {
		if _, ok := v.(string); !ok {
			return t, false, errorf(wire.CodePreconditionFailed, "invalid type '%s' for arg '%s' in %s",
				wire.TypeName(v), alternateArg, ExchangeText(x.Name))
		}
	}
	return &Table[Q]{exchanges: t.exchanges.with(x.Name, newExchange[Q](x)), queues: t.queues}, true, nil
}

func notDefault(name string) error {
	if name == "" {
		return errorf(wire.CodeAccessRefused, "operation not permitted on the default exchange")
	}
	return nil
}

// equivalent compares in RabbitMQ's order: the text is about the first difference.
func equivalent(old, now *Exchange) error {
	refuse := func(field, difference string) error {
		return errorf(wire.CodePreconditionFailed, "inequivalent arg '%s' for %s: %s",
			field, ExchangeText(now.Name), difference)
	}
	if old.Type != now.Type {
		return refuse("type", "received '"+now.Type+"' but current is '"+old.Type+"'")
	}
	for _, f := range []struct {
		name     string
		old, now bool
	}{
		{"durable", old.Durable, now.Durable},
		{"auto_delete", old.AutoDelete, now.AutoDelete},
		{"internal", old.Internal, now.Internal},
	} {
		if f.old != f.now {
			return refuse(f.name, fmt.Sprintf("received '%t' but current is '%t'", f.now, f.old))
		}
	}
	if diff := wire.Inequivalence(alternateArg, old.Args, now.Args); diff != "" {
		return refuse(alternateArg, diff)
	}
	return nil
}

// Passive returns what exchange.declare does that is passive: nil if there is an
// exchange of that name.
func (t *Table[Q]) Passive(name string) error {
	name = CleanName(name)
	if err := notDefault(name); err != nil {
		return err
	}
	if !t.exchanges.has(name) {
		return NoExchange(name)
	}
	return nil
}

// Lookup returns the exchange of that name.
func (t *Table[Q]) Lookup(name string) (Exchange, bool) {
	if x, ok := t.exchanges.get(name); ok {
		return x.Exchange, true
	}
	return Exchange{}, false
}

// Exchanges yields all exchanges in the order of their names.
func (t *Table[Q]) Exchanges() iter.Seq[Exchange] {
	return func(yield func(Exchange) bool) {
		xs := maps.Collect(t.exchanges.all())
		for _, name := range slices.Sorted(maps.Keys(xs)) {
			if !yield(xs[name].Exchange) {
				return
			}
		}
	}
}

// Bindings yields the bindings of which the exchange is the source, in no order.
// Those of every queue to the default exchange are not among them.
func (t *Table[Q]) Bindings(source string) iter.Seq[Binding] {
	return func(yield func(Binding) bool) {
		x, ok := t.exchanges.get(source)
		if !ok {
			return
		}
		for _, b := range x.bindings.all() {
			if !yield(b) {
				return
			}
		}
	}
}

// BindingsTo yields the bindings of which the queue is the destination, in no
// order, but not the one to the default exchange.
func (t *Table[Q]) BindingsTo(name string) iter.Seq[Binding] {
	return func(yield func(Binding) bool) {
		q, ok := t.queues.get(name)
		if !ok {
			return
		}
		for _, b := range q.sources.all() {
			if !yield(b) {
				return
			}
		}
	}
}

// Queue returns what stands for the queue of that name.
func (t *Table[Q]) Queue(name string) (q Q, ok bool) {
	if n, ok := t.queues.get(name); ok {
		return n.value, true
	}
	return q, false
}

// Queues yields all queues in no order.
func (t *Table[Q]) Queues() iter.Seq2[string, Q] {
	return func(yield func(string, Q) bool) {
		for name, n := range t.queues.all() {
			if !yield(name, n.value) {
				return
			}
		}
	}
}

// QueueCount returns the number of queues.
func (t *Table[Q]) QueueCount() int { return t.queues.n }

// AddQueue adds a queue, which the default exchange routes to from then on. It
// must not be there already.
func (t *Table[Q]) AddQueue(name string, q Q, durable bool) *Table[Q] {
	return &Table[Q]{exchanges: t.exchanges, queues: t.queues.with(name, &queue[Q]{value: q, durable: durable})}
}
