package publisher

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/restart"
)

// settings are what a book goes by.
type settings struct {
	backoff     restart.Backoff
	failBlocked bool
	spool       bool
	spoolAfter  time.Duration
	random      func() float64 // in [0, 1)
}

const (
	// pollEvery is how often the session is asked whether the broker blocks us, where
	// somebody wants to know, and how exactly SpoolAfter is kept.
	pollEvery = 100 * time.Millisecond
	// refusedTwice: then a publication goes into the spool.
	refusedTwice = 2
	// maxLost is how often a publication may be lost with others. Then it goes alone: a
	// message that makes the broker close the connection would have all others that are
	// with the broker published again and again.
	maxLost = 3
)

// orderKind is what the owner has to do for a book.
type orderKind uint8

const (
	orderAnswer  orderKind = iota + 1 // tell e's publisher outcome and err
	orderPut                          // put e into the spool
	orderRelease                      // tell the spool of e, to keep it or not
	orderCut                          // end the call of the sender
	orderDial                         // one attempt
	orderHangUp                       // close the session
)

type order struct {
	kind    orderKind
	e       *entry
	outcome Outcome
	err     error
	keep    bool
}

// book says what becomes of each publication. It is pure: its methods say what
// happened at which time, orders collects what is to be done about it.
type book struct {
	settings
	orders []order

	seq       uint64
	waiting   bySeq
	later     byDue
	live      map[*entry]struct{} // not answered, or with the broker, or being stored
	open      int                 // not answered
	storing   int                 // being written to the spool
	sending   *entry              // with the sender, until it says what became of it
	cutting   bool                // its call was ended by us
	out       int                 // sending or flying
	settling  bool                // some were lost: the others are waited for, so that the order is kept
	alone     bool                // a suspect is with the broker
	resume    time.Time           // nothing is published before
	poll      time.Time           // of the next look at what takes long
	closing   bool
	final     bool // the time for closing is over
	link      link
	blockedBy string    // the broker's words
	blocked   time.Time // since when it blocks us; zero: it does not
}

func newBook(s settings) *book {
	return &book{settings: s, live: map[*entry]struct{}{}, link: link{tries: restart.Series{Backoff: s.backoff}}}
}

func (b *book) order(o order) { b.orders = append(b.orders, o) }

// add takes a new publication.
func (b *book) add(e *entry, now time.Time) {
	b.seq++
	e.seq = b.seq
	b.live[e] = struct{}{}
	b.open++
	if b.closing {
		b.fail(e, ErrClosed)
		return
	}
	if e.ended != nil { // before it came here
		b.fail(e, e.ended)
		return
	}
	b.want(now)
	switch {
	case b.failBlocked && !b.blocked.IsZero():
		b.fail(e, b.blockedError())
	default:
		b.place(e, now)
	}
}

// place puts e where it goes next: into the spool while the broker takes nothing.
func (b *book) place(e *entry, now time.Time) {
	switch {
	case b.diverts(now) && b.store(e):
	case b.final:
		b.fail(e, ErrClosed)
	default:
		b.wait(e)
	}
}

// offer returns what is to be published next, if now is the time.
func (b *book) offer(now time.Time) *entry {
	if !b.link.up || b.sending != nil || b.settling || b.alone || len(b.waiting) == 0 || now.Before(b.resume) {
		return nil
	}
	if e := b.waiting[0]; !e.suspect() || b.out == 0 {
		return e
	}
	return nil
}

func (e *entry) suspect() bool { return e.lost >= maxLost }

// fed says that the sender has e.
func (b *book) fed(e *entry) {
	b.take(e)
	e.place = sending
	e.tries++
	b.sending = e
	b.alone = e.suspect()
	b.out++
}

// sent says whether the session has taken what the sender had.
func (b *book) sent(e *entry, err error, now time.Time) {
	cut := b.cutting
	b.sending, b.cutting = nil, false
	switch {
	case e.place != sending: // answered already
	case err != nil:
		b.landed(e)
		b.untaken(e, err, cut, now)
	case e.ended != nil:
		e.place = flying
		b.fail(e, e.ended)
	default:
		e.place = flying
	}
}

// untaken: the session has not taken e, or ended before.
func (b *book) untaken(e *entry, err error, cut bool, now time.Time) {
	switch {
	case errors.Is(err, broker.ErrInvalid), errors.Is(err, broker.ErrUnroutable):
		b.reject(e, err)
	case e.ended != nil:
		b.fail(e, e.ended)
	default:
		e.tries--
		if !cut {
			b.trouble(err, now)
		}
		b.place(e, now)
	}
}

// landed: e is not with the session any more.
func (b *book) landed(e *entry) {
	e.place = aside
	b.alone = false
	if b.out--; b.out == 0 {
		b.settling = false
	}
}

// heard is the broker's answer, or that none can come.
func (b *book) heard(e *entry, err error, now time.Time) {
	b.landed(e)
	unknown := err != nil && !errors.Is(err, broker.ErrUnroutable) && !errors.Is(err, broker.ErrRefused)
	if unknown {
		b.unknown(e, err, now)
	} else {
		b.well(now)
	}
	switch {
	case e.stored == held:
		b.order(order{kind: orderRelease, e: e, keep: err != nil})
		e.stored = notStored
		b.forget(e)
	case e.answered:
		b.forget(e)
	case err == nil:
		b.answer(e, Confirmed, nil)
	case errors.Is(err, broker.ErrUnroutable) && e.delayed != "" && !e.strayed && !b.final:
		e.strayed = true // and the ladder is declared once more
		b.wait(e)
	case errors.Is(err, broker.ErrUnroutable), errors.Is(err, broker.ErrForbidden):
		b.reject(e, err)
	case e.stored == storing: // that decides
		e.last = err
	case unknown:
		b.again(e, now)
	default:
		b.refusal(e, err, now)
	}
}

// unknown: what is with the broker beside e may share its fate, so that it is waited for.
func (b *book) unknown(e *entry, err error, now time.Time) {
	e.maybe, e.last = true, err
	e.lost++
	if b.link.up && !b.settling && !now.Before(b.resume) { // else it was told by another one
		b.trouble(err, now)
	}
	b.settling = b.out > 0
}

// again publishes e again, in its place. One that was lost alone lets others pass, for
// longer each time.
func (b *book) again(e *entry, now time.Time) {
	if e.lost > maxLost && !b.diverts(now) && !b.final {
		begin := now
		if b.resume.After(now) {
			begin = b.resume
		}
		b.waitUntil(e, begin.Add(b.backoff.Delay(e.lost-maxLost, b.random())))
		return
	}
	b.place(e, now)
}

func (b *book) refusal(e *entry, err error, now time.Time) {
	e.refused++
	e.last = err
	switch {
	case e.refused >= refusedTwice && b.store(e):
	case b.final:
		b.place(e, now)
	default:
		b.waitUntil(e, now.Add(b.backoff.Delay(e.refused, b.random())))
	}
}

// tick does what is due.
func (b *book) tick(now time.Time) {
	b.redial(now)
	for len(b.later) > 0 && !b.later[0].due.After(now) {
		e := b.later[0]
		b.take(e)
		b.wait(e)
	}
	if !now.Before(b.poll) {
		b.poll = now.Add(pollEvery)
		b.look(now)
	}
}

// look is about what takes long.
func (b *book) look(now time.Time) {
	if b.failBlocked && !b.blocked.IsZero() {
		for _, e := range b.inOrder() {
			if e.place != flying && e.stored != storing {
				b.cancel(e, b.blockedError())
			}
		}
	}
	if b.diverts(now) {
		b.divert()
	}
}

// watches reports whether look has to be called again and again.
func (b *book) watches() bool { return (b.spool || b.failBlocked) && b.open > 0 }

// inOrder are all live ones, the oldest first.
func (b *book) inOrder() []*entry {
	list := make([]*entry, 0, len(b.live))
	for e := range b.live {
		list = append(list, e)
	}
	slices.SortFunc(list, func(x, y *entry) int { return cmp.Compare(x.seq, y.seq) })
	return list
}

// wake is when tick has something to do, if nothing happens before.
func (b *book) wake(now time.Time) time.Time {
	next := now.Add(time.Hour)
	if b.link.redial {
		next = earlier(next, b.link.due)
	}
	if len(b.later) > 0 {
		next = earlier(next, b.later[0].due)
	}
	if len(b.waiting) > 0 && now.Before(b.resume) {
		next = earlier(next, b.resume)
	}
	if b.watches() {
		next = earlier(next, b.poll)
	}
	return next
}

func earlier(x, y time.Time) time.Time {
	if y.Before(x) {
		return y
	}
	return x
}

// block notes what the session says of itself: since when, and why, the broker takes
// nothing.
func (b *book) block(reason string, since time.Time) { b.blockedBy, b.blocked = reason, since }
