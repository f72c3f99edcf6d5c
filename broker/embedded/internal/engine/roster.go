package engine

import (
	"cmp"
	"slices"
)

// consumer is a consumer of a queue.
type consumer struct {
	tag       string
	ch        *Channel
	q         *Queue
	noAck     bool
	exclusive bool
	priority  int64
	prefetch  int // 0: no limit

	// Under the lock of the queue:
	unacked int
	blocked bool // not in the roster's turns
	left    bool // not in the roster

	waiting bool // in ch.waiting; under the lock of the channel
}

// hasCredit reports whether the consumer's own prefetch allows another delivery.
func (c *consumer) hasCredit() bool {
	return c.noAck || c.prefetch == 0 || c.unacked < c.prefetch
}

// roster is a queue's consumers. As in RabbitMQ, those of the highest priority
// take turns, one that cannot take a message loses its turn, and comes last when
// it can again.
type roster struct {
	all    []*consumer
	levels []level // by priority, the highest first
	had    bool    // there was a consumer once

	single    bool      // single active consumer
	active    *consumer // of single
	exclusive *consumer
}

type level struct {
	priority int64
	turns    []*consumer
	next     int // in turns; those before it come after the last
}

func (r *roster) add(c *consumer) {
	r.had = true
	r.all = append(r.all, c)
	if c.exclusive {
		r.exclusive = c
	}
	if r.single && r.active == nil {
		r.active = c
	}
	r.join(c)
}

// level returns where a priority is in levels, or is to be.
func (r *roster) level(priority int64) (int, bool) {
	return slices.BinarySearchFunc(r.levels, priority, func(l level, p int64) int { return cmp.Compare(p, l.priority) })
}

// join makes c the last of its priority to get a turn.
func (r *roster) join(c *consumer) {
	c.blocked = false
	i, ok := r.level(c.priority)
	if !ok {
		r.levels = slices.Insert(r.levels, i, level{priority: c.priority})
	}
	l := &r.levels[i]
	l.turns = slices.Insert(l.turns, l.next, c)
	l.next = (l.next + 1) % len(l.turns)
}

// leave takes c out of the turns.
func (r *roster) leave(c *consumer) {
	i, ok := r.level(c.priority)
	if !ok {
		return
	}
	l := &r.levels[i]
	at := l.next
	if l.turns[at] != c {
		at = slices.Index(l.turns, c)
	}
	if at < 0 {
		return
	}
	if len(l.turns) == 1 {
		r.levels = slices.Delete(r.levels, i, i+1)
		return
	}
	l.turns = slices.Delete(l.turns, at, at+1)
	if at < l.next {
		l.next--
	}
	l.next %= len(l.turns)
}

// turn returns whose turn it is, or nil.
func (r *roster) turn() *consumer {
	switch {
	case r.single:
		if r.active == nil || r.active.blocked {
			return nil
		}
		return r.active
	case len(r.levels) == 0:
		return nil
	}
	l := &r.levels[0]
	return l.turns[l.next]
}

// served ends the turn of who got a message.
func (r *roster) served() {
	if !r.single {
		l := &r.levels[0]
		l.next = (l.next + 1) % len(l.turns)
	}
}

// block ends the turn of a consumer that cannot take a message.
func (r *roster) block(c *consumer) {
	c.blocked = true
	r.leave(c)
}

// unblock gives a consumer turns again, if it lost them.
func (r *roster) unblock(c *consumer) {
	if c.blocked && !c.left {
		r.join(c)
	}
}

// remove takes a consumer away and reports whether it was there.
func (r *roster) remove(c *consumer) bool {
	i := slices.Index(r.all, c)
	if i < 0 {
		return false
	}
	r.all = slices.Delete(r.all, i, i+1)
	c.left = true
	r.leave(c)
	if r.exclusive == c {
		r.exclusive = nil
	}
	if r.active == c {
		r.active = nil
		if len(r.levels) > 0 {
			r.active = r.levels[0].turns[r.levels[0].next]
		} else if len(r.all) > 0 {
			r.active = r.all[0] // blocked
		}
	}
	return true
}

// removeAll takes the consumers of a channel away and reports whether there were
// any. The active one comes after, so that none of them becomes it.
func (r *roster) removeAll(ch *Channel) bool {
	var mine []*consumer
	for _, c := range r.all {
		if c.ch == ch && c != r.active {
			mine = append(mine, c)
		}
	}
	if r.active != nil && r.active.ch == ch {
		mine = append(mine, r.active)
	}
	for _, c := range mine {
		r.remove(c)
	}
	return len(mine) > 0
}
