package engine

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A plain slice does the same.
func TestUnsettled(t *testing.T) {
	q := &Queue{}
	rapid.Check(t, func(t *rapid.T) {
		var u unsettled
		var want []uint64
		tag := uint64(0)
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				if u.len() != len(want) {
					t.Fatalf("got %d, want %d", u.len(), len(want))
				}
				if oldest := u.oldest(); (oldest == nil) != (len(want) == 0) || oldest != nil && oldest.tag != want[0] {
					t.Fatalf("got oldest %v, want %v", oldest, want)
				}
			},
			"add": func(t *rapid.T) {
				for range rapid.IntRange(1, 100).Draw(t, "n") {
					tag += rapid.Uint64Range(1, 2).Draw(t, "step")
					u.add(pending{tag: tag, q: q})
					want = append(want, tag)
				}
			},
			"take": func(t *rapid.T) {
				which := rapid.Uint64Range(0, tag+1).Draw(t, "tag")
				if len(want) > 0 && rapid.Bool().Draw(t, "known") {
					which = want[rapid.IntRange(0, len(want)-1).Draw(t, "i")]
				}
				multiple := rapid.IntRange(0, 9).Draw(t, "multiple") == 0
				got, ok := u.take(nil, which, multiple)
				at, known := slices.BinarySearch(want, which)
				switch {
				case which == 0 && multiple:
					at = len(want) - 1
				case ok != known:
					t.Fatalf("tag %d: got %v, want %v", which, ok, known)
				case !known:
					return
				}
				first := at
				if multiple {
					first = 0
				}
				for i, p := range got {
					if p.tag != want[first+i] {
						t.Fatalf("got tag %d, want %d", p.tag, want[first+i])
					}
				}
				if len(got) != at+1-first {
					t.Fatalf("got %d, want %d", len(got), at+1-first)
				}
				want = slices.Delete(want, first, at+1)
			},
		})
	})
}

func TestUnsettledDoesNotGrow(t *testing.T) {
	var u unsettled
	u.add(pending{tag: 1, q: &Queue{}}) // stays
	for tag := uint64(2); tag < 100_000; tag++ {
		u.add(pending{tag: tag, q: &Queue{}})
		if tag > 10 {
			if _, ok := u.take(nil, tag-5, false); !ok {
				t.Fatal("not there")
			}
		}
	}
	if n := cap(u.items); n > 1000 {
		t.Errorf("got room for %d, want little", n)
	}
}
