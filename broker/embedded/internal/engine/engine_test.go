package engine_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/engine"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// client is a connection with one channel that writes down what it is sent.
type client struct {
	t     testing.TB
	e     *engine.Engine
	owner *engine.Owner
	ch    *engine.Channel

	mu        sync.Mutex
	got       []delivery
	cancelled []string
	confirms  map[uint64]bool
	full      bool // not writable
	changed   chan struct{}
	seq       uint64
}

// delivery is a Delivery that may be kept.
type delivery struct {
	Consumer    string
	Tag         uint64
	Redelivered bool
	Exchange    string
	Key         string
	Body        string
	props       []byte
}

func (c *client) Deliver(d *engine.Delivery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got = append(c.got, kept(d))
	c.signal()
}

func kept(d *engine.Delivery) delivery {
	return delivery{d.ConsumerTag, d.Tag, d.Redelivered, d.Exchange, d.Key, string(d.Body), slices.Clone(d.Props)}
}

func (c *client) Cancelled(tag string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancelled = append(c.cancelled, tag)
	c.signal()
}

func (c *client) Writable() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.full
}

func (c *client) Confirmed(seq uint64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, twice := c.confirms[seq]; twice {
		c.t.Errorf("message %d was confirmed twice", seq)
	}
	c.confirms[seq] = ok
	c.signal()
}

func (c *client) signal() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// await waits until ready reports true under the lock.
func (c *client) await(ready func() bool) {
	c.t.Helper()
	for {
		c.mu.Lock()
		ok := ready()
		c.mu.Unlock()
		if ok {
			return
		}
		<-c.changed
	}
}

func open(t testing.TB, o engine.Options) *engine.Engine {
	t.Helper()
	e, err := engine.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func connect(t testing.TB, e *engine.Engine) *client {
	c := &client{t: t, e: e, owner: e.NewOwner(), confirms: make(map[uint64]bool), changed: make(chan struct{}, 1)}
	c.ch = e.NewChannel(c.owner, c)
	return c
}

func (c *client) close() {
	c.ch.Close()
	c.owner.Close()
}

func (c *client) declare(name string, args wire.Table) {
	c.t.Helper()
	c.declareSpec(engine.QueueSpec{Name: name, Durable: true, Args: args})
}

func (c *client) declareSpec(s engine.QueueSpec) {
	c.t.Helper()
	if _, err := c.e.DeclareQueue(c.owner, s, false); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) publish(queue string, bodies ...string) {
	c.t.Helper()
	for _, b := range bodies {
		c.send("", queue, wire.Properties{DeliveryMode: wire.Persistent}, b)
	}
}

// send publishes with a confirm and returns its number.
func (c *client) send(exchange, key string, p wire.Properties, body string) uint64 {
	c.t.Helper()
	c.seq++
	if routed, err := c.e.Publish(message(c.t, exchange, key, p, body), c, c.seq, "guest"); err != nil || !routed {
		c.t.Fatalf("publish to %q %q: got routed %v, error %v", exchange, key, routed, err)
	}
	return c.seq
}

func message(t testing.TB, exchange, key string, p wire.Properties, body string) *engine.Publish {
	t.Helper()
	raw, err := p.AppendRaw(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &engine.Publish{Exchange: exchange, Key: key, Props: raw, Body: []byte(body)}
}

func (c *client) consume(queue, tag string, more ...func(*engine.ConsumeSpec)) {
	c.t.Helper()
	s := engine.ConsumeSpec{Queue: queue, Tag: tag}
	for _, f := range more {
		f(&s)
	}
	if err := c.ch.Consume(s, func(string) {}); err != nil {
		c.t.Fatal(err)
	}
}

// take returns the bodies that came since the last call.
func (c *client) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var bodies []string
	for _, d := range c.got {
		bodies = append(bodies, d.Body)
	}
	c.got = nil
	return bodies
}

// takeAll returns the deliveries that came since the last call.
func (c *client) takeAll() []delivery {
	c.mu.Lock()
	defer c.mu.Unlock()
	got := c.got
	c.got = nil
	return got
}

func (c *client) expect(want ...string) {
	c.t.Helper()
	if diff := cmp.Diff(want, c.take()); diff != "" {
		c.t.Errorf("delivered (-want +got):\n%s", diff)
	}
}

// get returns the body of one message, "" if there is none.
func (c *client) get(queue string) string {
	c.t.Helper()
	var body string
	_, err := c.ch.Get(queue, true, func(d *engine.Delivery) { body = string(d.Body) })
	if err != nil {
		c.t.Fatal(err)
	}
	return body
}

// drain gets all messages.
func (c *client) drain(queue string) []string {
	c.t.Helper()
	var all []string
	for {
		b := c.get(queue)
		if b == "" {
			return all
		}
		all = append(all, b)
	}
}

func (c *client) expectQueue(queue string, want ...string) {
	c.t.Helper()
	if diff := cmp.Diff(want, c.drain(queue)); diff != "" {
		c.t.Errorf("queue %s (-want +got):\n%s", queue, diff)
	}
}

func (c *client) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// refused checks the code and the text of an error.
func refused(t testing.TB, err error, want string) {
	t.Helper()
	e, ok := errors.AsType[*engine.Error](err)
	if !ok {
		t.Errorf("got error %v, want %s", err, want)
		return
	}
	if got := fmt.Sprint(e.Code, " ", e.Text); got != want {
		t.Errorf("got error %s, want %s", got, want)
	}
}

func info(t testing.TB, e *engine.Engine, queue string) engine.QueueInfo {
	t.Helper()
	for _, q := range e.Queues() {
		if q.Name == queue {
			return q
		}
	}
	t.Fatalf("there is no queue %s", queue)
	return engine.QueueInfo{}
}
