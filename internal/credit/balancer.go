package credit

// Balancer picks the least loaded of some workers that run up to a given number
// of tasks each. Workers of equal depth take turns. It belongs to
// one goroutine.
//
// Workers stand in one queue per depth, so that picking and releasing move a
// worker to a neighbouring queue instead of scanning all of them.
type Balancer struct {
	slots   int
	workers []seat
	depths  []ring // depths[d]: the workers that are up and have depth d
	min     int    // no depth below it has a worker that is up
	load    int    // sum of all depths, of workers that are down too
}

type seat struct {
	depth      int
	up         bool
	prev, next int // neighbours in the queue of its depth; -1 at its ends
}

type ring struct{ head, tail int }

// NewBalancer returns a Balancer of n workers, all down, with slots slots each.
func NewBalancer(n, slots int) *Balancer {
	b := &Balancer{slots: slots, workers: make([]seat, n), depths: make([]ring, slots+1)}
	for d := range b.depths {
		b.depths[d] = ring{-1, -1}
	}
	return b
}

// Grow has at least n workers; new ones are down.
func (b *Balancer) Grow(n int) {
	for len(b.workers) < n {
		b.workers = append(b.workers, seat{})
	}
}

// Acquire takes a slot of a least loaded worker; ok is false when every worker
// that is up is full.
func (b *Balancer) Acquire() (worker int, ok bool) {
	for ; b.min < b.slots; b.min++ {
		if i := b.depths[b.min].head; i >= 0 {
			b.move(i, b.min+1)
			b.load++
			return i, true
		}
	}
	return 0, false
}

// Take takes a slot of that worker, also of one that is down.
func (b *Balancer) Take(worker int) {
	b.load++
	b.move(worker, b.workers[worker].depth+1)
}

// Release gives back a slot of the worker, which may be down by now.
func (b *Balancer) Release(worker int) {
	b.load--
	b.move(worker, b.workers[worker].depth-1)
}

// Up makes the worker eligible. Tasks that it got before it went down and that
// were not released still occupy its slots.
func (b *Balancer) Up(worker int) {
	if b.workers[worker].up {
		return
	}
	b.workers[worker].up = true
	b.push(worker)
}

// Down makes the worker ineligible.
func (b *Balancer) Down(worker int) {
	if !b.workers[worker].up {
		return
	}
	b.unlink(worker)
	b.workers[worker].up = false
}

// Depth is the number of slots of the worker that are taken.
func (b *Balancer) Depth(worker int) int { return b.workers[worker].depth }

// Load is the number of slots that are taken in all.
func (b *Balancer) Load() int { return b.load }

func (b *Balancer) move(i, depth int) {
	if b.workers[i].up {
		b.unlink(i)
	}
	b.workers[i].depth = depth
	if b.workers[i].up {
		b.push(i)
	}
}

func (b *Balancer) push(i int) {
	s := &b.workers[i]
	r := &b.depths[s.depth]
	s.prev, s.next = r.tail, -1
	if r.tail >= 0 {
		b.workers[r.tail].next = i
	} else {
		r.head = i
	}
	r.tail = i
	b.min = min(b.min, s.depth)
}

func (b *Balancer) unlink(i int) {
	s := &b.workers[i]
	r := &b.depths[s.depth]
	if s.prev >= 0 {
		b.workers[s.prev].next = s.next
	} else {
		r.head = s.next
	}
	if s.next >= 0 {
		b.workers[s.next].prev = s.prev
	} else {
		r.tail = s.prev
	}
}
