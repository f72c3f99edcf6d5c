package fakebroker_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/fakebroker"
	"github.com/magne-actors/magne-actors/internal/ladder"
)

// TestDelay: the ladder takes as long as it says and adds what dead-lettering adds.
func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := fakebroker.New()
		s, err := b.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Apply(t.Context(), ladder.Topology()); err != nil {
			t.Fatal(err)
		}
		c, err := s.Consume(t.Context(), broker.Source{Queue: broker.Queue{Name: "work"}, Credit: 10})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		for _, delay := range []time.Duration{time.Hour, 0, time.Minute} {
			p := &broker.Publication{Body: []byte(delay.String())}
			p.Exchange, p.RoutingKey = ladder.Route(delay, "work")
			if err := broker.PublishAndWait(t.Context(), s, p); err != nil {
				t.Fatal(err)
			}
			if p.Headers != nil {
				t.Errorf("the publication was changed: %v", p.Headers)
			}
		}
		if n := b.Delayed(); n != 2 {
			t.Errorf("%d delayed, want 2", n)
		}
		for _, want := range []time.Duration{0, time.Minute, time.Hour} {
			d := <-c.Deliveries()
			if string(d.Body) != want.String() || time.Since(begin) != want || d.Exchange != ladder.DeliverExchange {
				t.Errorf("got %s from %s after %v, want %v", d.Body, d.Exchange, time.Since(begin), want)
			}
			if (d.Headers["x-death"] != nil) != (want > 0) {
				t.Errorf("%v: headers %v", want, d.Headers)
			}
		}
	})
}
