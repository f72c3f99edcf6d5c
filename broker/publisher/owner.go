package publisher

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/magne-actors/magne-actors/broker"
)

// owner is the goroutine that owns the book and the session.
type owner struct {
	p     *Publisher
	book  *book
	line  *line               // nil: no session
	ready map[chan error]bool // who waits for the result of a dial

	dialCtx context.Context //nolint:containedctx // ends with the time for closing
	stop    context.CancelFunc
	closing context.Context //nolint:containedctx // of the first Close; nil before
	cutOff  int             // answered with an error, because that had ended
}

// run is the owner's life.
func (o *owner) run() {
	defer o.end()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var list []func()
	for {
		list = o.p.box.take(list)
		for _, f := range list {
			f()
		}
		clear(list)
		now := time.Now()
		if o.book.watches() && !now.Before(o.book.poll) {
			o.ask()
		}
		o.book.tick(now)
		o.perform()
		if o.book.closed() {
			return
		}
		timer.Reset(time.Until(o.book.wake(now)))
		o.await(timer.C, now)
	}
}

// await blocks until something happens, and hands the sender its next publication.
func (o *owner) await(due <-chan time.Time, now time.Time) {
	var calls chan<- call
	var next call
	var dead <-chan struct{}
	if o.line != nil {
		dead = o.line.session.Done()
		if e := o.book.offer(now); e != nil {
			calls, next = o.line.calls, call{o.line.callContext(), e}
		}
	}
	select {
	case <-o.p.box.wake:
	case calls <- next:
		o.fed(next.e)
	case <-dead:
		o.lost(o.line)
	case <-due:
	}
}

func (o *owner) fed(e *entry) {
	if e.lost+e.refused > 0 {
		o.p.counts.republished.Add(1)
	}
	o.book.fed(e)
	o.p.counts.inFlight.Store(int64(o.book.out))
}

// ask hears whether the broker blocks us.
func (o *owner) ask() {
	if o.line != nil {
		o.book.block(o.line.session.Blocked())
	}
}

// lost ends a session that is dead.
func (o *owner) lost(l *line) {
	if l == nil || l != o.line {
		return
	}
	err := l.session.Err()
	o.book.ended(err, time.Now())
	o.p.log.Warn("lost the session for publishing", "fault", broker.FaultOf(err), "err", err, "unanswered", o.book.out)
	o.perform()
}

// seeDeath takes note of the end of the session before what follows from it.
func (o *owner) seeDeath() {
	if l := o.line; l != nil {
		select {
		case <-l.session.Done():
			o.lost(l)
		default:
		}
	}
}

func (o *owner) add(e *entry) {
	if o.book.failBlocked {
		o.ask()
	}
	o.p.counts.open.Add(1)
	o.book.add(e, time.Now())
}

func (o *owner) cancel(e *entry, cause error) {
	o.ask() // for the error to say it
	o.book.cancel(e, cause)
}

func (o *owner) sent(e *entry, err error) {
	if err != nil {
		o.seeDeath()
	}
	o.book.sent(e, err, time.Now())
}

func (o *owner) heard(e *entry, err error) {
	switch {
	case err == nil:
	case errors.Is(err, broker.ErrRefused):
		o.p.counts.refused.Add(1)
	case errors.Is(err, broker.ErrUnroutable):
		if e.delayed != "" {
			o.p.way.Doubt(e.delayed)
		}
	default:
		o.seeDeath()
	}
	o.book.heard(e, err, time.Now())
	o.p.counts.inFlight.Store(int64(o.book.out))
}

func (o *owner) kept(e *entry, release func(bool), err error) {
	e.release = release
	o.book.kept(e, err, time.Now())
}

func (o *owner) want(ready chan error) {
	switch {
	case o.line != nil:
		ready <- nil
	case o.book.closing:
		ready <- ErrClosed
	default:
		o.ready[ready] = true
		o.book.want(time.Now())
	}
}

func (o *owner) close(ctx context.Context) {
	if o.closing == nil {
		o.closing = ctx
	}
	o.book.close()
}

// expire is the end of the time for closing.
func (o *owner) expire() {
	o.stop()
	o.book.expire(time.Now())
}

// dialed is the end of an attempt to connect.
func (o *owner) dialed(session broker.Session, err error) {
	now := time.Now()
	if err == nil {
		o.line = o.p.newLine(session)
		o.p.counts.connects.Add(1)
	}
	o.book.dialed(err, now)
	for ready := range o.ready {
		ready <- err
	}
	clear(o.ready)
	if err != nil && o.book.link.redial {
		o.p.log.Warn("cannot connect for publishing", "fault", broker.FaultOf(err), "err", err, "again_in", o.book.link.due.Sub(now))
	}
}

// perform does what the book has decided.
func (o *owner) perform() {
	for _, d := range o.book.orders {
		switch d.kind {
		case orderAnswer:
			if d.err != nil && o.book.final {
				o.cutOff++
			}
			o.p.answer(d.e, d.outcome, d.err)
		case orderPut:
			o.p.put(d.e)
		case orderRelease:
			d.e.release(d.keep)
		case orderCut:
			if o.line != nil {
				o.line.cut()
			}
		case orderDial:
			o.dial()
		case orderHangUp:
			o.hangUp()
		}
	}
	clear(o.book.orders)
	o.book.orders = o.book.orders[:0]
}

func (o *owner) dial() {
	p, ctx := o.p, o.dialCtx
	p.guard(func() {
		session, err := p.o.Dialer.Dial(ctx)
		if !p.box.post(func() { o.dialed(session, err) }) && err == nil {
			_ = session.Close(ctx) // it came too late
		}
	}, func(err error) { p.box.post(func() { o.dialed(nil, err) }) })
}

// letGo ends all that uses the session but what is unanswered, and returns it, if there
// is one.
func (o *owner) letGo() *line {
	l := o.line
	if l == nil {
		return nil
	}
	o.line = nil
	o.p.session.Store(nil)
	close(l.calls)
	l.end()
	return l
}

// hangUp closes the session, which is dead, or has no time left.
func (o *owner) hangUp() {
	l := o.letGo()
	if l == nil {
		return
	}
	o.p.guard(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = l.session.Close(ctx) // what was with it is unknown now
	}, func(error) {})
}

// end is the end of the owner, by Close or by a panic, which is answered as Close.
func (o *owner) end() {
	failed := recover()
	cause := ErrClosed
	if !o.book.closed() {
		o.p.log.Error("the publisher has failed", "panic", failed)
		cause = errFailed
	}
	o.p.closeOnce.Do(func() { close(o.p.closing) })
	o.stop()
	o.leave()
	guarded(o.finish, func(error) {})
	o.leave() // a session that came last
	for e := range o.book.live {
		if !e.answered {
			o.p.answer(e, 0, errors.Join(broker.ErrUnknown, cause))
		}
	}
	for ready := range o.ready {
		ready <- cause
	}
	close(o.p.ended)
}

// leave closes the session, which is given the time of Close for the rest of its
// confirms: of publications that were given up.
func (o *owner) leave() {
	l := o.letGo()
	if l == nil {
		return
	}
	ctx := o.closing
	if ctx == nil {
		ctx = o.dialCtx // over
	}
	guarded(func() { _ = l.session.Close(ctx) }, func(error) {})
}

// finish hears the last answers and closes the spool.
func (o *owner) finish() {
	for _, f := range o.p.box.take(nil) {
		f()
	}
	o.perform()
	if o.cutOff > 0 {
		o.p.closeErr = fmt.Errorf("publisher: close: %d publications were not accepted in time", o.cutOff)
	}
	if o.p.spool != nil {
		o.p.closeErr = errors.Join(o.p.closeErr, o.p.shut())
	}
	for _, f := range o.p.box.close() {
		f() // they are answered that it is closed
	}
	o.perform()
}
