package routing

import (
	"slices"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// Message is what a message is routed by.
type Message struct {
	Exchange string
	Key      string
	More     []string // further routing keys, from the headers CC and BCC
	Headers  []byte   // the encoded fields of its headers
}

// Publishable returns why clients may not publish to an exchange, or nil.
func (t *Table[Q]) Publishable(name string) error {
	x, ok := t.exchanges.get(name)
	switch {
	case !ok:
		return NoExchange(name)
	case x.Internal:
		return errorf(wire.CodeAccessRefused, "cannot publish to internal %s", ExchangeText(name))
	}
	return nil
}

// Route appends the queues that a message goes to, each once, to dst. It reports
// false if there is no such exchange.
func (t *Table[Q]) Route(dst []Q, m Message) ([]Q, bool) {
	if m.Exchange == "" {
		return t.routeDefault(dst, m), true
	}
	x, ok := t.exchanges.get(m.Exchange)
	if !ok {
		return dst, false
	}
	w := walk[Q]{table: t, message: m, base: len(dst), dst: dst}
	w.visit(x)
	for len(w.ahead) > 0 {
		last := len(w.ahead) - 1
		x := w.ahead[last]
		w.ahead = w.ahead[:last]
		w.visit(x)
	}
	return w.dst, true
}

// routeDefault routes by the name of the queue. RabbitMQ does so only for what is
// published to the default exchange: as an alternate exchange it has no bindings.
func (t *Table[Q]) routeDefault(dst []Q, m Message) []Q {
	base := len(dst)
	if q, ok := t.queues.get(m.Key); ok {
		dst = append(dst, q.value)
	}
	for _, key := range m.More {
		if q, ok := t.queues.get(key); ok && !slices.Contains(dst[base:], q.value) {
			dst = append(dst, q.value)
		}
	}
	return dst
}

// walk is the way of one message through exchanges that are bound to one another.
type walk[Q comparable] struct {
	table   *Table[Q]
	message Message
	dst     []Q
	base    int // what is before it in dst is the caller's

	ahead []*exchange[Q] // to be visited
	seen  []string       // all that were in ahead
	has   map[Q]struct{} // the queues in dst, when they are many
}

func (w *walk[Q]) visit(x *exchange[Q]) {
	matched := false
	switch x.Type {
	case Direct:
		matched = w.direct(x)
	case Fanout:
		matched = w.follow(x.all)
	case Topic:
		matched = w.topic(x)
	case Headers:
		for _, m := range x.matches.all() {
			if m.match(w.message.Headers) {
				matched = true
				w.reach(&m.to)
			}
		}
	}
	if !matched && x.hasAlternate {
		w.exchange(x.alternate)
	}
}

func (w *walk[Q]) direct(x *exchange[Q]) (matched bool) {
	ts, _ := x.keys.get(w.message.Key)
	matched = w.follow(ts)
	for _, key := range w.message.More {
		ts, _ := x.keys.get(key)
		matched = w.follow(ts) || matched
	}
	return matched
}

func (w *walk[Q]) topic(x *exchange[Q]) (matched bool) {
	var space [8]targets[Q]
	found := x.words.match(space[:0], w.message.Key)
	for _, key := range w.message.More {
		found = x.words.match(found, key)
	}
	for _, ts := range found {
		matched = w.follow(ts) || matched
	}
	return matched
}

// follow goes to all targets, and reports whether there are any.
func (w *walk[Q]) follow(ts targets[Q]) bool {
	if ts.root == nil {
		return false
	}
	// The targets are different ones: if they are the first there is no need to look
	// whether a queue is in dst already.
	w.followNode(ts.root, len(w.dst) == w.base)
	return true
}

func (w *walk[Q]) followNode(n *node[counted[Q]], first bool) {
	for i := range n.slots {
		s := &n.slots[i]
		if s.down != nil {
			w.followNode(s.down, first)
		} else if _, ok := s.val.toExchange(); first && !ok {
			w.dst = append(w.dst, s.val.queue)
		} else {
			w.reach(&s.val.target)
		}
	}
}

func (w *walk[Q]) reach(t *target[Q]) {
	if name, ok := t.toExchange(); ok {
		w.exchange(name)
	} else if !w.reached(t.queue) {
		w.dst = append(w.dst, t.queue)
	}
}

// exchange puts an exchange ahead if it is new to the message.
func (w *walk[Q]) exchange(name string) {
	if name == w.message.Exchange || slices.Contains(w.seen, name) {
		return
	}
	if x, ok := w.table.exchanges.get(name); ok {
		w.seen = append(w.seen, name)
		w.ahead = append(w.ahead, x)
	}
}

// fewQueues is up to how many queues comparing with each is quicker than a map.
const fewQueues = 32

// reached reports whether a queue is in dst. If it is not it is put there next.
func (w *walk[Q]) reached(q Q) bool {
	queues := w.dst[w.base:]
	if len(queues) <= fewQueues {
		return slices.Contains(queues, q)
	}
	if w.has == nil {
		w.has = make(map[Q]struct{}, 2*len(queues))
	}
	// What follow appended since is not in the map yet.
	for i := len(w.has); i < len(queues); i++ {
		w.has[queues[i]] = struct{}{}
	}
	_, ok := w.has[q]
	return ok
}

// Keys returns the routing keys in the headers CC and BCC of a message, whose
// encoded fields it is given. The error is about a value that is not an array.
func Keys(headers []byte) (cc, bcc []string, err error) {
	if cc, err = keys(headers, "CC"); err == nil {
		bcc, err = keys(headers, "BCC")
	}
	return cc, bcc, err
}

func keys(headers []byte, name string) ([]string, error) {
	v, ok := wire.FindField(headers, name)
	if !ok {
		return nil, nil
	}
	array, ok := v.([]any)
	if !ok {
		return nil, errorf(wire.CodePreconditionFailed,
			`invalid message: {unacceptable_type_in_header,"%s",%s}`, name, wire.TypeName(v))
	}
	var keys []string
	for _, v := range array {
		if key, ok := v.(string); ok {
			keys = append(keys, key)
		}
	}
	return keys, nil
}
