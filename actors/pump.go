package actors

import (
	"context"
	"errors"
	"time"

	"github.com/magne-actors/magne-actors/broker"
)

// pumpBatch is the largest number of flights in one message to the router:
// enough to share the cost of a send, few enough that the workers start early.
const pumpBatch = 64

// pump moves the deliveries of one consumer to the router. It is the only place
// that blocks on the watermark, and the only one that raises it.
type pump struct {
	pool   *pool
	source *source
	finish <-chan struct{} // closed when we drain

	late  int           // deliveries to come that arrived in the last pause
	began time.Duration // the pause; after the opening of source
}

// run returns when the consumer has no more deliveries for us. The router has
// then been told of every one of them, and of the loss if the consumer died.
func (p *pump) run() {
	dead := p.source.consumer.Done()
	for p.wait(dead) {
		select {
		case d, ok := <-p.source.consumer.Deliveries():
			if !ok {
				p.end()
				return
			}
			p.forward(d)
		case <-p.finish:
			p.giveBack()
			p.end()
			return
		}
	}
	if !isDone(dead) {
		p.giveBack()
	}
	p.end()
}

// wait blocks while the watermark pauses the pool. What has come to the consumer
// meanwhile counts as old as the pause.
func (p *pump) wait(dead <-chan struct{}) bool {
	mark := p.source.window.mark
	if !mark.Paused() {
		return mark.Wait(p.finish, dead)
	}
	began := time.Since(p.source.opened)
	ok := mark.Wait(p.finish, dead)
	p.late, p.began = len(p.source.consumer.Deliveries()), began
	return ok
}

// forward sends d and whatever else is there already, up to the watermark.
func (p *pump) forward(d *broker.Delivery) {
	arrived := time.Since(p.source.opened)
	p.pool.arrived.Store(p.source.opened.Add(arrived).UnixNano())
	flights := make([]*flight, 0, min(pumpBatch, 1+len(p.source.consumer.Deliveries())))
	for {
		f := &flight{delivery: d, source: p.source, arrived: arrived}
		if p.late > 0 {
			p.late--
			f.arrived = p.began
		}
		flights = append(flights, f)
		if p.source.window.mark.Add() || len(flights) == pumpBatch {
			break
		}
		select {
		case next, ok := <-p.source.consumer.Deliveries():
			if ok {
				d = next
				continue
			}
		default:
		}
		break
	}
	p.pool.toRouter(&arrivals{flights})
}

// giveBack returns the deliveries that had reached this process but no worker.
func (p *pump) giveBack() {
	for d := range p.source.consumer.Deliveries() {
		p.source.window.mark.Add() // the settlement will be counted down again
		if p.source.consumer.Settle(d.Tag, broker.Requeue) != nil {
			p.source.window.mark.Done(1)
		}
	}
}

// end tells the router of the loss, if it is one. The deliveries of a consumer that
// dies may end a moment before it is dead and knows why.
func (p *pump) end() {
	select {
	case <-p.source.consumer.Done():
	case <-p.finish:
	}
	if isDone(p.source.consumer.Done()) {
		p.pool.toRouter(&consumerLost{p.source})
	}
}

// outbox publishes copies of messages (retries, dead letters) one after the
// other, outside the broker actor, since the broker may block a publisher.
type outbox struct {
	session broker.Session
	spool   broker.Spool  // nil: none
	posted  []*posted     // with a spool: may be unconfirmed; of run
	waiting chan *publish // the broker actor sends
	failed  unprepared    // of run
}

// unprepared is a prepare that failed.
type unprepared struct {
	pool *pool // nil: none did
	at   time.Time
	err  error
}

// newOutbox returns an outbox with room for publications of that many flights.
func newOutbox(s broker.Session, spool broker.Spool, flights int) *outbox {
	return &outbox{session: s, spool: spool, waiting: make(chan *publish, flights)}
}

// put never blocks. A flight has one publication under way at most, but those of
// flights that were dropped with their consumer are still in the way while the
// broker blocks publishers.
func (o *outbox) put(m *publish) {
	select {
	case o.waiting <- m:
	default:
		m.answer(errOutboxFull)
	}
}

var errOutboxFull = errors.New("too many messages wait to be published")

func (m *publish) answer(err error) { m.pool.toRouter(&published{flight: m.flight, err: err}) }

// abandon answers what waits: its session has ended, and run with it. Without an
// answer a drain would wait for the flights, whose consumers have no pump any more
// that could tell of their deaths. It is for the broker actor, who then puts no more.
func (o *outbox) abandon() {
	for {
		select {
		case m := <-o.waiting:
			m.answer(broker.ErrClosed)
		default:
			return
		}
	}
}

// run returns when the session or ctx has ended; what waits then is abandoned.
func (o *outbox) run(ctx context.Context) {
	look, stop := o.lookout()
	defer stop()
	for {
		select {
		case <-look:
			o.insure(time.Now())
		case m := <-o.waiting:
			if isDone(m.consumer.Done()) { // its delivery is somebody else's, who publishes it
				m.answer(broker.ErrStale)
			} else if err := o.prepare(ctx, m); err != nil {
				m.answer(err)
			} else {
				o.send(ctx, m)
			}
		case <-o.session.Done():
			return
		case <-ctx.Done():
			return
		}
	}
}

// prepare does what must be done before a publication. That may block for as long as
// applyTimeout, and everybody waits: what was asked for before it failed shares the
// error.
func (o *outbox) prepare(ctx context.Context, m *publish) error {
	if !m.flight.delayed {
		return nil
	}
	last, declares := &o.failed, m.pool.Queue.Declare == broker.DeclareCreate
	if declares && m.asked.Before(last.at) && (last.pool == m.pool || !m.pool.ladder.declared.Load()) {
		return last.err
	}
	err := m.pool.prepare(ctx, o.session)
	if err != nil {
		*last = unprepared{m.pool, time.Now(), err}
	}
	return err
}
