package routing_test

import (
	"fmt"
	"testing"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/routing"
)

func TestRouteAllocatesNothing(t *testing.T) {
	tb := bind(t, queues("q"), routing.Binding{Source: "amq.direct", Destination: "q", Key: "k"})
	dst := make([]string, 0, 4)
	for _, m := range []routing.Message{{Key: "q"}, {Exchange: "amq.direct", Key: "k"}} {
		if n := testing.AllocsPerRun(100, func() { dst, _ = tb.Route(dst[:0], m) }); n != 0 || len(dst) != 1 {
			t.Errorf("%v: %v allocations, %v", m, n, dst)
		}
	}
}

func BenchmarkRoute(b *testing.B) {
	tb := routing.New[string]()
	for i := range 10_000 {
		name := fmt.Sprint("q", i)
		tb = tb.AddQueue(name, name, true)
		tb = bind(b, tb, routing.Binding{Source: "amq.direct", Destination: name, Key: name})
		tb = bind(b, tb, routing.Binding{Source: "amq.topic", Destination: name, Key: "*." + name + ".#"})
	}
	for name, m := range map[string]routing.Message{
		"default": {Key: "q77"},
		"direct":  {Exchange: "amq.direct", Key: "q77"},
		"topic":   {Exchange: "amq.topic", Key: "a.q77.c"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			dst := make([]string, 0, 4)
			for b.Loop() {
				dst, _ = tb.Route(dst[:0], m)
			}
		})
	}
}

func BenchmarkBind(b *testing.B) {
	for _, x := range []string{"amq.direct", "amq.fanout", "amq.topic", "amq.headers"} {
		b.Run(x, func(b *testing.B) {
			for b.Loop() {
				tb := routing.New[string]()
				for i := range 10_000 {
					name := fmt.Sprint("q", i)
					tb = tb.AddQueue(name, name, true)
					tb = bind(b, tb, routing.Binding{Source: x, Destination: name, Key: name})
				}
			}
		})
	}
}
