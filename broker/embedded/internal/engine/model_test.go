package engine_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/engine"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/store"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// model is what a broker is said to do, in the plainest way: each message is ready,
// out or gone, and what is ready is in the order of priority and publishing.
type model struct {
	t       *rapid.T
	tb      *testing.T
	options engine.Options
	e       *engine.Engine
	owner   *engine.Owner

	queues   []*modelQueue
	channels []*modelChannel
	next     int // number of the next message and consumer
}

type modelQueue struct {
	name  string
	ready []*modelMessage // in order
	out   int
}

type modelMessage struct {
	id, priority int
	redelivered  bool
	durable      bool
	queue        *modelQueue
}

func (q *modelQueue) add(m *modelMessage) {
	i, _ := slices.BinarySearchFunc(q.ready, m, func(a, b *modelMessage) int {
		if a.priority != b.priority {
			return b.priority - a.priority
		}
		return a.id - b.id
	})
	q.ready = slices.Insert(q.ready, i, m)
}

// modelChannel is an Out that holds what it is sent against the model.
type modelChannel struct {
	m         *model
	ch        *engine.Channel
	tags      []uint64
	unsettled map[uint64]*modelMessage
	by        map[uint64]*modelConsumer // of unsettled
	consumers map[string]*modelConsumer
	prefetch  int
	limit     int
	full      bool
	lastTag   uint64
}

type modelConsumer struct {
	tag      string
	queue    *modelQueue
	noAck    bool
	prefetch int
	out      int
}

func (c *modelConsumer) credit() bool { return c.noAck || c.prefetch == 0 || c.out < c.prefetch }

func (c *modelChannel) room() bool {
	n := 0
	for _, by := range c.by {
		if by != nil {
			n++
		}
	}
	return !c.full && (c.limit == 0 || n < c.limit)
}

func (c *modelChannel) Deliver(d *engine.Delivery) {
	by := c.consumers[d.ConsumerTag]
	if by == nil {
		c.m.t.Fatalf("delivery to consumer %q, which there is not", d.ConsumerTag)
	}
	if !by.credit() || !c.room() {
		c.m.t.Fatalf("delivery to consumer %q, which has no credit", d.ConsumerTag)
	}
	c.receive(by.queue, d, by, by.noAck)
}

func (c *modelChannel) receive(q *modelQueue, d *engine.Delivery, by *modelConsumer, noAck bool) {
	if d.Tag != c.lastTag+1 {
		c.m.t.Fatalf("got tag %d after %d", d.Tag, c.lastTag)
	}
	c.lastTag = d.Tag
	if len(q.ready) == 0 {
		c.m.t.Fatalf("delivery of %s from %s, where nothing is ready", d.Body, q.name)
	}
	head := q.ready[0]
	q.ready = q.ready[1:]
	got, want := fmt.Sprintf("%s %v", d.Body, d.Redelivered), fmt.Sprintf("%d %v", head.id, head.redelivered)
	if got != want {
		c.m.t.Fatalf("got %s from %s, want %s", got, q.name, want)
	}
	if noAck {
		return
	}
	q.out++
	c.tags = append(c.tags, d.Tag)
	c.unsettled[d.Tag], c.by[d.Tag] = head, by
	if by != nil {
		by.out++
	}
}

func (c *modelChannel) Cancelled(tag string) { delete(c.consumers, tag) }
func (c *modelChannel) Writable() bool       { return !c.full }

// settle removes deliveries from the model and returns them.
func (c *modelChannel) settle(tags []uint64, back bool) {
	for _, tag := range tags {
		m, by := c.unsettled[tag], c.by[tag]
		delete(c.unsettled, tag)
		delete(c.by, tag)
		m.queue.out--
		if by != nil {
			by.out--
		}
		if back {
			m.redelivered = true
			m.queue.add(m)
		}
	}
	c.tags = slices.DeleteFunc(c.tags, func(tag uint64) bool { return slices.Contains(tags, tag) })
}

func (m *model) must(err error) {
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *model) open() {
	e, err := engine.Open(m.options)
	m.must(err)
	m.e, m.owner, m.channels = e, e.NewOwner(), nil
}

func (m *model) channel() *modelChannel {
	if len(m.channels) == 0 {
		m.OpenChannel()
	}
	return m.channels[rapid.IntRange(0, len(m.channels)-1).Draw(m.t, "channel")]
}

func (m *model) queue() *modelQueue {
	return m.queues[rapid.IntRange(0, len(m.queues)-1).Draw(m.t, "queue")]
}

func (m *model) OpenChannel() {
	c := &modelChannel{
		m: m, unsettled: map[uint64]*modelMessage{}, by: map[uint64]*modelConsumer{}, consumers: map[string]*modelConsumer{},
	}
	c.ch = m.e.NewChannel(m.owner, c)
	m.channels = append(m.channels, c)
}

func (m *model) CloseChannel() {
	c := m.channel()
	m.channels = slices.DeleteFunc(m.channels, func(d *modelChannel) bool { return d == c })
	clear(c.consumers)
	c.settle(slices.Clone(c.tags), true)
	c.ch.Close()
}

func (m *model) Publish() {
	targets := []*modelQueue{m.queue()}
	exchange, key := "", targets[0].name
	if rapid.IntRange(0, 4).Draw(m.t, "fanout") == 0 {
		exchange, key, targets = "amq.fanout", "", m.queues
	}
	mode := rapid.SampledFrom([]uint8{wire.Persistent, wire.Persistent, wire.Transient}).Draw(m.t, "mode")
	m.next++
	priority := rapid.IntRange(0, 3).Draw(m.t, "priority")
	for _, q := range targets {
		effective := min(priority, 2)
		if q.name == "plain" {
			effective = 0
		}
		q.add(&modelMessage{id: m.next, priority: effective, durable: mode == wire.Persistent, queue: q})
	}
	p := message(m.tb, exchange, key, wire.Properties{DeliveryMode: mode, Priority: uint8(priority)}, fmt.Sprint(m.next))
	routed, err := m.e.Publish(p, nil, 0, "")
	m.must(err)
	if !routed {
		m.t.Fatal("not routed")
	}
}

func (m *model) Consume() {
	c := m.channel()
	m.next++
	by := &modelConsumer{
		tag: fmt.Sprint("c", m.next), queue: m.queue(), prefetch: c.prefetch,
		noAck: rapid.IntRange(0, 5).Draw(m.t, "noAck") == 0,
	}
	started := func(tag string) { c.consumers[tag] = by }
	m.must(c.ch.Consume(engine.ConsumeSpec{Queue: by.queue.name, Tag: by.tag, NoAck: by.noAck}, started))
}

func (m *model) Cancel() {
	c := m.channel()
	if len(c.consumers) == 0 {
		return
	}
	tag := slices.Min(slices.Collect(maps.Keys(c.consumers)))
	delete(c.consumers, tag)
	c.ch.Cancel(tag)
}

func (m *model) Qos() {
	c := m.channel()
	n := rapid.IntRange(0, 4).Draw(m.t, "prefetch")
	global := rapid.Bool().Draw(m.t, "global")
	if c.limit = 0; global {
		c.limit = n
	} else {
		c.prefetch = n
	}
	c.ch.Qos(uint16(n), global)
}

func (m *model) Writable() {
	c := m.channel()
	if c.full = !c.full; !c.full {
		c.ch.Resume()
	}
}

func (m *model) Get() {
	c, q := m.channel(), m.queue()
	noAck := rapid.Bool().Draw(m.t, "noAck")
	empty := len(q.ready) == 0
	ok, err := c.ch.Get(q.name, noAck, func(d *engine.Delivery) { c.receive(q, d, nil, noAck) })
	m.must(err)
	if ok == empty {
		m.t.Fatalf("got a message: %v, want %v", ok, !empty)
	}
}

func (m *model) Settle() {
	c := m.channel()
	if len(c.tags) == 0 {
		return
	}
	i := rapid.IntRange(0, len(c.tags)-1).Draw(m.t, "tag")
	tag, tags := c.tags[i], c.tags[i:i+1]
	multiple := rapid.Bool().Draw(m.t, "multiple")
	if multiple {
		tags = c.tags[:i+1]
	}
	tags = slices.Clone(tags)
	switch rapid.IntRange(0, 2).Draw(m.t, "how") {
	case 0:
		c.settle(tags, false)
		m.must(c.ch.Ack(tag, multiple))
	case 1:
		c.settle(tags, false)
		m.must(c.ch.Nack(tag, multiple, false))
	case 2:
		c.settle(tags, true)
		m.must(c.ch.Nack(tag, multiple, true))
	}
	if err := c.ch.Ack(tag, false); err == nil {
		m.t.Fatalf("tag %d was settled twice", tag)
	}
}

func (m *model) Purge() {
	if rapid.IntRange(0, 3).Draw(m.t, "really") != 0 {
		return
	}
	q := m.queue()
	n, err := m.e.Purge(m.owner, q.name)
	m.must(err)
	if n != len(q.ready) {
		m.t.Fatalf("got %d purged, want %d", n, len(q.ready))
	}
	q.ready = nil
}

// Restart ends the process, in good order or without notice.
func (m *model) Restart() {
	if m.options.Dir == "" || rapid.IntRange(0, 3).Draw(m.t, "really") != 0 {
		return
	}
	crashed := rapid.Bool().Draw(m.t, "crash")
	for _, c := range m.channels {
		clear(c.consumers)
		c.settle(slices.Clone(c.tags), true)
		if !crashed {
			c.ch.Close()
		}
	}
	for _, q := range m.queues {
		q.ready = slices.DeleteFunc(q.ready, func(x *modelMessage) bool { return !x.durable })
	}
	dir := m.options.Dir
	if crashed {
		settled(m.tb, m.e, m.owner)
		m.options.Dir = m.tb.TempDir()
		m.must(os.CopyFS(m.options.Dir, os.DirFS(dir)))
	}
	m.must(m.e.Close())
	m.open()
}

// Check compares the counts, and looks for messages that somebody should have got.
func (m *model) Check() {
	for _, q := range m.queues {
		for _, got := range m.e.Queues() {
			if got.Name == q.name && (got.Ready != len(q.ready) || got.Unacked != q.out) {
				m.t.Fatalf("%s: got %d ready, %d unacked, want %d and %d", q.name, got.Ready, got.Unacked, len(q.ready), q.out)
			}
		}
		for _, c := range m.channels {
			for _, by := range c.consumers {
				if by.queue == q && len(q.ready) > 0 && by.credit() && c.room() {
					m.t.Fatalf("%s: %d messages are ready, and so is %s", q.name, len(q.ready), by.tag)
				}
			}
		}
	}
}

func TestModel(t *testing.T) {
	for name, options := range map[string]engine.Options{
		"memory": {}, "disk": {Dir: "."}, "bodies on disk": {Dir: ".", BodyMemory: -1, SegmentBytes: store.MinSegmentBytes},
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) { testModel(t, rt, options) })
		})
	}
}

func testModel(t *testing.T, rt *rapid.T, o engine.Options) {
	if o.Dir != "" {
		o.Dir = t.TempDir()
	}
	m := &model{t: rt, tb: t, options: o}
	m.open()
	defer func() { m.e.Close() }()
	for _, name := range []string{"plain", "priorities"} {
		args := wire.Table{}
		if name == "priorities" {
			args["x-max-priority"] = int32(2)
		}
		_, err := m.e.DeclareQueue(m.owner, engine.QueueSpec{Name: name, Durable: true, Args: args}, false)
		m.must(err)
		m.must(m.e.BindQueue(m.owner, name, "amq.fanout", "", nil))
		m.queues = append(m.queues, &modelQueue{name: name})
	}
	act := func(f func()) func(*rapid.T) { return func(*rapid.T) { f() } }
	rt.Repeat(map[string]func(*rapid.T){
		"":             func(*rapid.T) { m.Check() },
		"publish":      act(m.Publish),
		"publish more": act(func() { m.Publish(); m.Publish(); m.Publish() }),
		"consume":      act(m.Consume),
		"cancel":       act(m.Cancel),
		"qos":          act(m.Qos),
		"writable":     act(m.Writable),
		"get":          act(m.Get),
		"settle":       act(m.Settle),
		"settle more":  act(m.Settle),
		"purge":        act(m.Purge),
		"open":         act(m.OpenChannel),
		"close":        act(m.CloseChannel),
		"restart":      act(m.Restart),
	})
}
