package actors

// backlog is the router's queue of flights that no worker has a slot for: a ring
// that doubles. The high watermark bounds it.
type backlog struct {
	ring []*flight
	head int
	n    int
}

func (b *backlog) push(f *flight) {
	if b.n == len(b.ring) {
		b.grow()
	}
	b.ring[(b.head+b.n)%len(b.ring)] = f
	b.n++
}

// pushFront puts f before all others: it has waited its turn already.
func (b *backlog) pushFront(f *flight) {
	if b.n == len(b.ring) {
		b.grow()
	}
	b.head = (b.head - 1 + len(b.ring)) % len(b.ring)
	b.ring[b.head] = f
	b.n++
}

func (b *backlog) pop() *flight {
	f := b.ring[b.head]
	b.ring[b.head] = nil
	b.head = (b.head + 1) % len(b.ring)
	b.n--
	return f
}

// retain keeps the flights that keep says yes to, in order.
func (b *backlog) retain(keep func(*flight) bool) {
	for range b.n {
		if f := b.pop(); keep(f) {
			b.push(f)
		}
	}
}

func (b *backlog) grow() {
	ring := make([]*flight, max(64, 2*len(b.ring)))
	for i := range b.n {
		ring[i] = b.ring[(b.head+i)%len(b.ring)]
	}
	b.ring, b.head = ring, 0
}

// assignedList is the list of flights that are with a worker, oldest assignment
// first. All flights of a pool have the same timeout, so its head is always the
// next one to run out of time.
type assignedList struct{ head, tail *flight }

func (l *assignedList) push(f *flight) {
	f.prev, f.next = l.tail, nil
	if l.tail != nil {
		l.tail.next = f
	} else {
		l.head = f
	}
	l.tail = f
}

func (l *assignedList) unlink(f *flight) {
	if f.prev != nil {
		f.prev.next = f.next
	} else if l.head == f {
		l.head = f.next
	}
	if f.next != nil {
		f.next.prev = f.prev
	} else if l.tail == f {
		l.tail = f.prev
	}
	f.prev, f.next = nil, nil
}
