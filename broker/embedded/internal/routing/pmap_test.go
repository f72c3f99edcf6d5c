package routing

import (
	"maps"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

func TestMapIsLikeAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type version struct {
			m    pmap[int]
			want map[string]int
		}
		versions := []version{{want: map[string]int{}}}
		for i := range rapid.IntRange(1, 200).Draw(t, "steps") {
			v := versions[rapid.IntRange(0, len(versions)-1).Draw(t, "version")]
			key := strconv.Itoa(rapid.IntRange(0, 50).Draw(t, "key"))
			next := version{want: maps.Clone(v.want)}
			if rapid.Bool().Draw(t, "set") {
				next.m = v.m.with(key, i)
				next.want[key] = i
			} else {
				next.m = v.m.without(key)
				delete(next.want, key)
			}
			versions = append(versions, next)
		}
		// Older versions have stayed what they were.
		for _, v := range versions {
			if got := maps.Collect(v.m.all()); !maps.Equal(got, v.want) || v.m.n != len(v.want) {
				t.Fatalf("got %v (%d), want %v", got, v.m.n, v.want)
			}
			for key := range 51 {
				key := strconv.Itoa(key)
				got, ok := v.m.get(key)
				if want, has := v.want[key]; got != want || ok != has {
					t.Fatalf("%s: got %v %v, want %v %v", key, got, ok, want, has)
				}
			}
		}
	})
}

// Where the bits of their hashes are used up keys are beside one another.
func TestMapWithEqualHashes(t *testing.T) {
	var root *node[int]
	keys := []string{"a", "b", "c"}
	for i, key := range keys {
		var added bool
		if root, added = root.with(7, maxShift, key, i); !added {
			t.Fatalf("%s: not added", key)
		}
	}
	if _, added := root.with(7, maxShift, "b", 9); added {
		t.Error("b was added twice")
	}
	root = root.without(7, maxShift, "b")
	got := map[string]int{}
	root.walk(func(k string, v int) bool { got[k] = v; return true })
	if want := map[string]int{"a": 0, "c": 2}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if root = root.without(7, maxShift, "a").without(7, maxShift, "c"); root != nil {
		t.Errorf("got %v, want nil", root)
	}
}
