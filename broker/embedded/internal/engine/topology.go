package engine

import (
	"github.com/magne-actors/magne-actors/broker/embedded/internal/routing"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// DeclareExchange declares an exchange; passive only asks whether it is there.
// It waits for the disk if the exchange is durable and new.
func (e *Engine) DeclareExchange(spec ExchangeSpec, passive bool) error {
	if passive {
		return e.table.Load().Passive(spec.Name)
	}
	spec.Name = routing.CleanName(spec.Name)
	wait := &journaled{what: "cannot declare " + routing.ExchangeText(spec.Name)}
	err := e.change(wait, func(t *routing.Table[*Queue]) (*routing.Table[*Queue], error) {
		t, created, err := t.Declare(spec)
		if err == nil && spec.Durable && (created || e.unsaved[exchangeKey(spec.Name)] != nil) {
			e.putExchange(spec, wait)
		}
		return t, err
	})
	return err
}

// change changes the topology and waits for the journal, unless that refuses.
func (e *Engine) change(wait *journaled, do func(*routing.Table[*Queue]) (*routing.Table[*Queue], error)) error {
	e.topology.Lock()
	t, err := do(e.table.Load())
	if err == nil && !wait.refused() {
		e.table.Store(t)
	}
	e.topology.Unlock()
	if err != nil {
		return err
	}
	return e.saved(wait, nil)
}

// DeleteExchange deletes an exchange and its bindings. One that does not exist
// is no error, as in RabbitMQ.
func (e *Engine) DeleteExchange(name string, ifUnused bool) error {
	wait := &journaled{what: "cannot delete " + routing.ExchangeText(name)}
	return e.change(wait, func(t *routing.Table[*Queue]) (*routing.Table[*Queue], error) {
		t, gone, err := t.DeleteExchange(name, ifUnused)
		if err == nil {
			e.undo(gone, wait)
		}
		return t, err
	})
}

// BindExchange binds the exchange dst to the exchange src.
func (e *Engine) BindExchange(dst, src, key string, args wire.Table) error {
	return e.bind(nil, routing.Binding{Source: src, Destination: dst, ToExchange: true, Key: key, Args: args})
}

// UnbindExchange undoes BindExchange. A binding that does not exist is no error.
func (e *Engine) UnbindExchange(dst, src, key string, args wire.Table) error {
	return e.unbind(nil, routing.Binding{Source: src, Destination: dst, ToExchange: true, Key: key, Args: args})
}

// BindQueue binds a queue to an exchange.
func (e *Engine) BindQueue(o *Owner, queue, exchange, key string, args wire.Table) error {
	return e.bind(o, routing.Binding{Source: exchange, Destination: queue, Key: key, Args: args})
}

// UnbindQueue undoes BindQueue. A binding that does not exist is no error.
func (e *Engine) UnbindQueue(o *Owner, queue, exchange, key string, args wire.Table) error {
	return e.unbind(o, routing.Binding{Source: exchange, Destination: queue, Key: key, Args: args})
}

func (e *Engine) bind(o *Owner, b routing.Binding) error {
	b.Source, b.Destination = routing.CleanName(b.Source), routing.CleanName(b.Destination)
	wait := &journaled{what: "cannot bind to " + routing.ExchangeText(b.Source)}
	return e.change(wait, func(t *routing.Table[*Queue]) (*routing.Table[*Queue], error) {
		next, added, err := t.Bind(b, func(q *Queue) error { return q.checkOwner(o) })
		if err == nil && e.outlives(next, b) && (added || e.unsaved[bindingKey(b)] != nil) {
			e.putBinding(b, wait)
		}
		return next, err
	})
}

func (e *Engine) unbind(o *Owner, b routing.Binding) error {
	wait := &journaled{what: "cannot unbind from " + routing.ExchangeText(b.Source)}
	return e.change(wait, func(t *routing.Table[*Queue]) (*routing.Table[*Queue], error) {
		t, gone, err := t.Unbind(b, func(q *Queue) error { return q.checkOwner(o) })
		if err == nil {
			e.undo(gone, wait)
		}
		return t, err
	})
}

// outlives reports whether both ends of a binding are durable.
func (e *Engine) outlives(t *routing.Table[*Queue], b routing.Binding) bool {
	src, _ := t.Lookup(b.Source)
	if b.ToExchange {
		dst, _ := t.Lookup(b.Destination)
		return src.Durable && dst.Durable
	}
	q, _ := t.Queue(b.Destination)
	return src.Durable && q.durable
}

// undo takes out of the journal what is gone.
func (e *Engine) undo(gone routing.Change, wait *journaled) {
	for _, b := range gone.Unbound {
		if b.Durable {
			e.deleteMeta(bindingKey(b), wait)
		}
	}
	for _, x := range gone.Deleted {
		if x.Durable {
			e.deleteMeta(exchangeKey(x.Name), wait)
		}
	}
}
