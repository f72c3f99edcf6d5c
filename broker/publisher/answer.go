package publisher

import (
	"errors"
	"fmt"
	"time"

	"github.com/magne-actors/magne-actors/broker"
)

// This file is how publications end: answered by the broker or the spool, at the end of
// their context, and at that of the Publisher.

// cancel says that the time of e is over.
func (b *book) cancel(e *entry, cause error) {
	switch {
	case e.answered:
	case e.seq == 0: // it is on its way to add
		e.ended = cause
	case e.place == sending:
		b.end(e, cause)
	default: // one that is being stored is withdrawn when that is done
		b.take(e)
		b.fail(e, cause)
	}
}

// end has e go no further than the sender.
func (b *book) end(e *entry, cause error) {
	e.ended = cause
	b.cut()
}

func (b *book) cut() {
	if !b.cutting && b.sending != nil {
		b.cutting = true
		b.order(order{kind: orderCut})
	}
}

// fail answers e with why it goes no further, and what that says of its fate.
func (b *book) fail(e *entry, cause error) {
	switch why := b.why(e); {
	case e.place == flying || e.maybe || e.stored == storing:
		b.answer(e, 0, fmt.Errorf("%w: %w", broker.ErrUnknown, cause))
	case why != nil && !errors.Is(cause, ErrBlocked):
		b.answer(e, 0, fmt.Errorf("not published: %w: %w", cause, why))
	default:
		b.answer(e, 0, fmt.Errorf("not published: %w", cause))
	}
}

// reject answers e with an error that no other try can help.
func (b *book) reject(e *entry, err error) {
	if e.maybe {
		err = fmt.Errorf("%w; of an earlier try: %w", err, broker.ErrUnknown)
	}
	b.answer(e, 0, err)
}

// why is what e has waited for.
func (b *book) why(e *entry) error {
	switch {
	case e.last != nil:
		return e.last
	case !b.blocked.IsZero():
		return b.blockedError()
	}
	return b.link.trouble
}

func (b *book) blockedError() error { return fmt.Errorf("%w: %s", ErrBlocked, b.blockedBy) }

func (b *book) answer(e *entry, outcome Outcome, err error) {
	e.answered = true
	b.open--
	b.order(order{kind: orderAnswer, e: e, outcome: outcome, err: err})
	b.forget(e)
}

// forget ends the book's interest in e, when nothing of it is under way.
func (b *book) forget(e *entry) {
	if e.answered && e.place == aside && e.stored != storing && e.stored != held {
		delete(b.live, e)
	}
}

// close takes nothing new.
func (b *book) close() { b.closing = true }

// expire gives up what is unanswered: it goes into the spool, or fails.
func (b *book) expire(now time.Time) {
	b.closing, b.final = true, true
	b.link.redial = false
	for _, e := range b.inOrder() {
		switch {
		case e.answered || e.stored == storing:
		case e.place == sending:
			b.cut()
			if !b.storable(e) {
				e.ended = ErrClosed
			}
		case e.place == flying && b.store(e): // the end of the session says whether it counts
		case e.place == flying:
			b.fail(e, ErrClosed)
		default:
			b.take(e)
			b.place(e, now)
		}
	}
	if b.link.up {
		b.order(order{kind: orderHangUp})
		b.link.up = false
	}
}

// closed reports whether all is answered, after close.
func (b *book) closed() bool { return b.closing && b.open == 0 && b.storing == 0 && b.sending == nil }
