package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/engine"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// inbox is an Out that queues what it gets for a goroutine, and is full now and
// then.
type inbox struct {
	mu       sync.Mutex
	cond     sync.Cond
	got      []delivery
	closed   bool
	capacity int
}

func newInbox(capacity int) *inbox {
	x := &inbox{capacity: capacity}
	x.cond.L = &x.mu
	return x
}

func (x *inbox) Deliver(d *engine.Delivery) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.got = append(x.got, kept(d))
	x.cond.Signal()
}
func (x *inbox) Cancelled(string) {}
func (x *inbox) Writable() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.got) < x.capacity
}

// next returns a delivery, and whether it made room.
func (x *inbox) next() (d delivery, room, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for len(x.got) == 0 && !x.closed {
		x.cond.Wait()
	}
	if len(x.got) == 0 {
		return delivery{}, false, false
	}
	d, x.got = x.got[0], x.got[1:]
	return d, len(x.got) == x.capacity-1, true
}

func (x *inbox) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.closed = true
	x.cond.Broadcast()
}

// Each confirmed message is acknowledged exactly once in the end, whatever
// consumers and others do meanwhile.
func TestStress(t *testing.T) {
	for name, o := range map[string]engine.Options{
		"memory": {}, "disk": {Dir: "."}, "bodies on disk": {Dir: ".", BodyMemory: -1, SegmentBytes: 16 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			if o.Dir != "" {
				o.Dir = t.TempDir()
			}
			s := &stress{t: t, e: open(t, o), acked: make([]atomic.Int32, 4*1000)}
			s.left.Store(int64(len(s.acked)))
			s.ctx, s.done = context.WithCancel(t.Context())
			defer s.done()
			s.run()
		})
	}
}

type stress struct {
	t     *testing.T
	e     *engine.Engine
	acked []atomic.Int32
	left  atomic.Int64
	ctx   context.Context // done when all is acknowledged
	done  context.CancelFunc
}

func (s *stress) run() {
	c := connect(s.t, s.e)
	dead := func(to string) wire.Table {
		return wire.Table{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": to}
	}
	c.declare("work", dead("retry"))
	retry := dead("work")
	retry["x-message-ttl"] = int32(1)
	c.declare("retry", retry)
	c.declare("copy", wire.Table{"x-max-length": int32(10)})
	for _, q := range []string{"work", "copy"} {
		c.must(s.e.BindQueue(c.owner, q, "amq.fanout", "", nil))
	}
	var helpers, consumers sync.WaitGroup
	for i := range 4 {
		helpers.Go(func() { s.publish(i * 1000) })
		consumers.Go(func() { s.consumeMuch(rand.New(rand.NewPCG(1, uint64(i)))) })
	}
	helpers.Go(s.disturb)
	helpers.Wait()
	consumers.Wait()
	for i := range s.acked {
		if n := s.acked[i].Load(); n != 1 {
			s.t.Fatalf("message %d was acknowledged %d times", i, n)
		}
	}
	for _, q := range s.e.Queues() {
		if q.Name != "copy" && q.Ready+q.Unacked+q.Persistent+q.InMemory != 0 {
			s.t.Errorf("got %+v, want it empty", q)
		}
	}
}

func (s *stress) publish(first int) {
	c := connect(s.t, s.e)
	for i := range 1000 {
		if i%2 == 0 {
			c.send("amq.fanout", "", persistent, fmt.Sprint(first+i))
		} else {
			c.send("", "work", persistent, fmt.Sprint(first+i))
		}
	}
	c.confirmed()
}

// consumeMuch opens channels, one after another, until all is acknowledged.
func (s *stress) consumeMuch(rng *rand.Rand) {
	for s.left.Load() > 0 {
		x := newInbox(1 + rng.IntN(20))
		owner := s.e.NewOwner()
		ch := s.e.NewChannel(owner, x)
		ch.Qos(uint16(rng.IntN(50)), rng.IntN(3) == 0)
		if err := ch.Consume(engine.ConsumeSpec{Queue: "work"}, func(string) {}); err != nil {
			s.t.Error(err)
			return
		}
		stop := context.AfterFunc(s.ctx, x.close)
		for range 1 + rng.IntN(500) {
			if !s.consumeOne(rng, ch, x) {
				break
			}
		}
		stop()
		ch.Close()
		owner.Close()
	}
}

func (s *stress) consumeOne(rng *rand.Rand, ch *engine.Channel, x *inbox) bool {
	d, room, ok := x.next()
	if !ok {
		return false
	}
	if room {
		ch.Resume()
	}
	var err error
	switch rng.IntN(20) {
	case 0, 1:
		err = ch.Nack(d.Tag, false, true)
	case 2:
		err = ch.Reject(d.Tag, false)
	case 3:
		return false // the channel is closed with what it has
	default:
		var i int
		fmt.Sscan(d.Body, &i)
		s.acked[i].Add(1)
		if err = ch.Ack(d.Tag, false); s.left.Add(-1) == 0 {
			s.done()
		}
	}
	if err != nil {
		s.t.Error(err)
	}
	return true
}

// disturb changes and reads what there is until all is acknowledged.
func (s *stress) disturb() {
	for i := 0; s.ctx.Err() == nil; i++ {
		c := connect(s.t, s.e)
		c.declareSpec(engine.QueueSpec{Name: fmt.Sprint("other", i%3), Durable: true, AutoDelete: i%2 == 0})
		c.must(s.e.BindQueue(c.owner, fmt.Sprint("other", i%3), "amq.fanout", "", nil))
		c.consume(fmt.Sprint("other", i%3), "x")
		s.e.Stats()
		if i%5 == 0 {
			if _, err := s.e.Purge(c.owner, "copy"); err != nil {
				s.t.Error(err)
			}
		}
		c.ch.Overdue()
		c.close()
		if _, err := s.e.DeleteQueue(c.owner, fmt.Sprint("other", i%3), false, false); err != nil {
			s.t.Error(err)
		}
	}
}
