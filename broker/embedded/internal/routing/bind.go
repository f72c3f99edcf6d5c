package routing

import "github.com/magne-actors/magne-actors/broker/embedded/internal/wire"

// Bind adds a binding; added is false when there is the same one. If access is not
// nil it decides, by its error, whether the queue that is the destination may be
// bound; it is called when all else is in order.
func (t *Table[Q]) Bind(b Binding, access func(Q) error) (_ *Table[Q], added bool, err error) {
	x, to, err := t.ends(&b)
	switch {
	case err != nil:
		return t, false, err
	case x == nil:
		return t, false, NoExchange(b.Source)
	case to == nil:
		return t, false, t.noDestination(&b)
	}
	if x.Type == Headers {
		if err := validateMatch(b.Args); err != nil {
			return t, false, err
		}
	}
	if err := allowed(&b, to, access); err != nil {
		return t, false, err
	}
	id, err := bindingID(&b)
	if err != nil {
		return t, false, errorf(wire.CodeSyntaxError, "arguments: %v", err)
	}
	if x.bindings.has(id) {
		return t, false, nil
	}
	b.Durable = x.Durable && t.durable(&b)
	c := *t
	c.exchanges = t.exchanges.with(b.Source, x.with(id, b, *to))
	c.setSource(&b, sourceID(b.Source, id), true)
	return &c, true, nil
}

// Unbind removes a binding, and the exchange that is its source if that is
// auto-delete and has no other. It is no error if there is no such binding, or not
// even what it would bind. access is as in Bind, and called only if there is one.
func (t *Table[Q]) Unbind(b Binding, access func(Q) error) (*Table[Q], Change, error) {
	x, to, err := t.ends(&b)
	if err != nil || x == nil || to == nil {
		return t, Change{}, err
	}
	id, err := bindingID(&b)
	if err != nil {
		return t, Change{}, errorf(wire.CodeSyntaxError, "arguments: %v", err)
	}
	if !x.bindings.has(id) {
		return t, Change{}, nil
	}
	if err := allowed(&b, to, access); err != nil {
		return t, Change{}, err
	}
	c, change := *t, Change{}
	c.unbind(x.bindingOf(id), &change)
	c.autoDelete(b.Source, &change)
	return &c, change, nil
}

// ends cleans the names of a binding and finds what it binds, nil if that does not
// exist.
func (t *Table[Q]) ends(b *Binding) (x *exchange[Q], to *target[Q], err error) {
	b.Source, b.Destination = CleanName(b.Source), CleanName(b.Destination)
	if b.ToExchange {
		if err := notDefault(b.Destination); err != nil {
			return nil, nil, err
		}
	}
	if err := notDefault(b.Source); err != nil {
		return nil, nil, err
	}
	x, _ = t.exchanges.get(b.Source)
	return x, t.target(b), nil
}

func (t *Table[Q]) target(b *Binding) *target[Q] {
	if b.ToExchange {
		if t.exchanges.has(b.Destination) {
			return &target[Q]{name: "x" + b.Destination}
		}
	} else if q, ok := t.queues.get(b.Destination); ok {
		return &target[Q]{queue: q.value, name: "q" + b.Destination}
	}
	return nil
}

func (t *Table[Q]) noDestination(b *Binding) error {
	if b.ToExchange {
		return NoExchange(b.Destination)
	}
	return NoQueue(b.Destination)
}

func allowed[Q comparable](b *Binding, to *target[Q], access func(Q) error) error {
	if b.ToExchange || access == nil {
		return nil
	}
	return access(to.queue)
}

// durable reports whether the destination is.
func (t *Table[Q]) durable(b *Binding) bool {
	if b.ToExchange {
		x, ok := t.exchanges.get(b.Destination)
		return ok && x.Durable
	}
	q, ok := t.queues.get(b.Destination)
	return ok && q.durable
}

func (x *exchange[Q]) bindingOf(id string) Binding {
	b, _ := x.bindings.get(id)
	return b
}

// The methods below change the Table, which must be the caller's own copy.

// setSource notes at the destination of a binding that it is there, or is not.
func (t *Table[Q]) setSource(b *Binding, id string, there bool) {
	set := func(m pmap[Binding]) pmap[Binding] {
		if there {
			return m.with(id, *b)
		}
		return m.without(id)
	}
	if b.ToExchange {
		if x, ok := t.exchanges.get(b.Destination); ok {
			c := *x
			c.sources = set(x.sources)
			t.exchanges = t.exchanges.with(b.Destination, &c)
		}
	} else if q, ok := t.queues.get(b.Destination); ok {
		c := *q
		c.sources = set(q.sources)
		t.queues = t.queues.with(b.Destination, &c)
	}
}

// unbind removes a binding that is there from both of its ends.
func (t *Table[Q]) unbind(b Binding, change *Change) {
	id, _ := bindingID(&b) // it could be made when the binding was
	if to := t.target(&b); to != nil {
		if x, ok := t.exchanges.get(b.Source); ok {
			t.exchanges = t.exchanges.with(b.Source, x.without(id, b, *to))
		}
	}
	t.setSource(&b, sourceID(b.Source, id), false)
	change.Unbound = append(change.Unbound, b)
}
