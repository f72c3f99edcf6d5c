package brokertest

import (
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/magne-actors/magne-actors/broker"
)

var settleCases = []testCase{
	{name: "Verdicts", run: testVerdicts},
	{name: "OutOfOrder", run: testOutOfOrder},
	{name: "OneSlow", run: testOneSlow},
	{name: "Random", run: testRandom},
	{name: "SettleConcurrently", run: testSettleConcurrently},
	{name: "NotADelivery", run: testNotADelivery},
	{name: "SettledIsExact", run: testSettledIsExact},
	{name: "SettledAtDeath", run: testSettledAtDeath},
}

func testVerdicts(e *env) {
	s, q := e.dial(), e.queue()
	c := e.consume(s, broker.Source{Queue: q, Credit: 10})
	e.publish(s, q, "acked", "requeued", "rejected", "failed", "kept")
	got := e.receive(c, 5)
	for i, v := range []broker.Verdict{broker.Ack, broker.Requeue, broker.Reject, broker.Failed} {
		e.settle(c, v, got[i])
	}
	for _, again := range e.receive(c, 2) {
		if s := string(again.Body); s != "requeued" && s != "failed" || !again.Redelivered {
			e.Errorf("got %q, redelivered %v; want requeued and failed, true", again.Body, again.Redelivered)
		}
	}
	e.close(c)
	e.wantOnly(s, q, "requeued", "failed", "kept")
}

// testOutOfOrder settles backwards, all but some, closes at once, and checks that
// what was settled stays so and what was not comes back: with a consumer that
// was cancelled before, as a graceful stop does it, and without.
func testOutOfOrder(e *env) {
	s, q := e.dial(), e.queue()
	for _, cancel := range []bool{false, true} {
		for range 5 {
			c := e.consume(s, broker.Source{Queue: q, Credit: 500})
			e.publish(s, q, numbered(500)...)
			got := e.receive(c, 500)
			if cancel {
				if err := c.Cancel(e.ctx); err != nil {
					e.Fatal(err)
				}
			}
			slices.Reverse(got)
			e.settle(c, broker.Ack, got[:450]...) // the younger ones
			e.close(c)
			e.wantOnly(s, q, texts(got[450:])...)
		}
	}
}

// testOneSlow shows that one delivery that is never settled does not hold up the
// others.
func testOneSlow(e *env) {
	s, q := e.dial(), e.queue()
	c := e.consume(s, broker.Source{Queue: q, Credit: 10})
	e.publish(s, q, numbered(2000)...)
	slow := e.receive(c, 1)[0]
	for range 1999 {
		e.settle(c, broker.Ack, e.receive(c, 1)...)
	}
	e.close(c)
	e.wantOnly(s, q, string(slow.Body))
}

// testRandom settles thousands of deliveries in random order with random
// verdicts, and counts: each message must be finished exactly once.
func testRandom(e *env) {
	const n = 6000
	s, q := e.dial(), e.queue()
	for _, credit := range []int{50, e.f.Credit} {
		c := e.consume(s, broker.Source{Queue: q, Credit: credit})
		published := make(chan error, n)
		go func() {
			for _, body := range numbered(n) {
				p := &broker.Publication{RoutingKey: q.Name, Body: []byte(body)}
				if err := s.Publish(e.ctx, p, func(err error) { published <- err }); err != nil {
					published <- err
				}
			}
		}()
		finished := map[string]int{}
		random := rand.New(rand.NewPCG(1, uint64(credit)))
		var running []*broker.Delivery
		for len(finished) < n {
			// Take one, or settle a random one; settle when there is none to take.
			if len(running) == 0 || len(running) < credit/2 && len(finished)+len(running) < n && random.IntN(2) == 0 {
				running = append(running, e.receive(c, 1)...)
				continue
			}
			i := random.IntN(len(running))
			d := running[i]
			running[i] = running[len(running)-1]
			running = running[:len(running)-1]
			v := broker.Verdict(1 + random.IntN(4))
			if e.settle(c, v, d); !v.Returns() {
				finished[string(d.Body)]++
			}
		}
		for range n {
			if err := wait(e, published, "a confirm"); err != nil {
				e.Fatal(err)
			}
		}
		e.close(c)
		for _, body := range slices.Sorted(maps.Keys(finished)) {
			if finished[body] != 1 {
				e.Errorf("credit %d: %s was finished %d times", credit, body, finished[body])
			}
		}
		e.wantOnly(s, q)
	}
}

// testSettleConcurrently settles from many goroutines, in whatever order comes.
func testSettleConcurrently(e *env) {
	const n = 20_000
	s, q := e.dial(), e.queue()
	var settled atomic.Int64
	c := e.consume(s, broker.Source{Queue: q, Credit: e.f.Credit, Settled: func(n int) { settled.Add(int64(n)) }})
	var wg sync.WaitGroup
	var left atomic.Int64
	left.Store(n)
	all := make(chan struct{})
	for range 16 {
		wg.Go(func() {
			for d := range c.Deliveries() {
				if err := c.Settle(d.Tag, broker.Ack); err != nil {
					e.Error(err)
				}
				if left.Add(-1) == 0 {
					close(all)
				}
			}
		})
	}
	e.publish(s, q, numbered(n)...)
	next(e, all, "all deliveries")
	e.close(c)
	wg.Wait()
	if got := settled.Load(); got != n {
		e.Errorf("Settled counted %d, want %d", got, n)
	}
	e.wantOnly(s, q)
}

// testNotADelivery settles what it never got. That is an error of the caller and
// must not harm the consumer.
func testNotADelivery(e *env) {
	s, q := e.dial(), e.queue()
	c := e.consume(s, broker.Source{Queue: q, Credit: 2})
	e.publish(s, q, "one", "two")
	got := e.receive(c, 2)
	for _, tag := range []uint64{0, got[1].Tag + 1, 1 << 63} {
		if err := c.Settle(tag, broker.Ack); err == nil {
			e.Errorf("settled the tag %#x, which was never delivered", tag)
		}
	}
	if err := c.Settle(got[0].Tag, broker.Verdict(0)); err == nil {
		e.Error("settled with a verdict that does not exist")
	}
	if err := c.Settle(got[0].Tag, broker.Failed+1); err == nil {
		e.Error("settled with a verdict that is none yet")
	}
	e.settle(c, broker.Ack, got...)
	e.close(c)
	e.wantOnly(s, q)
}

// testSettledIsExact checks the count after a flush.
func testSettledIsExact(e *env) {
	s, q := e.dial(), e.queue()
	var settled atomic.Int64
	c := e.consume(s, broker.Source{Queue: q, Credit: 30, Settled: func(n int) { settled.Add(int64(n)) }})
	e.publish(s, q, numbered(30)...)
	got := e.receive(c, 30)
	e.settle(c, broker.Ack, got[20:]...)
	e.settle(c, broker.Reject, got[10:15]...)
	e.settle(c, broker.Requeue, got[:4]...)
	again := e.receive(c, 4)
	e.settle(c, broker.Ack, again...)
	e.close(c)
	next(e, c.Done(), "the end of the consumer")
	if got := settled.Load(); got != 23 {
		e.Errorf("Settled counted %d, want 23", got)
	}
	left := append(slices.Clone(got[4:10]), got[15:20]...)
	e.wantOnly(s, q, texts(left)...)
}

// testSettledAtDeath closes consumers while they are settled: every Settle that
// was accepted must be counted, every other must have been refused as stale.
func testSettledAtDeath(e *env) {
	s, q := e.dial(), e.queue()
	e.declare(s, q)
	e.publish(s, q, numbered(1000)...)
	for round := range 10 {
		counts := make(chan int, 10_000)
		c := e.consume(s, broker.Source{Queue: q, Credit: 1000, Settled: func(n int) { counts <- n }})
		accepted := 0
		closed := make(chan struct{})
		for i, d := range e.receive(c, 100) {
			if i == 10*round {
				go func() {
					defer close(closed)
					if err := c.Close(e.ctx); err != nil {
						e.Error(err)
					}
				}()
			}
			switch err := c.Settle(d.Tag, broker.Requeue); err {
			case nil:
				accepted++
			default:
				e.wantError(err, broker.ErrStale)
			}
		}
		next(e, closed, "Close")
		for accepted > 0 {
			accepted -= wait(e, counts, "a call of Settled")
		}
		if accepted < 0 {
			e.Errorf("Settled counted %d too many", -accepted)
		}
	}
	e.wantOnly(s, q, numbered(1000)...)
}
