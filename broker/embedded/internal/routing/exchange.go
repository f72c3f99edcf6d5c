package routing

import (
	"strings"

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

	keys    pmap[targets[Q]]      // direct, by routing key
	all     targets[Q]            // fanout
	words   *topicNode[Q]         // topic
	matches pmap[headersMatch[Q]] // headers, by id
}

func newExchange[Q comparable](x Exchange) *exchange[Q] {
	n := &exchange[Q]{Exchange: x}
	n.alternate, n.hasAlternate = x.Alternate()
	return n
}

// target is where a binding leads to.
type target[Q comparable] struct {
	queue Q
	name  string // "q" or "x", for exchange, and the name
}

func (t *target[Q]) toExchange() (name string, ok bool) {
	return strings.CutPrefix(t.name, "x")
}

// targets are destinations, each once, with the number of bindings that lead to it
// from the same place.
type targets[Q comparable] struct{ pmap[counted[Q]] }

type counted[Q comparable] struct {
	target[Q]
	n int
}

func (ts targets[Q]) with(to target[Q]) targets[Q] {
	c, _ := ts.get(to.name)
	return targets[Q]{ts.pmap.with(to.name, counted[Q]{target: to, n: c.n + 1})}
}

func (ts targets[Q]) without(to target[Q]) targets[Q] {
	c, ok := ts.get(to.name)
	switch {
	case !ok:
		return ts
	case c.n > 1:
		return targets[Q]{ts.pmap.with(to.name, counted[Q]{target: to, n: c.n - 1})}
	}
	return targets[Q]{ts.pmap.without(to.name)}
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
		c.matches = x.matches.with(id, newHeadersMatch(b.Args, to))
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
		if left := old.without(to); left.n > 0 {
			c.keys = x.keys.with(b.Key, left)
		} else {
			c.keys = x.keys.without(b.Key)
		}
	case Fanout:
		c.all = x.all.without(to)
	case Topic:
		c.words = x.words.without(splitKey(b.Key), to)
	case Headers:
		c.matches = x.matches.without(id)
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
