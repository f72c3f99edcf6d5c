package engine

import (
	"cmp"
	"slices"
	"time"
)

// Queues returns a snapshot of each queue, by name.
func (e *Engine) Queues() []QueueInfo {
	var all []QueueInfo
	for _, q := range e.table.Load().Queues() {
		if info, ok := q.info(); ok {
			all = append(all, info)
		}
	}
	slices.SortFunc(all, func(a, b QueueInfo) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func (q *Queue) info() (QueueInfo, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return QueueInfo{
		Name: q.name, Type: q.typeName(), Durable: q.durable, AutoDelete: q.auto, Exclusive: q.owner != nil, Args: q.args,
		Ready: q.ready, Unacked: q.unacked, Consumers: len(q.roster.all),
		Persistent: q.disk, InMemory: q.inMemory, BodyBytes: q.bytes + q.outBytes,
		IdleSince: time.UnixMicro(q.idleSince),
	}, !q.deleted
}

// Stats returns a snapshot of all.
func (e *Engine) Stats() Stats {
	s := Stats{
		Channels: int(e.channels.Load()), Consumers: int(e.consumers.Load()),
		MemoryBytes: e.memory.Load(), TransientBytes: e.transient.Load(), Blocked: e.pressure.reason(),
		Published: e.published.Load(), Delivered: e.delivered.Load(), Acked: e.acked.Load(),
	}
	table := e.table.Load()
	for x := range table.Exchanges() {
		s.Exchanges++
		for range table.Bindings(x.Name) {
			s.Bindings++
		}
	}
	for _, q := range e.Queues() {
		s.Queues++
		s.Ready += q.Ready
		s.Unacked += q.Unacked
	}
	if e.store != nil {
		st := e.store.Stats()
		s.LogBytes, s.Segments, s.Syncs, s.Copied = st.Bytes, st.Segments, st.Syncs, st.Copied
	}
	return s
}
