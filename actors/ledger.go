package actors

// ledger holds the flights that are not settled. Its remove is the one gate
// that may settle a delivery: it says yes once for each flight.
//
// It is a slab with a free list, so that adding and removing cost no hashing but that
// of the keys. It holds as many flights as the high watermark says, and those that run
// on after their deliveries were lost.
type ledger struct {
	slots []*flight
	free  []int
	held  int             // that are on hold
	out   int             // whose copies are to be confirmed
	keys  map[key]*flight // of those that have one
}

func (l *ledger) add(f *flight) {
	f.take(f)
	if f.key.id != "" {
		if l.keys == nil {
			l.keys = map[key]*flight{}
		}
		l.keys[f.key] = f
	}
	if n := len(l.free); n > 0 {
		f.slot = l.free[n-1]
		l.free = l.free[:n-1]
		l.slots[f.slot] = f
		return
	}
	f.slot = len(l.slots)
	l.slots = append(l.slots, f)
}

// has reports whether f is unsettled.
func (l *ledger) has(f *flight) bool {
	return f.slot < len(l.slots) && l.slots[f.slot] == f
}

// remove takes f out and reports whether it was in.
func (l *ledger) remove(f *flight) bool {
	if !l.has(f) {
		return false
	}
	for _, c := range f.claims {
		c.source.open--
	}
	if f.key.id != "" {
		delete(l.keys, f.key)
	}
	l.leave(f)
	l.slots[f.slot] = nil
	l.free = append(l.free, f.slot)
	return true
}

// find is the flight with that key, or nil.
func (l *ledger) find(k key) *flight { return l.keys[k] }

// replace puts fresh in the place of old, which must be in and has the same key.
func (l *ledger) replace(old, fresh *flight) {
	if fresh.key.id != "" {
		l.keys[fresh.key] = fresh
	}
	fresh.slot = old.slot
	l.slots[old.slot] = fresh
}

func (l *ledger) len() int { return len(l.slots) - len(l.free) }

// each calls visit for every flight; visit may remove or replace the one it got.
func (l *ledger) each(visit func(*flight)) {
	for _, f := range l.slots {
		if f != nil {
			visit(f)
		}
	}
}

// hold notes that f, which must be in, waits for its next run.
func (l *ledger) hold(f *flight) {
	l.leave(f)
	f.phase = onHold
	l.held++
}

// publish notes that the copy of f, which must be in, is to be confirmed.
func (l *ledger) publish(f *flight) {
	l.leave(f)
	f.phase = publishing
	l.out++
}

func (l *ledger) leave(f *flight) {
	switch f.phase {
	case onHold:
		l.held--
	case publishing:
		l.out--
	case inBacklog, withWorker, awaiting: // not counted
	}
}
