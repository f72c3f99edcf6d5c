package faults

// Wire is what was seen of the settling of deliveries, on all connections of an
// instance. A consumer's epoch is one AMQP channel: its delivery tags mean nothing
// on another.
type Wire struct {
	Delivered int `json:"delivered"` // basic.deliver
	Settled   int `json:"settled"`   // deliveries that an ack, nack or reject was the first for
	// Twice counts deliveries that were settled again on their channel.
	Twice int `json:"settled_twice"`
	// Foreign counts settlements of a tag that was never delivered on the channel:
	// one that belongs to another epoch.
	Foreign int `json:"settled_foreign"`
	// Refused counts channels that the broker closed with 406, which is how it
	// answers a tag that it does not know.
	Refused int `json:"closed_406"`
	// Garbled counts connections whose bytes were no AMQP any more.
	Garbled int `json:"garbled"`
}

// plus is the sum of two counts.
func (w Wire) plus(v Wire) Wire {
	w.Delivered += v.Delivered
	w.Settled += v.Settled
	w.Twice += v.Twice
	w.Foreign += v.Foreign
	w.Refused += v.Refused
	w.Garbled += v.Garbled
	return w
}

// tags is the state of one AMQP channel: which of its deliveries are not settled.
type tags struct {
	last uint64              // newest delivery tag
	open map[uint64]struct{} // delivered and not settled
	low  uint64              // all below are settled
}

func newTags() *tags { return &tags{open: map[uint64]struct{}{}, low: 1} }

func (t *tags) deliver(tag uint64, w *Wire) {
	w.Delivered++
	t.last = max(t.last, tag)
	t.open[tag] = struct{}{}
}

// settle takes one ack, nack or reject. With multiple it stands for all deliveries up to
// the tag that are open, and tag 0 for all of the channel; but the tag itself must be
// open, as RabbitMQ wants it.
func (t *tags) settle(tag uint64, multiple bool, w *Wire) {
	if multiple && tag == 0 {
		tag = t.last
	} else if _, open := t.open[tag]; !open {
		if tag == 0 || tag > t.last {
			w.Foreign++
		} else {
			w.Twice++
		}
	}
	if !multiple {
		if _, open := t.open[tag]; open {
			delete(t.open, tag)
			w.Settled++
		}
		return
	}
	for ; t.low <= min(tag, t.last); t.low++ {
		if _, open := t.open[t.low]; open {
			delete(t.open, t.low)
			w.Settled++
		}
	}
}
