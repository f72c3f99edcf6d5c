package embedded

import (
	"testing"

	"pgregory.net/rapid"
)

// TestWindow: whatever the order in which messages are settled and told, a
// client that counts as amqp091-go and pika do learns each outcome once.
func TestWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := window{first: 1}
		var published uint64
		settled, told := map[uint64]bool{}, map[uint64]bool{}
		pending := []uint64{}
		flush := func() {
			w.flush(func(seq uint64, ok, multiple bool) {
				first := seq
				if multiple {
					for first = 1; ; first++ { // what is not told yet up to seq
						if _, done := told[first]; !done {
							break
						}
					}
				}
				for n := first; n <= seq; n++ {
					outcome, ok2 := settled[n]
					if _, done := told[n]; done || !ok2 || outcome != ok {
						t.Fatalf("told %d (multiple %v, ok %v): told %v before, settled %v as %v", seq, multiple, ok, done, ok2, outcome)
					}
					told[n] = ok
				}
			})
			if len(told) != len(settled) {
				t.Fatalf("told %d of %d", len(told), len(settled))
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"publish": func(*rapid.T) { w.publish(); published++; pending = append(pending, published) },
			"settle": func(t *rapid.T) {
				if len(pending) == 0 {
					t.Skip("nothing to settle")
				}
				i := rapid.IntRange(0, min(len(pending), 5)-1).Draw(t, "which")
				ok := rapid.IntRange(0, 3).Draw(t, "ok") > 0
				w.settle(pending[i], ok)
				w.settle(pending[i], !ok) // a second time means nothing
				settled[pending[i]] = ok
				pending = append(pending[:i], pending[i+1:]...)
			},
			"flush": func(*rapid.T) { flush() },
		})
		flush()
	})
}

// TestWindowCoalesces: a run in order is one method, and the memory comes back.
func TestWindowCoalesces(t *testing.T) {
	w := window{first: 1}
	for range 100_000 {
		w.publish()
	}
	for seq := uint64(100_000); seq > 0; seq-- {
		w.settle(seq, true)
	}
	calls := 0
	w.flush(func(seq uint64, ok, multiple bool) {
		if calls++; seq != 100_000 || !ok || !multiple {
			t.Errorf("told %d %v %v", seq, ok, multiple)
		}
	})
	if calls != 1 || w.state != nil || w.first != 100_001 {
		t.Errorf("%d calls, %d left, first %d", calls, len(w.state), w.first)
	}
	w.settle(7, false)       // long told
	w.settle(100_001, false) // not published
	w.flush(func(seq uint64, _, _ bool) { t.Errorf("told %d", seq) })
}
