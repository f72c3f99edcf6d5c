package publisher

import (
	"context"
	"time"

	"github.com/magne-actors/magne-actors/broker"
)

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
	return session.Publish(ctx, &e.pub, e.heard)
}
