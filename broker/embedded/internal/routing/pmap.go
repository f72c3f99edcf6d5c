package routing

import (
	"hash/maphash"
	"iter"
	"math/bits"
	"slices"
)

// pmap is a map that never changes: with and without return another one, which
// shares all but the path to the key. It is a hash trie of 32 branches. The zero
// value is empty.
type pmap[V any] struct {
	root *node[V]
	n    int
}

// node has one slot for each bit set in used, in the order of the bits. Below
// maxShift the bits of the hash are used up: there slots are in any order.
type node[V any] struct {
	used  uint32
	slots []slot[V]
}

// slot is an entry, or a node of entries if down is not nil.
type slot[V any] struct {
	down *node[V]
	key  string
	val  V
}

const (
	branchBits = 5
	branchMask = 1<<branchBits - 1
	maxShift   = 60
)

// seed makes the hashes of names unpredictable to those who choose the names.
var seed = maphash.MakeSeed()

func hash(key string) uint64 { return maphash.String(seed, key) }

func bit(h uint64, shift uint) uint32 { return 1 << (h >> shift & branchMask) }

// at returns the place of a bit among the slots.
func (n *node[V]) at(b uint32) int { return bits.OnesCount32(n.used & (b - 1)) }

func (n *node[V]) find(key string) int {
	return slices.IndexFunc(n.slots, func(s slot[V]) bool { return s.key == key })
}

func (m pmap[V]) get(key string) (v V, ok bool) {
	h := hash(key)
	n := m.root
	for shift := uint(0); n != nil; shift += branchBits {
		var i int
		if shift >= maxShift {
			if i = n.find(key); i < 0 {
				return v, false
			}
		} else {
			b := bit(h, shift)
			if n.used&b == 0 {
				return v, false
			}
			i = n.at(b)
		}
		s := &n.slots[i]
		if s.down == nil {
			if s.key == key {
				return s.val, true
			}
			return v, false
		}
		n = s.down
	}
	return v, false
}

func (m pmap[V]) has(key string) bool {
	_, ok := m.get(key)
	return ok
}

// with returns the map with the key's value set.
func (m pmap[V]) with(key string, val V) pmap[V] {
	root, added := m.root.with(hash(key), 0, key, val)
	if added {
		m.n++
	}
	return pmap[V]{root: root, n: m.n}
}

func (n *node[V]) with(h uint64, shift uint, key string, val V) (*node[V], bool) {
	if n == nil {
		n = &node[V]{}
	}
	leaf := slot[V]{key: key, val: val}
	if shift >= maxShift {
		if i := n.find(key); i >= 0 {
			return n.replace(i, leaf), false
		}
		return n.insert(len(n.slots), 0, leaf), true
	}
	b := bit(h, shift)
	i := n.at(b)
	if n.used&b == 0 {
		return n.insert(i, b, leaf), true
	}
	old := n.slots[i]
	if old.down == nil {
		if old.key == key {
			return n.replace(i, leaf), false
		}
		// Two keys in one place: both go one level down.
		old.down, _ = (*node[V])(nil).with(hash(old.key), shift+branchBits, old.key, old.val)
	}
	down, added := old.down.with(h, shift+branchBits, key, val)
	return n.replace(i, slot[V]{down: down}), added
}

func (n *node[V]) replace(i int, s slot[V]) *node[V] {
	c := &node[V]{used: n.used, slots: slices.Clone(n.slots)}
	c.slots[i] = s
	return c
}

func (n *node[V]) insert(i int, b uint32, s slot[V]) *node[V] {
	slots := make([]slot[V], 0, len(n.slots)+1)
	slots = append(append(append(slots, n.slots[:i]...), s), n.slots[i:]...)
	return &node[V]{used: n.used | b, slots: slots}
}

// without returns the map without the key.
func (m pmap[V]) without(key string) pmap[V] {
	if !m.has(key) {
		return m
	}
	return pmap[V]{root: m.root.without(hash(key), 0, key), n: m.n - 1}
}

// without takes out a key that is there. It returns nil when nothing is left.
func (n *node[V]) without(h uint64, shift uint, key string) *node[V] {
	var b uint32
	var i int
	if shift >= maxShift {
		i = n.find(key)
	} else {
		b = bit(h, shift)
		i = n.at(b)
	}
	if down := n.slots[i].down; down != nil {
		if down = down.without(h, shift+branchBits, key); down != nil {
			return n.replace(i, slot[V]{down: down})
		}
	}
	if len(n.slots) == 1 {
		return nil
	}
	c := &node[V]{used: n.used &^ b, slots: make([]slot[V], 0, len(n.slots)-1)}
	c.slots = append(append(c.slots, n.slots[:i]...), n.slots[i+1:]...)
	return c
}

// all yields the entries in no order.
func (m pmap[V]) all() iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		if m.root != nil {
			m.root.walk(yield)
		}
	}
}

func (n *node[V]) walk(yield func(string, V) bool) bool {
	for i := range n.slots {
		s := &n.slots[i]
		if s.down != nil {
			if !s.down.walk(yield) {
				return false
			}
		} else if !yield(s.key, s.val) {
			return false
		}
	}
	return true
}
