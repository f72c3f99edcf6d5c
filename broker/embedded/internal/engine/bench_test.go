package engine_test

import (
	"sync"
	"testing"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/engine"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// sink is an Out and a Confirmer that only counts.
type sink struct {
	mu       sync.Mutex
	cond     sync.Cond
	got      uint64 // last tag
	confirms int
}

func newSink() *sink {
	s := &sink{}
	s.cond.L = &s.mu
	return s
}

func (s *sink) Deliver(d *engine.Delivery) {
	s.mu.Lock()
	s.got = d.Tag
	s.mu.Unlock()
	s.cond.Signal()
}
func (s *sink) Cancelled(string) {}
func (s *sink) Writable() bool   { return true }
func (s *sink) Confirmed(uint64, bool) {
	s.mu.Lock()
	s.confirms++
	s.mu.Unlock()
	s.cond.Signal()
}

func (s *sink) awaitConfirms(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.confirms < n {
		s.cond.Wait()
	}
}

func (s *sink) awaitTag(n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.got < n {
		s.cond.Wait()
	}
}

func benchmarks(b *testing.B, run func(b *testing.B, o engine.Options)) {
	b.Run("memory", func(b *testing.B) { run(b, engine.Options{}) })
	b.Run("disk", func(b *testing.B) { run(b, engine.Options{Dir: b.TempDir()}) })
	b.Run("bodies on disk", func(b *testing.B) { run(b, engine.Options{Dir: b.TempDir(), BodyMemory: -1}) })
}

const window = 1000

func BenchmarkPublishConfirm(b *testing.B) {
	benchmarks(b, func(b *testing.B, o engine.Options) {
		e, s := open(b, o), newSink()
		c := connect(b, e)
		c.declare("q", nil)
		p := message(b, "", "q", wire.Properties{DeliveryMode: wire.Persistent}, string(make([]byte, 100)))
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			m := *p
			if _, err := e.Publish(&m, s, uint64(n), ""); err != nil {
				b.Fatal(err)
			}
			if n++; n%100 == 0 {
				s.awaitConfirms(n - window)
			}
		}
		s.awaitConfirms(n)
		b.StopTimer()
		if _, err := e.Purge(c.owner, "q"); err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkDeliverAck(b *testing.B) {
	benchmarks(b, func(b *testing.B, o engine.Options) {
		const n = 200_000
		e, s := open(b, o), newSink()
		c := connect(b, e)
		c.declare("q", nil)
		refill := func() {
			b.StopTimer()
			fill(b, e, s, n)
			b.StartTimer()
		}
		ch := e.NewChannel(c.owner, s)
		defer ch.Close()
		ch.Qos(window, false)
		refill()
		if err := ch.Consume(engine.ConsumeSpec{Queue: "q"}, func(string) {}); err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		tag := uint64(0)
		for b.Loop() {
			if tag++; tag%n == 0 {
				refill()
			}
			s.awaitTag(tag)
			if err := ch.Ack(tag, false); err != nil {
				b.Fatal(err)
			}
		}
	})
}
