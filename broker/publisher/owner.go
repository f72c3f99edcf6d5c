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
		o.p.counts.open.Store(int64(o.book.open))
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

// hangUp closes the session, which is dead, or has no time left.
func (o *owner) hangUp() {
	l := o.line
	if l == nil {
		return
	}
	o.line = nil
	o.p.session.Store(nil)
	close(l.calls)
	o.p.guard(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		l.end()
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
	l := o.line
	if l == nil {
		return
	}
	o.line = nil
	o.p.session.Store(nil)
	close(l.calls)
	l.end()
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

// line is the owner's side of one session.
type line struct {
	session broker.Session
	calls   chan call
	ctx     context.Context //nolint:containedctx // ends with the session
	end     context.CancelFunc

	callCtx context.Context //nolint:containedctx // of the sender's calls until the next cut
	cutCall context.CancelFunc
}

// call is what the sender is to publish.
type call struct {
	ctx context.Context //nolint:containedctx // of this call alone
	e   *entry
}

func (p *Publisher) newLine(session broker.Session) *line {
	l := &line{session: session, calls: make(chan call)}
	l.ctx, l.end = context.WithCancel(context.Background())
	p.session.Store(&session)
	p.sender(l)
	if p.spool != nil {
		p.guard(func() { p.spool.Flush(l.ctx, session) }, func(err error) {
			p.log.Error("the spool is not published any more on this session", "err", err)
		})
	}
	return l
}

func (l *line) callContext() context.Context {
	if l.callCtx == nil {
		l.callCtx, l.cutCall = context.WithCancel(l.ctx)
	}
	return l.callCtx
}

func (l *line) cut() {
	if l.callCtx != nil {
		l.cutCall()
		l.callCtx = nil
	}
}

// sender publishes on one session, one after the other, and may block: it is what the
// owner must not do.
func (p *Publisher) sender(l *line) {
	o := p.owner
	var now *entry
	p.guard(func() {
		for c := range l.calls {
			now = c.e
			err := p.send(c.ctx, l.session, c.e)
			now = nil
			p.box.post(func() { o.sent(c.e, err) })
		}
	}, func(err error) {
		p.box.post(func() {
			if now != nil {
				o.book.sent(now, err, time.Now())
			}
			if o.line == l {
				o.book.ended(err, time.Now())
			}
		})
	})
}

// send hands a publication to the session; one that waits on the broker by the way for
// it, and for as long as is left.
func (p *Publisher) send(ctx context.Context, session broker.Session, e *entry) error {
	if e.delayed != "" {
		if err := p.way.Pave(ctx, session, e.delayed); err != nil {
			return noQueue(err)
		}
		reroute(&e.pub, e.delayed, time.Now())
	}
	return session.Publish(ctx, &e.pub, func(err error) {
		p.box.post(func() { p.owner.heard(e, err) })
	})
}
