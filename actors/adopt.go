package actors

import "time"

// This file is what the router does so that a message that is delivered again is not
// run again, as long as this process lives.

// known reports whether f, which has just arrived, need not be run: because it is
// being run, was run, or is run by a flight of the router before us.
func (r *router) known(f *flight) bool {
	if r.pool.Dedup == DedupOff {
		return false
	}
	f.key = keyOf(f.delivery)
	if f.key.id == "" {
		return false
	}
	if mem := r.pool.memory; mem.present != f.source {
		mem.arrived(f.source, time.Now())
	}
	if first := r.ledger.find(f.key); first != nil && !r.late(first) {
		return r.meet(first, f, r.join)
	}
	if first := r.pool.foreign[f.key]; first != nil {
		return r.meet(first, f, r.await)
	}
	return r.recall(f)
}

// late ends a flight that has been run and whose consumer has died, where that is not
// known yet: its copy may wait for as long as the broker blocks publishers.
func (r *router) late(first *flight) bool {
	if first.phase != onHold && first.phase != publishing || !r.bereft(first) {
		return false
	}
	r.outlive(first)
	return true
}

// meet has f join first if it is the same message. If it is not, the publisher gives
// one id to many messages, and nothing can be said about f by its key.
func (r *router) meet(first, f *flight, join func(first, f *flight)) bool {
	if sumOf(r.pool.seed, first.delivery) != sumOf(r.pool.seed, f.delivery) {
		f.key = key{}
		return false
	}
	join(first, f)
	return true
}

// join has first settle what has arrived with f. Either first has lost its delivery,
// and this is the same again; or the message was published twice, and then both are
// settled by what becomes of it.
func (r *router) join(first, f *flight) {
	if r.bereft(first) {
		r.pool.counters.adopted.Add(1)
		r.pool.log.Debug("a message that came again is being run already", "task_id", first.key.id)
	} else {
		r.pool.log.Debug("a message that is being run came a second time", "task_id", first.key.id)
	}
	r.parent(first)
	first.take(f)
}

// recall settles f with the result of an earlier delivery, if there is one.
func (r *router) recall(f *flight) bool {
	mem := r.pool.memory
	if f.delivery.Redelivered {
		r.reap()
	}
	if len(mem.kept) == 0 {
		return false
	}
	sum := func() uint64 { return sumOf(r.pool.seed, f.delivery) }
	v, ok := mem.recall(f.key, f.delivery.Redelivered, sum, time.Now())
	if !ok {
		return false
	}
	r.pool.counters.recalled.Add(1)
	r.pool.log.Debug("a message that came again has been run already", r.pool.named(f)...)
	f.verdict = v
	r.ledger.add(f)
	r.pool.shown.grow(f.slot)
	r.conclude(f)
	return true
}

// reap looks for consumers that have died. Those that were retired tell nobody.
func (r *router) reap() {
	live := &r.pool.memory.live
	for i := 0; i < len(*live); {
		if s := (*live)[i]; isDone(s.consumer.Done()) {
			r.mourn(s)
		} else {
			i++
		}
	}
}

// mourn tells the memory that the consumer of s is dead.
func (r *router) mourn(s *source) {
	if s.consumer.Err() == nil { // we have closed it, after its settlements
		r.pool.memory.closed(s)
	} else {
		r.pool.memory.lost(s, time.Now())
	}
}

// orphan marks a flight that runs on without a delivery, parent one that has one
// again.
func (r *router) orphan(f *flight) {
	f.orphan = true
	r.pool.orphans.Add(1)
}

func (r *router) parent(f *flight) {
	if f.orphan {
		f.orphan = false
		r.pool.orphans.Add(-1)
	}
}

// remove takes f out of the books and reports whether it was in.
func (r *router) remove(f *flight) bool {
	if !r.ledger.remove(f) {
		return false
	}
	if f.phase == publishing {
		r.pool.copies.set(r.ledger.out)
	}
	r.parent(f)
	return true
}

// outlive ends a flight whose deliveries are lost, and which has been run: its result
// is kept for when they come again.
func (r *router) outlive(f *flight) {
	if f.timer != nil {
		f.timer.Stop()
	}
	if r.remove(f) {
		r.remember(f)
	}
	r.checkDrained()
}

// remember keeps a result whose settlement was never sent. One that says that there
// has been no run is none.
func (r *router) remember(f *flight) {
	if f.key.id == "" || !f.verdict.isResult() {
		return
	}
	v := f.verdict
	if f.copied {
		v = verdict{action: ackIt} // the copy that it asks for is there
	}
	r.pool.memory.unsent(f.key, r.sum(f), v, time.Now())
}

// isResult reports whether the verdict is on a run, and not one that puts it off.
func (v *verdict) isResult() bool {
	return v.action == ackIt || v.action == retryIt || v.action == deadLetterIt
}

// drop ends a flight that was not run and whose deliveries are lost.
func (r *router) drop(f *flight) {
	if f.timer != nil {
		f.timer.Stop()
	}
	if r.remove(f) && f.key.id != "" {
		r.pool.memory.forget(f.key)
	}
	r.checkDrained()
}
