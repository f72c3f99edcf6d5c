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
	if len(q.dead) == 0 || q.burying {
		return false
	}
	q.burying = true
	return true
}

// bury sends what has died, without the lock: the queues where it goes have locks.
// Queues that dead-letter to one another make it call itself, but not for a queue
// where it is at work, and deadletter breaks the circle of the messages.
func (q *Queue) bury() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.dead) > 0 {
		batch := q.dead
		q.dead = nil
		q.mu.Unlock()
		var lost []int
		for i := range batch {
			if !q.e.sendLetter(q, &batch[i]) {
				lost = append(lost, i)
			}
		}
		q.mu.Lock()
		for i := range batch {
			q.interred(&batch[i], !slices.Contains(lost, i))
		}
		if !q.deleted {
			q.run(q.e.now()) // there may be more than a batch
		}
	}
	q.burying = false
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
