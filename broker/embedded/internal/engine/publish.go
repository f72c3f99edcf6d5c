package engine

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/queueargs"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/routing"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/store"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// Publish routes a message. If routed is false, no queue got it, and the caller
// returns it if it is mandatory, then confirms it; p.Props are then without the
// header BCC. Otherwise c, unless nil, is
// told once when the message is safe. An error ends the channel of the publisher
// (or its connection), and c is not called. user is who is logged in, for the
// property user-id. Publish waits for the disk only if more than 32 MiB wait for it.
func (e *Engine) Publish(p *Publish, c Confirmer, seq uint64, user string) (routed bool, err error) {
	if e.closed.Load() {
		return false, ErrClosed
	}
	table := e.table.Load()
	if err := table.Publishable(p.Exchange); err != nil {
		return false, err
	}
	view, err := wire.ViewProperties(p.Props)
	if err != nil {
		return false, errorf(wire.CodeSyntaxError, "%v", err)
	}
	if view.Present&wire.PropUserID != 0 && string(view.UserID) != user {
		return false, errorf(wire.CodePreconditionFailed,
			"user_id property set to '%s' but authenticated user was '%s'", view.UserID, user)
	}
	in, err := e.inspect(&view)
	if err != nil {
		return false, err
	}
	e.published.Add(1)
	var room [4]*Queue
	queues, _ := table.Route(room[:0], routing.Message{Exchange: p.Exchange, Key: p.Key, More: in.more, Headers: in.headers})
	if len(queues) == 0 {
		if in.blind {
			p.Props = withoutBlind(p.Props)
		}
		return false, nil
	}
	in.msg = &message{exchange: p.Exchange, key: p.Key, props: p.Props, body: p.Body, blind: in.blind}
	var w *confirm
	if c != nil {
		w = newConfirm(c, seq)
	}
	for _, q := range queues {
		q.yield()
	}
	n, _ := e.enqueue(&in, queues, w, false)
	if e.store != nil && in.persistent {
		e.pace(len(p.Props) + len(p.Body))
	}
	return n > 0, nil
}

const (
	paceStep    = 1 << 20
	maxUnsynced = 32 << 20
)

// pace holds up publishers who are faster than the disk. Those who ask for confirms
// wait for them, but nothing else stops the others from filling the memory.
func (e *Engine) pace(n int) {
	if e.unpaced.Add(int64(n)) < paceStep {
		return
	}
	e.unpaced.Store(0)
	if e.store.Stats().PendingBytes > maxUnsynced {
		_ = e.store.Sync(context.Background()) // whoever asked for a confirm is told of an error
	}
}

// inbound is a message on its way in, and what its properties say of it.
type inbound struct {
	arrival
	persistent bool
	headers    []byte
	more       []string // further routing keys
	blind      bool     // some of them
}

// inspect reads the properties of a message. Its errors come in RabbitMQ's order.
func (e *Engine) inspect(view *wire.PropertyView) (inbound, error) {
	in := inbound{headers: view.Headers, persistent: view.DeliveryMode == wire.Persistent}
	in.priority, in.ttl, in.now = view.Priority, -1, e.now()
	if view.Present&wire.PropExpiration != 0 {
		ttl, err := queueargs.Expiration(view.Expiration)
		if err != nil {
			return inbound{}, err
		}
		in.ttl = ttl.Microseconds()
	}
	if len(view.Headers) > 0 {
		if err := in.moreKeys(); err != nil {
			return inbound{}, err
		}
	}
	if mode := view.DeliveryMode; view.Present&wire.PropDeliveryMode != 0 && mode != wire.Persistent && mode != wire.Transient {
		return inbound{}, errorf(wire.CodePreconditionFailed, "invalid message: {delivery_mode_unknown,%d}", mode)
	}
	return in, nil
}

// confirm is what is told when a message is on disk.
type confirm struct {
	c   Confirmer
	seq uint64
}

func newConfirm(c Confirmer, seq uint64) *confirm { return &confirm{c, seq} }

// Stored implements store.Waiter.
func (w *confirm) Stored(err error) { w.c.Confirmed(w.seq, err == nil) }

// enqueue puts a message into queues and returns how many of them are left, as one
// may have been deleted meanwhile; what refuses the message counts. All of them are
// locked, so that the log has one record with the place in each of them, and no
// queue shows it before.
//
// An error says that the message could not be stored. With anyway it is in the
// queues nevertheless, in memory only.
func (e *Engine) enqueue(in *inbound, queues []*Queue, w *confirm, anyway bool) (n int, err error) {
	if len(queues) > 1 {
		slices.SortFunc(queues, func(a, b *Queue) int { return cmp.Compare(a.id, b.id) })
	}
	live := queues[:0]
	for _, q := range queues {
		if q.mu.Lock(); q.deleted {
			q.mu.Unlock()
			continue
		}
		live = append(live, q)
	}
	refused, err := e.enterAll(in, live, w, anyway)
	var graves []*Queue
	for _, q := range live {
		if q.claim() {
			graves = append(graves, q)
		}
		q.mu.Unlock()
	}
	if w != nil && (refused || err != nil) {
		w.c.Confirmed(w.seq, false)
	}
	for _, q := range graves {
		q.bury()
	}
	return len(live), err
}

// enterAll is enqueue under the locks. It reports whether some queue refused the
// message.
func (e *Engine) enterAll(in *inbound, queues []*Queue, w *confirm, anyway bool) (refused bool, err error) {
	var room [4]*Queue
	takers := room[:0]
	for _, q := range queues {
		if q.refuses(in) {
			refused = true
		} else {
			takers = append(takers, q)
		}
	}
	if refused {
		w = nil // who is told at once is not told again
	}
	loc, stored, err := e.save(in, takers, w)
	if err != nil && !anyway {
		return refused, err
	}
	in.msg.transient = stored < len(takers)
	in.keep = in.msg.transient || e.memory.Load() < e.bodyMemory
	for _, q := range takers {
		at := store.Loc{}
		if q.durable && stored > 0 {
			at = loc
		}
		q.push(&in.arrival, at)
	}
	if w != nil && stored == 0 && len(takers) > 0 && err == nil {
		w.Stored(nil)
	}
	return refused, err
}

// save appends a message to the log, if it is persistent, for those queues that are
// durable, and returns how many they are.
func (e *Engine) save(in *inbound, queues []*Queue, w *confirm) (loc store.Loc, n int, err error) {
	if e.store == nil || !in.persistent {
		return store.Loc{}, 0, nil
	}
	var room [4]store.Ref
	refs := room[:0]
	for _, q := range queues {
		if q.durable {
			l := q.lane(in.priority)
			refs = append(refs, store.Ref{Queue: l.id, Seq: l.next})
		}
	}
	if len(refs) == 0 {
		return store.Loc{}, 0, nil
	}
	m := in.msg
	// The machine's clock, for a later life of the broker: by then it may have been set right.
	r := store.Record{Time: time.Now().UnixMicro(), Exchange: m.exchange, Key: m.key, Props: m.props, Body: m.body}
	var waiter store.Waiter
	if w != nil {
		waiter = w
	}
	if loc, err = e.store.Append(&r, refs, waiter); err != nil {
		return store.Loc{}, 0, err
	}
	return loc, len(refs), nil
}

// refuses reports whether the queue is full and takes no more. The message may be
// dead-lettered for it.
func (q *Queue) refuses(in *inbound) bool {
	if q.set.overflow == queueargs.DropHead || !q.tooLong(1, int64(len(in.msg.body))) {
		return false
	}
	if q.set.overflow == queueargs.RejectPublishDLX {
		q.letter(in.msg)
	}
	return true
}
