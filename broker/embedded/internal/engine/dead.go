package engine

import (
	"slices"
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/deadletter"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/routing"
	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

const (
	rejected      = deadletter.Rejected
	expired       = deadletter.Expired
	maxLength     = deadletter.MaxLen
	deliveryLimit = deadletter.DeliveryLimit
)

// casualty is a message that is dead: its entry stays until a copy is where the
// dead-letter exchange leads, so that the loss of the process leaves one of them.
type casualty struct {
	l      *lane // nil: it never got in
	seq    uint64
	msg    *message
	reason deadletter.Reason
}

// kill ends a message that is ready or out: it is dropped, or dead-lettered when
// the lock of the queue is released.
func (q *Queue) kill(l *lane, seq uint64, ent *entry, reason deadletter.Reason) {
	to, msg := gone, ent.msg
	if q.buries() {
		if to = dead; msg == nil && q.read(ent) {
			r := &q.record
			msg = &message{exchange: r.Exchange, key: r.Key, props: slices.Clone(r.Props), body: slices.Clone(r.Body)}
		}
	}
	if ent.state() == ready {
		q.take(l, seq, ent, to)
	} else {
		q.unacked--
		q.outBytes -= int64(ent.size)
		if ent.setState(to); to == gone {
			q.settled(l, seq, ent)
			l.remove(seq)
		}
	}
	if to == dead && msg != nil { // what cannot be read stays on disk
		q.dead = append(q.dead, casualty{l, seq, msg, reason})
	}
}

// buries reports whether there is an exchange for the queue's dead letters.
func (q *Queue) buries() bool {
	if !q.set.deadLetters {
		return false
	}
	_, ok := q.e.table.Load().Lookup(q.set.deadExchange)
	return ok
}

// letter dead-letters a message that was refused.
func (q *Queue) letter(m *message) {
	if q.buries() {
		q.dead = append(q.dead, casualty{msg: m, reason: maxLength})
	}
}

// unlock releases the lock of the queue, and sends what has died to the dead-letter
// exchange, unless somebody else is at it.
func (q *Queue) unlock() {
	mine := q.claim()
	q.mu.Unlock()
	if mine {
		q.bury()
	}
}

// claim makes the caller the one who must call bury, if somebody must. So dead
// letters of a queue keep their order.
func (q *Queue) claim() bool {
	if len(q.dead) == 0 || q.burying || !q.e.beginBurial() {
		return false
	}
	q.burying = true
	return true
}

// beginBurial reports false if the engine is closed. Otherwise Close waits for
// burials.Done.
func (e *Engine) beginBurial() bool {
	e.closing.RLock()
	defer e.closing.RUnlock()
	if e.closed.Load() {
		return false
	}
	e.burials.Add(1)
	return true
}

// yield waits, before a publisher takes locks, while the queue has a whole batch of
// dead letters and somebody sends others: so publishers are not faster than their
// dead letters, and the queue is not much longer than allowed.
func (q *Queue) yield() {
	if !q.set.deadLetters {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.burying && len(q.dead) >= deadBatch && !q.deleted && !q.e.closed.Load() {
		q.room.Wait()
	}
}

// bury sends a batch of what has died. Whatever dies meanwhile is left to a goroutine:
// the caller is not to work for all others.
func (q *Queue) bury() {
	if q.buryBatch() {
		go func() {
			for q.buryBatch() {
			}
		}()
	}
}

// buryBatch sends what has died, without the lock: the queues where it goes have
// locks. It reports whether there is more, which the caller must see to.
// Queues that dead-letter to one another make it call itself, but not for a queue
// where it is at work, and deadletter breaks the circle of the messages.
func (q *Queue) buryBatch() (more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.dead), deadBatch)
	batch := q.dead[:n:n]
	if q.dead = q.dead[n:]; len(q.dead) == 0 {
		q.dead = nil
	}
	q.room.Broadcast()
	stays := q.durable && !q.deleted
	q.mu.Unlock()
	var lost []int
	for i := range batch {
		if stays && q.e.closed.Load() {
			batch = batch[:i] // the others die again after the next Open
			break
		}
		if !q.e.sendLetter(q, &batch[i]) {
			lost = append(lost, i)
		}
	}
	q.mu.Lock()
	for i := range batch {
		q.interred(&batch[i], !slices.Contains(lost, i))
	}
	closed := q.e.closed.Load()
	if !q.deleted && !closed {
		q.run(q.e.now()) // there may be more than a batch
	}
	if len(q.dead) > 0 && !(stays && closed) {
		return true
	}
	q.burying = false
	q.room.Broadcast()
	q.e.burials.Done()
	return false
}

// interred removes the entry of a dead message. If no copy of it could be stored,
// what is on disk stays there for the next Open.
func (q *Queue) interred(c *casualty, safe bool) {
	if c.l == nil {
		return
	}
	ent := c.l.at(c.seq)
	if safe || !ent.onDisk() {
		q.settled(c.l, c.seq, ent)
		c.l.remove(c.seq)
		return
	}
	q.forgetMessage(ent)
}

func (e *Engine) inspectLetter(props []byte) (inbound, error) {
	view, err := wire.ViewProperties(props)
	if err != nil {
		return inbound{}, err
	}
	return e.inspect(&view)
}

// sendLetter publishes the dead letter of a message and reports whether it is as
// safe as the message was. It is when the letter is not wanted anywhere.
func (e *Engine) sendLetter(q *Queue, c *casualty) bool {
	target := deadletter.Target{Exchange: q.set.deadExchange, Key: q.set.deadKey}
	m, in := c.msg, inbound{}
	more, blind := copies(m.props)
	props := m.props
	if blind {
		props = withoutBlind(props)
	}
	letter, err := deadletter.New(deadletter.Death{
		Reason: c.reason, Queue: q.name, Time: time.Now(),
		Exchange: m.exchange, Key: m.key, More: more, Props: props,
	}, target)
	if err == nil {
		in, err = e.inspectLetter(letter.Props)
	}
	if err != nil {
		e.log.Error("cannot dead-letter a message; it is dropped", "queue", q.name, "err", err)
		return true
	}
	queues, _ := e.table.Load().Route(nil, routing.Message{
		Exchange: letter.Exchange, Key: letter.Key, More: letter.More, Headers: in.headers,
	})
	queues = slices.DeleteFunc(queues, func(to *Queue) bool { return letter.Cycle(to.name) })
	in.arrival.msg = &message{exchange: letter.Exchange, key: letter.Key, props: letter.Props, body: m.body}
	_, err = e.enqueue(&in, queues, nil, true)
	if err != nil {
		e.log.Warn("a dead letter is in memory only", "queue", q.name, "err", err)
	}
	return err == nil
}
