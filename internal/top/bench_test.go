package top

import (
	"fmt"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/supervisor"
)

// large is a screen with a tree of some 10,000 nodes.
func large(b *testing.B) *screen {
	b.Helper()
	s := newScreen(b, true, 120, 40)
	root := &supervisor.Node{ID: "root", Kind: "root", State: "up"}
	for p := range 10 {
		pool := &supervisor.Node{ID: fmt.Sprintf("pool:p%d", p), Kind: "pool", State: "up"}
		for i := range 1000 {
			n := int64(i)
			pool.Children = append(pool.Children, &supervisor.Node{ID: fmt.Sprintf("p%d/%d", p, i), Kind: "worker", State: "up", Running: &n, Handled: &n, Restarts: new(int64)})
		}
		root.Children = append(root.Children, pool)
	}
	s.cur.Root = root
	s.send(tick{})
	s.now = s.now.Add(time.Second)
	s.send(tick{})
	return s
}

// BenchmarkKey: a key and the screen after it, with 10,000 nodes.
func BenchmarkKey(b *testing.B) {
	s := large(b)
	keys := []string{"down", "pgdown", "end", "up", "home"}
	for i := 0; b.Loop(); i++ {
		s.pressed(keys[i%len(keys)])
		_ = s.View()
	}
}

// BenchmarkSample: the rates of a new snapshot with 10,000 nodes, and its list.
func BenchmarkSample(b *testing.B) {
	for _, order := range []string{"tree", "rate"} {
		b.Run(order, func(b *testing.B) {
			s := large(b)
			if order == "rate" {
				s.pressed("s", "s")
			}
			for b.Loop() {
				s.now = s.now.Add(time.Second)
				s.send(tick{})
			}
		})
	}
}
