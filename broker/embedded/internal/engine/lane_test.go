package engine

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A sorted slice of what is ready does the same.
func TestLane(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := lane{next: 1}
		var wanted, away []uint64
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				seq, ent := l.head()
				if (ent == nil) != (len(wanted) == 0) || ent != nil && seq != wanted[0] {
					t.Fatalf("got head %d, want %v", seq, wanted)
				}
				n := 0
				for range l.all() {
					n++
				}
				if n != len(wanted)+len(away) {
					t.Fatalf("got %d entries, want %d", n, len(wanted)+len(away))
				}
			},
			"add": func(t *rapid.T) {
				for range rapid.IntRange(1, 100).Draw(t, "n") {
					wanted = append(wanted, l.add(entry{}))
				}
			},
			"leave": func(t *rapid.T) {
				to := rapid.SampledFrom([]state{gone, out}).Draw(t, "to")
				for range rapid.IntRange(1, 100).Draw(t, "n") {
					seq, ent := l.head()
					if ent == nil {
						return
					}
					if l.leave(seq, ent, to); to == out {
						away = append(away, seq)
					}
					wanted = wanted[1:]
				}
			},
			"back": func(t *rapid.T) {
				if len(away) == 0 {
					return
				}
				i := rapid.IntRange(0, len(away)-1).Draw(t, "i")
				seq := away[i]
				away = slices.Delete(away, i, i+1)
				if rapid.Bool().Draw(t, "remove") {
					l.at(seq).setState(gone)
					l.remove(seq)
					return
				}
				l.giveBack(seq, l.at(seq))
				at, _ := slices.BinarySearch(wanted, seq)
				wanted = slices.Insert(wanted, at, seq)
			},
		})
	})
}

func TestLaneGivesMemoryBack(t *testing.T) {
	l := lane{next: 1}
	seq := l.add(entry{}) // stays long
	l.leave(seq, l.at(seq), out)
	for range 100_000 {
		seq := l.add(entry{})
		l.leave(seq, l.at(seq), gone)
	}
	n := 0
	for _, c := range l.chunks {
		if c.entries != nil {
			n++
		}
	}
	if n != 2 {
		t.Errorf("got %d chunks, want that of the old message and the last", n)
	}
	l.at(seq).setState(gone)
	if l.remove(seq); len(l.chunks) != 1 {
		t.Errorf("got %d places for chunks, want 1", len(l.chunks))
	}
}

// The log may have an old message behind newer ones.
func TestLaneTakesAnOldMessage(t *testing.T) {
	l := lane{next: 1}
	for _, seq := range []uint64{1000, 1001, 3, 500} {
		l.put(seq, entry{})
	}
	for _, want := range []uint64{3, 500, 1000, 1001} {
		seq, ent := l.head()
		if seq != want {
			t.Fatalf("got %d, want %d", seq, want)
		}
		l.leave(seq, ent, gone)
	}
	if seq := l.add(entry{}); seq != 1002 {
		t.Errorf("got %d for the next message, want 1002", seq)
	}
}
