package actors

import (
	"slices"
	"time"
)

const (
	// unsure is how long an ack may have been on its way when the loss of its
	// consumer is noticed: longer than it takes to notice a peer that is silent
	// (1.5 heartbeats, 15 s). What was acked before that has arrived.
	unsure = time.Minute
	// rememberSent and rememberUnsent are how long a result is kept once there is a
	// consumer that its message may come to again: RabbitMQ puts such messages at the
	// head of the queue, but may itself take 2 heartbeats to notice a loss. One whose
	// ack was never sent is certain to come to somebody, and can be waited for.
	rememberSent   = 2 * time.Minute
	rememberUnsent = 10 * time.Minute
	// maxKept bounds the results that wait for redeliveries. One takes about 250 bytes
	// with its message-id, so that they are 16 MB at most, after many losses.
	maxKept = 1 << 16
	// minRecent and maxRecent bound the latest acks of living consumers, of about 130
	// bytes each: 9 MB at most.
	minRecent, maxRecent = 1 << 8, 1 << 16
)

// recentFor is how many of the latest acks a pool remembers. The broker has at most
// high unsettled deliveries, so at most high acks are on their way to it; twice as many
// cover that they are not written in the order of the settlements.
func recentFor(high int) int { return min(max(2*high, minRecent), maxRecent) }

// memory holds results of runs whose settlement may not have reached the broker, so
// that a redelivery is settled with the result and not run again. It is a function
// of what it was told, and of the times that it was told.
//
// It must not have a message vanish that a publisher has sent again on purpose, with
// the id of one that is done. A result is therefore only recalled for a delivery
// that is marked as redelivered, has the same content, and comes while that of a
// lost settlement must be expected; and each result once.
type memory struct {
	limit  int    // of recent
	recent []done // acked on consumers that live; a ring once it has limit entries
	oldest int    // of the ring
	live   []*source

	kept    map[key]*result
	order   []*result // of kept, oldest first; those with n == 0 are gone
	present *source   // the consumer that redeliveries may come from; nil: none
}

// done is a delivery that was acked.
type done struct {
	key    key
	sum    uint64
	source *source // nil: empty
	at     time.Time
}

// result is what became of a run whose delivery may come again.
type result struct {
	key     key
	sum     uint64
	verdict verdict
	n       int  // deliveries that are expected
	unsent  bool // no settlement was sent: the message is certain to come again
	until   time.Time
}

func newMemory(limit int) *memory { return &memory{limit: limit, kept: map[key]*result{}} }

// acked notes that a settlement was handed to the consumer of s.
func (m *memory) acked(k key, sum uint64, s *source, at time.Time) {
	if !slices.Contains(m.live, s) {
		m.live = append(m.live, s)
	}
	if len(m.recent) < m.limit {
		m.recent = append(m.recent, done{k, sum, s, at})
		return
	}
	m.recent[m.oldest] = done{k, sum, s, at}
	m.oldest = (m.oldest + 1) % len(m.recent)
}

// lost says that the consumer of s has died: its last acks may not have arrived.
func (m *memory) lost(s *source, now time.Time) {
	m.each(s, func(d *done) {
		if now.Sub(d.at) <= unsure {
			m.keep(result{key: d.key, sum: d.sum, verdict: verdict{action: ackIt}}, now)
		}
	})
}

// closed says that the consumer of s was closed in order: its acks have arrived.
func (m *memory) closed(s *source) { m.each(s, func(*done) {}) }

func (m *memory) each(s *source, visit func(*done)) {
	if m.present == s {
		m.present = nil
	}
	i := slices.Index(m.live, s)
	if i < 0 {
		return
	}
	m.live = slices.Delete(m.live, i, i+1)
	for i := range m.recent {
		if d := &m.recent[(m.oldest+i)%len(m.recent)]; d.source == s {
			visit(d)
			*d = done{}
		}
	}
}

// unsent keeps the result of a run whose consumer had died before it could be
// settled.
func (m *memory) unsent(k key, sum uint64, v verdict, now time.Time) {
	v.stack = nil // it was logged
	m.keep(result{key: k, sum: sum, verdict: v, unsent: true}, now)
}

func (m *memory) keep(r result, now time.Time) {
	r.n = 1
	if old := m.kept[r.key]; old != nil {
		if old.sum == r.sum {
			r.n += old.n
			r.unsent = r.unsent && old.unsent
		}
		old.n = 0
	}
	if m.present != nil {
		r.expire(now)
	}
	m.kept[r.key] = &r
	m.order = append(m.order, &r)
	for len(m.kept) > maxKept || m.order[0].gone(now) {
		m.drop(m.order[0])
		m.order[0] = nil
		m.order = m.order[1:]
	}
	if len(m.order) > 2*len(m.kept)+minRecent {
		m.order = slices.DeleteFunc(m.order, func(r *result) bool { return r.n == 0 })
	}
}

// drop forgets a result; one that is gone may have a successor of the same key.
func (m *memory) drop(r *result) {
	if r.n > 0 {
		delete(m.kept, r.key)
		r.n = 0
	}
}

// gone reports whether r is used up or too old.
func (r *result) gone(now time.Time) bool {
	return r.n == 0 || !r.until.IsZero() && now.After(r.until)
}

func (r *result) expire(now time.Time) {
	r.until = now.Add(rememberSent)
	if r.unsent {
		r.until = now.Add(rememberUnsent)
	}
}

// arrived says that there are deliveries from s: results that wait for redeliveries
// need not be kept for ever from now on.
func (m *memory) arrived(s *source, now time.Time) {
	if m.present == s {
		return
	}
	m.present = s
	for _, r := range m.kept {
		if r.until.IsZero() {
			r.expire(now)
		}
	}
}

// recall is the result that a delivery is to be settled with, if there is one. sum
// is asked only if it matters.
func (m *memory) recall(k key, redelivered bool, sum func() uint64, now time.Time) (verdict, bool) {
	r := m.kept[k]
	switch {
	case r == nil:
		return verdict{}, false
	case !redelivered:
		m.forget(k)
		return verdict{}, false
	case r.gone(now):
		m.drop(r)
		return verdict{}, false
	case r.sum != sum():
		return verdict{}, false
	}
	v := r.verdict
	if r.n == 1 {
		m.drop(r)
	} else {
		r.n--
	}
	return v, true
}

// forget is told of a message with that key that has not run: it was published after
// the one that is done, or is lost before it ran. It comes redelivered later, and then
// it could not be told from one whose ack has arrived. One whose ack was never sent
// comes as well, so that one of the two is run and the other is settled.
func (m *memory) forget(k key) {
	if r := m.kept[k]; r != nil && !r.unsent {
		m.drop(r)
	}
}

// copied says that the copy that a result asks for has reached the broker after all.
func (m *memory) copied(k key, sum uint64) {
	if r := m.kept[k]; r != nil && r.sum == sum && (r.verdict.action == retryIt || r.verdict.action == deadLetterIt) {
		r.verdict = verdict{action: ackIt}
	}
}

// resize changes how many of the latest acks are remembered; the oldest go first.
func (m *memory) resize(limit int) {
	m.recent = slices.Concat(m.recent[m.oldest:], m.recent[:m.oldest])
	m.oldest, m.limit = 0, limit
	if n := len(m.recent) - limit; n > 0 {
		m.recent = m.recent[n:]
	}
}
