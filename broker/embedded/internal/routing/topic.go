package routing

import (
	"slices"
	"strings"
)

// topicNode is what the binding keys of a topic exchange have in common up to some
// word. nil is an empty one.
type topicNode[Q comparable] struct {
	ends  targets[Q]          // of the keys that end here
	words pmap[*topicNode[Q]] // by the next word; "*" and "#" are such, too
	star  *topicNode[Q]       // words at "*"
	hash  *topicNode[Q]       // words at "#"
}

// splitKey returns the words of a routing or binding key. As in RabbitMQ an empty
// key has none, and "a." has two.
func splitKey(key string) []string {
	if key == "" {
		return nil
	}
	return strings.Split(key, ".")
}

func (n *topicNode[Q]) next(word string) *topicNode[Q] {
	if n == nil {
		return nil
	}
	down, _ := n.words.get(word)
	return down
}

// set returns the node with another one, nil for none, at the next word; nil if it
// is empty then.
func (n *topicNode[Q]) set(word string, down *topicNode[Q]) *topicNode[Q] {
	c := topicNode[Q]{}
	if n != nil {
		c = *n
	}
	if down != nil {
		c.words = c.words.with(word, down)
	} else {
		c.words = c.words.without(word)
	}
	switch word {
	case "*":
		c.star = down
	case "#":
		c.hash = down
	}
	return c.orNil()
}

func (n *topicNode[Q]) orNil() *topicNode[Q] {
	if n.ends.n == 0 && n.words.n == 0 {
		return nil
	}
	return n
}

func (n *topicNode[Q]) with(words []string, to target[Q]) *topicNode[Q] {
	if len(words) > 0 {
		return n.set(words[0], n.next(words[0]).with(words[1:], to))
	}
	c := topicNode[Q]{}
	if n != nil {
		c = *n
	}
	c.ends = c.ends.with(to)
	return &c
}

func (n *topicNode[Q]) without(words []string, to target[Q]) *topicNode[Q] {
	if n == nil {
		return nil
	}
	if len(words) > 0 {
		return n.set(words[0], n.next(words[0]).without(words[1:], to))
	}
	c := *n
	c.ends = c.ends.without(to)
	return c.orNil()
}

// match appends the targets of the binding keys that match a routing key: "*" for
// one word, "#" for any number of words.
//
// It goes through the words once, with all nodes that the words so far can lead to.
// Trying one "#" after the other instead takes time that grows exponentially with
// their number.
func (n *topicNode[Q]) match(dst []targets[Q], key string) []targets[Q] {
	if n == nil {
		return dst
	}
	var space [2][16]*topicNode[Q]
	now, then := space[0][:0], space[1][:0]
	// Words after "#" may be skipped, so once its node is reached it stays.
	var hashes []*topicNode[Q]
	reach := func(set []*topicNode[Q], n *topicNode[Q]) []*topicNode[Q] {
		for set = append(set, n); n.hash != nil && !slices.Contains(hashes, n.hash); n = n.hash {
			hashes = append(hashes, n.hash)
			set = append(set, n.hash)
		}
		return set
	}
	now = reach(now, n)
	for more := key != ""; more; {
		var word string
		word, key, more = strings.Cut(key, ".")
		then = append(then[:0], hashes...)
		for _, n := range now {
			if down := n.next(word); down != nil && word != "#" && word != "*" {
				then = reach(then, down)
			}
			if n.star != nil {
				then = reach(then, n.star)
			}
		}
		now, then = then, now
	}
	for _, n := range now {
		if n.ends.n > 0 {
			dst = append(dst, n.ends)
		}
	}
	return dst
}
