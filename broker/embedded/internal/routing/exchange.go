package routing

import (
	"slices"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// exchange is an exchange with its bindings, and with what finds them for a
// message: the one of keys, all, words and matches that is for its type.
type exchange[Q comparable] struct {
	Exchange
	alternate    string
	hasAlternate bool

	bindings pmap[Binding] // by id
	sources  pmap[Binding] // those of which it is the destination, by source and id

	keys    pmap[targets[Q]]  // direct, by routing key
	all     targets[Q]        // fanout
	words   *topicNode[Q]     // topic
	matches []headersMatch[Q] // headers
}

func newExchange[Q comparable](x Exchange) *exchange[Q] {
	n := &exchange[Q]{Exchange: x}
	n.alternate, n.hasAlternate = x.Alternate()
	return n
}

// target is where a binding leads to.
type target[Q comparable] struct {
	queue      Q
	exchange   string
	toExchange bool
}

// targets are destinations with the number of bindings that lead to each from the
// same place, so that no destination is in them twice.
type targets[Q comparable] []counted[Q]

type counted[Q comparable] struct {
	target[Q]
	n int
}

func (ts targets[Q]) find(t target[Q]) int {
	return slices.IndexFunc(ts, func(c counted[Q]) bool { return c.target == t })
}

func (ts targets[Q]) with(t target[Q]) targets[Q] {
	if i := ts.find(t); i >= 0 {
		ts = slices.Clone(ts)
		ts[i].n++
		return ts
	}
	return append(slices.Clip(ts), counted[Q]{target: t, n: 1})
}

func (ts targets[Q]) without(t target[Q]) targets[Q] {
	i := ts.find(t)
	switch {
	case i < 0:
		return ts
	case ts[i].n > 1:
		ts = slices.Clone(ts)
		ts[i].n--
		return ts
	case len(ts) == 1:
		return nil
	}
	return slices.Concat(ts[:i], ts[i+1:])
}

// with returns the exchange with a binding that it does not have.
func (x *exchange[Q]) with(id string, b Binding, to target[Q]) *exchange[Q] {
	c := *x
	c.bindings = x.bindings.with(id, b)
	switch x.Type {
	case Direct:
		old, _ := x.keys.get(b.Key)
		c.keys = x.keys.with(b.Key, old.with(to))
	case Fanout:
		c.all = x.all.with(to)
	case Topic:
		c.words = x.words.with(splitKey(b.Key), to)
	case Headers:
		c.matches = append(slices.Clip(x.matches), newHeadersMatch(id, b.Args, to))
	}
	return &c
}

// without returns the exchange without a binding that it has.
func (x *exchange[Q]) without(id string, b Binding, to target[Q]) *exchange[Q] {
	c := *x
	c.bindings = x.bindings.without(id)
	switch x.Type {
	case Direct:
		old, _ := x.keys.get(b.Key)
		if left := old.without(to); left != nil {
			c.keys = x.keys.with(b.Key, left)
		} else {
			c.keys = x.keys.without(b.Key)
		}
	case Fanout:
		c.all = x.all.without(to)
	case Topic:
		c.words = x.words.without(splitKey(b.Key), to)
	case Headers:
		c.matches = slices.DeleteFunc(slices.Clone(x.matches), func(m headersMatch[Q]) bool { return m.id == id })
	}
	return &c
}

// bindingID is different for two bindings of an exchange if they are not the same.
func bindingID(b *Binding) (string, error) {
	id := make([]byte, 0, 64)
	kind := byte('q')
	if b.ToExchange {
		kind = 'x'
	}
	id = appendName(append(id, kind), b.Destination)
	id, err := wire.AppendTable(appendName(id, b.Key), b.Args)
	return string(id), err
}

// appendName appends a name so that it is clear where it ends. Names come from
// short strings, of up to 255 bytes.
func appendName(dst []byte, name string) []byte {
	return append(append(dst, byte(len(name))), name...)
}

// sourceID is bindingID among the bindings of all exchanges to one destination.
func sourceID(source, id string) string {
	return string(appendName(nil, source)) + id
}
