package routing

import "github.com/magne-actors/magne-actors/broker/embedded/internal/wire"

// DeleteExchange removes an exchange with its bindings, and the exchanges that are
// auto-delete and were bound to it only. With ifUnused it is an error if it is the
// source of a binding. It is none if there is no such exchange.
func (t *Table[Q]) DeleteExchange(name string, ifUnused bool) (*Table[Q], Change, error) {
	name = CleanName(name)
	if err := notDefault(name); err != nil {
		return t, Change{}, err
	}
	if Predeclared(name) {
		return t, Change{}, errorf(wire.CodeAccessRefused, "deletion of system %s not allowed", ExchangeText(name))
	}
	x, ok := t.exchanges.get(name)
	if !ok {
		return t, Change{}, nil
	}
	if ifUnused && x.bindings.n > 0 {
		return t, Change{}, errorf(wire.CodePreconditionFailed, "%s in use", ExchangeText(name))
	}
	c, change := *t, Change{}
	for _, b := range x.bindings.all() {
		c.unbind(b, &change)
	}
	c.remove(name, &change)
	return &c, change, nil
}

// DeleteQueue removes a queue with its bindings, and the exchanges that are
// auto-delete and were bound to it only.
func (t *Table[Q]) DeleteQueue(name string) (*Table[Q], Change) {
	q, ok := t.queues.get(name)
	if !ok {
		return t, Change{}
	}
	c, change := *t, Change{}
	c.unbindAll(q.sources, &change)
	c.queues = c.queues.without(name)
	c.autoDeleteSources(q.sources, &change)
	return &c, change
}

// remove removes an exchange that is the source of no binding.
func (t *Table[Q]) remove(name string, change *Change) {
	x, ok := t.exchanges.get(name) // without the bindings to itself
	if !ok {
		return
	}
	t.unbindAll(x.sources, change)
	t.exchanges = t.exchanges.without(name)
	change.Deleted = append(change.Deleted, x.Exchange)
	t.autoDeleteSources(x.sources, change)
}

func (t *Table[Q]) unbindAll(bindings pmap[Binding], change *Change) {
	for _, b := range bindings.all() {
		t.unbind(b, change)
	}
}

func (t *Table[Q]) autoDeleteSources(bindings pmap[Binding], change *Change) {
	for _, b := range bindings.all() {
		t.autoDelete(b.Source, change)
	}
}

// autoDelete removes an exchange if it is auto-delete and a binding was the last
// of those of which it is the source.
func (t *Table[Q]) autoDelete(name string, change *Change) {
	if x, ok := t.exchanges.get(name); ok && x.AutoDelete && x.bindings.n == 0 {
		t.remove(name, change)
	}
}
