package engine

import "sort"

// pending is a delivery that is not settled.
type pending struct {
	tag uint64
	at  int64 // when it was delivered, in microseconds
	q   *Queue
	l   *lane
	seq uint64
	c   *consumer // nil: by Get
}

// unsettled has the deliveries of a channel by tag. Settling the oldest, or all up
// to one, costs nothing but that; settling another one costs a search.
type unsettled struct {
	items []pending // by tag; q is nil where it was settled
	first int       // before it there is nothing
	holes int       // after it
}

func (u *unsettled) add(p pending) {
	if len(u.items) == cap(u.items) && u.first+u.holes > len(u.items)/2 {
		u.pack()
	}
	u.items = append(u.items, p)
}

// pack makes room at the end.
func (u *unsettled) pack() {
	n := 0
	for _, p := range u.items[u.first:] {
		if p.q != nil {
			u.items[n] = p
			n++
		}
	}
	clear(u.items[n:])
	u.items, u.first, u.holes = u.items[:n], 0, 0
}

// skip moves first to a delivery, and gives memory back when there is none.
func (u *unsettled) skip() {
	for u.first < len(u.items) && u.items[u.first].q == nil {
		u.first++
		u.holes--
	}
	if u.first == len(u.items) {
		u.first, u.holes = 0, 0
		if u.items = u.items[:0]; cap(u.items) > 4096 {
			u.items = nil
		}
	} else if u.holes > 64 && u.holes > (len(u.items)-u.first)/2 {
		u.pack()
	}
}

// take removes a delivery, or all up to tag, and appends them to dst in order. It
// reports false if there is no such tag, and then removes none. With multiple, 0
// is all there are.
func (u *unsettled) take(dst []pending, tag uint64, multiple bool) ([]pending, bool) {
	if tag == 0 && multiple {
		return u.takeAll(dst), true
	}
	at := u.find(tag)
	if at < 0 {
		return dst, false
	}
	if !multiple {
		dst = append(dst, u.items[at])
		u.items[at] = pending{tag: tag}
		u.holes++
	} else {
		for i := u.first; i <= at; i++ {
			if u.items[i].q != nil {
				dst = append(dst, u.items[i])
				u.items[i] = pending{tag: u.items[i].tag}
				u.holes++
			}
		}
	}
	u.skip()
	return dst, true
}

// find returns where a tag is, or -1.
func (u *unsettled) find(tag uint64) int {
	if u.first < len(u.items) && u.items[u.first].tag == tag {
		return u.first
	}
	rest := u.items[u.first:]
	i := sort.Search(len(rest), func(i int) bool { return rest[i].tag >= tag })
	if i == len(rest) || rest[i].tag != tag || rest[i].q == nil {
		return -1
	}
	return u.first + i
}

// takeAll removes all deliveries and appends them to dst in order.
func (u *unsettled) takeAll(dst []pending) []pending {
	for _, p := range u.items[u.first:] {
		if p.q != nil {
			dst = append(dst, p)
		}
	}
	*u = unsettled{}
	return dst
}

// oldest returns the oldest delivery, or nil.
func (u *unsettled) oldest() *pending {
	if u.first == len(u.items) {
		return nil
	}
	return &u.items[u.first] // skip leaves a delivery there
}

func (u *unsettled) len() int { return len(u.items) - u.first - u.holes }
