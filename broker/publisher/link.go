package publisher

import (
	"errors"
	"fmt"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/restart"
)

// link is what a book knows of the connection.
type link struct {
	wanted  bool // somebody has needed one
	dialing bool
	redial  bool      // at due
	due     time.Time // of the next attempt
	up      bool
	since   time.Time // of up
	tries   restart.Series
	trouble error     // why nothing is published; nil: nothing is wrong
	away    time.Time // since when there is trouble
}

// want has a session opened, if it is the first need.
func (b *book) want(now time.Time) {
	if l := &b.link; !l.wanted {
		l.wanted, l.away = true, now
		b.dial()
	}
}

func (b *book) dial() {
	b.link.dialing, b.link.redial = true, false
	b.order(order{kind: orderDial})
}

func (b *book) redial(now time.Time) {
	if b.link.redial && !b.link.due.After(now) {
		b.dial()
	}
}

// dialed is the end of an attempt.
func (b *book) dialed(err error, now time.Time) {
	l := &b.link
	l.dialing = false
	switch {
	case err == nil && b.final:
		b.order(order{kind: orderHangUp})
	case err == nil:
		l.up, l.since, l.trouble = true, now, nil
		l.tries.Up(now)
	default:
		l.trouble = err
		b.dialLater(now)
	}
}

func (b *book) dialLater(now time.Time) {
	b.link.redial = !b.final
	b.link.due = now.Add(b.link.tries.Next(now, b.random()))
}

// ended: the session is dead.
func (b *book) ended(err error, now time.Time) {
	if !b.link.up {
		return
	}
	b.link.up = false
	b.settling = b.out > 0
	b.blocked = time.Time{}
	b.depart(now)
	b.link.trouble = fmt.Errorf("the connection was lost: %w", orUnknown(err))
	b.order(order{kind: orderHangUp})
	b.dialLater(now)
}

func orUnknown(err error) error {
	if err == nil {
		return broker.ErrClosed
	}
	return err
}

// trouble: the session lives, and what it was given was not taken, or is lost.
func (b *book) trouble(err error, now time.Time) {
	if !b.link.up {
		return
	}
	b.depart(now)
	b.link.trouble = err
	b.resume = now.Add(b.link.tries.Next(now, b.random()))
}

// depart notes since when there is trouble. A session that lives for a moment only is
// no end of it.
func (b *book) depart(now time.Time) {
	if l := &b.link; l.away.IsZero() || l.trouble == nil && now.Sub(l.since) >= resetAfter {
		l.away = now
	}
}

// well: the broker has answered.
func (b *book) well(now time.Time) {
	if l := &b.link; !l.away.IsZero() && l.up {
		l.trouble, l.away = nil, time.Time{}
		l.tries.Up(now)
	}
}

// diverts reports whether what there is to publish goes into the spool.
func (b *book) diverts(now time.Time) bool {
	switch l := &b.link; {
	case !b.spool:
		return false
	case b.final:
		return true
	case !b.blocked.IsZero():
		return now.Sub(b.blocked) >= b.spoolAfter
	default:
		return (!l.up || l.trouble != nil) && now.Sub(l.away) >= b.spoolAfter
	}
}

// divert puts into the spool what the broker does not take: what it has been sent, too,
// while it blocks us, and its copy is held back until the broker has answered.
func (b *book) divert() {
	for _, e := range b.inOrder() {
		switch {
		case e.answered || !b.storable(e):
		case e.place == sending:
			b.cut()
		case e.place != flying || !b.blocked.IsZero():
			b.take(e)
			b.store(e)
		}
	}
}

// storable reports whether e may be put into the spool: a delay there would begin when
// the broker is back.
func (b *book) storable(e *entry) bool {
	return b.spool && e.stored == notStored && e.delayed == ""
}

// store puts e into the spool, if it may be.
func (b *book) store(e *entry) bool {
	if !b.storable(e) {
		return false
	}
	e.stored = storing
	b.storing++
	b.order(order{kind: orderPut, e: e})
	return true
}

// kept is the spool's answer. e.release is set when there is no error.
func (b *book) kept(e *entry, err error, now time.Time) {
	b.storing--
	e.stored = notStored
	switch {
	case err != nil:
		e.stored, e.last = unstorable, err
		switch {
		case e.answered:
			b.forget(e)
		case e.place != aside:
		case errors.Is(err, broker.ErrInvalid):
			b.reject(e, err)
		default:
			b.place(e, now)
		}
	case e.answered: // meanwhile: confirmed, or given up
		b.order(order{kind: orderRelease, e: e})
		b.forget(e)
	case e.place == flying || e.place == sending:
		e.stored = held
		b.answer(e, Spooled, nil)
	default:
		b.order(order{kind: orderRelease, e: e, keep: true})
		b.answer(e, Spooled, nil)
	}
}
