package control

import (
	"testing"

	"pgregory.net/rapid"
)

// TestRing: whatever is put in, the newest that the bounds allow are kept, in
// order and without a gap, and whoever waits for more is woken by it.
func TestRing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const count, limit = 5, 20
		var r ring[int]
		sizes := []int{0} // of entry n at n
		for range rapid.IntRange(0, 40).Draw(t, "entries") {
			size := rapid.IntRange(0, 30).Draw(t, "size")
			old, waiting := r.more(0), r.more(uint64(len(sizes)-1))
			if isClosed(waiting) || isClosed(old) != (len(sizes) > 1) {
				t.Fatal("there is more before it comes, or none that has come")
			}
			r.put(func(seq uint64) int { return int(seq) }, size, count, limit)
			if !isClosed(waiting) {
				t.Fatal("who waited is not woken")
			}
			sizes = append(sizes, size)

			newest := len(sizes) - 1
			first, bytes := newest, size
			for first > 1 && newest-first+1 < count && bytes+sizes[first-1] <= limit {
				first--
				bytes += sizes[first]
			}
			after := rapid.IntRange(0, newest+2).Draw(t, "after")
			list := r.after(uint64(after))
			if want := max(newest-max(first-1, after), 0); len(list) != want {
				t.Fatalf("after %d of %d: got %v, want %d, sizes %v", after, newest, list, want, sizes)
			}
			for i, v := range list {
				if v != max(first, after+1)+i {
					t.Fatalf("after %d: got %v, a gap", after, list)
				}
			}
		}
	})
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
