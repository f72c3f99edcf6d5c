package rabbit43

import (
	"maps"
	"slices"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// queue is a quorum queue with a delivery limit.
type queue struct {
	name  string
	limit int // x-delivery-limit
	ready []*message
	dead  []*message // beyond the limit
}

type message struct {
	props    wire.Properties
	body     string
	acquired int // x-acquired-count: how often it came back
	failed   int // x-delivery-count: how often it came back as a failure
}

// back returns a message to the queue.
func (q *queue) back(m *message, failed bool) {
	m.acquired++
	if failed {
		m.failed++
	}
	if m.failed > q.limit {
		q.dead = append(q.dead, m)
		return
	}
	q.ready = append([]*message{m}, q.ready...)
}

// channel is what the broker knows of one.
type channel struct {
	conn      *conn
	id        uint16
	closing   bool   // by us, and the client has not answered yet
	last      uint64 // delivery tag
	unsettled map[uint64]*held
	late      map[uint64]bool // tags that were taken back
	consumers map[string]*consumer
	prefetch  int
	published uint64 // with confirms
	publish   *wire.BasicPublish
	header    wire.ContentHeader
	body      []byte
}

type consumer struct {
	ch        *channel
	tag       string
	q         *queue
	prefetch  int
	held      int
	suspended bool // a delivery was late
	cancelled bool // by the client
}

type held struct {
	m  *message
	by *consumer
}

// deliver hands out what it can.
func (p *peer) deliver(q *queue) {
	for c := range p.consumersOf(q) {
		for len(q.ready) > 0 && c.held < c.prefetch && !c.suspended && !c.cancelled {
			m := q.ready[0]
			q.ready = q.ready[1:]
			c.ch.last++
			c.ch.unsettled[c.ch.last] = &held{m, c}
			c.held++
			c.ch.conn.deliver(c, m)
		}
	}
}

// back returns deliveries, the last first, so that they are in their order again.
func (p *peer) back(ch *channel, tags []uint64, failed bool) {
	for _, tag := range slices.Backward(tags) {
		h := ch.unsettled[tag]
		delete(ch.unsettled, tag)
		h.by.held--
		h.by.q.back(h.m, failed)
	}
	for _, q := range p.queues {
		p.deliver(q)
	}
}

// end is that of a channel: what is unsettled on it was not, by its consumer's failure.
func (p *peer) end(ch *channel) {
	delete(ch.conn.channels, ch.id)
	tags := slices.Sorted(maps.Keys(ch.unsettled))
	ch.consumers = nil
	p.back(ch, tags, true)
}

// collect returns the unsettled tags that a settlement is for; not ok when it is for
// one that the broker does not know.
func (ch *channel) collect(tag uint64, multiple bool) (tags []uint64, ok bool) {
	switch {
	case multiple && tag == 0:
		return slices.Sorted(maps.Keys(ch.unsettled)), true
	case ch.unsettled[tag] == nil:
		return nil, ch.late[tag]
	case !multiple:
		return []uint64{tag}, true
	}
	for t := range ch.unsettled {
		if t <= tag {
			tags = append(tags, t)
		}
	}
	slices.Sort(tags)
	return tags, true
}

// forget drops settled deliveries.
func (p *peer) forget(ch *channel, tags []uint64) {
	for _, tag := range tags {
		h := ch.unsettled[tag]
		delete(ch.unsettled, tag)
		h.by.held--
		p.acked = append(p.acked, h.m.body)
		p.deliver(h.by.q)
	}
}

// late has the delivery of a message be too late.
func (p *peer) late(body string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.change()
	for c := range p.conns {
		for _, ch := range c.channels {
			for tag, h := range ch.unsettled {
				if h.m.body == body {
					p.lateOn(ch, tag, h)
					return
				}
			}
		}
	}
	p.t.Errorf("%q is not unsettled anywhere", body)
}

func (p *peer) lateOn(ch *channel, tag uint64, h *held) {
	if h.by.cancelled || !ch.conn.notify {
		ch.close(wire.CodePreconditionFailed, "delivery acknowledgement on channel timed out")
		return
	}
	ch.late[tag] = true
	h.by.suspended = true
	ch.conn.send(ch.id, &wire.BasicCancel{ConsumerTag: h.by.tag, NoWait: true})
	p.back(ch, []uint64{tag}, false)
}
