package actors

import (
	"context"
	"errors"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/supervisor"
)

const (
	// spoolAfter is how long a copy waits for a broker that blocks publishers until
	// it goes into the spool: alarms that pass at once cost no disk.
	spoolAfter = 2 * time.Second
	// spoolDrain bounds how long the end of a System waits for the broker to take
	// what is in the spool. The rest stays there for the next start.
	spoolDrain = 3 * time.Second
)

// errBlocked: the broker has taken no copy for spoolAfter.
var errBlocked = errors.New("the broker has taken nothing for " + spoolAfter.String())

// spoolable decides whether a copy that failed with err goes into the spool. One
// that cannot be routed or sent is better kept by its queue, where people see it;
// a refusal may have passed at the second try.
func spoolable(err error, tries int) bool {
	switch {
	case err == nil, errors.Is(err, broker.ErrInvalid), errors.Is(err, broker.ErrUnroutable), errors.Is(err, broker.ErrTopology),
		errors.Is(err, broker.ErrStale), errors.Is(err, broker.ErrForbidden):
		return false
	case errors.Is(err, errBlocked):
		return true
	}
	return tries > 0
}

// blockedFor reports whether the broker has blocked publishers for so long that
// nothing is worth waiting for.
func blockedFor(s broker.Session, now time.Time) bool {
	_, since := s.Blocked()
	return !since.IsZero() && now.Sub(since) >= spoolAfter
}

// send hands a copy to the broker or, when that takes none, to the spool.
func (o *outbox) send(ctx context.Context, m *publish) {
	switch {
	case o.spool == nil:
		if err := o.session.Publish(ctx, m.flight.outgoing, m.answer); err != nil {
			m.answer(err)
		}
	case o.spool.Behind() || blockedFor(o.session, time.Now()):
		o.keep(m, errBlocked)
	default:
		o.try(ctx, m)
	}
}

func (o *outbox) try(ctx context.Context, m *publish) {
	limited, cancel := context.WithTimeoutCause(ctx, spoolAfter, errBlocked)
	defer cancel()
	x := &posted{m: m, at: time.Now()}
	tries := m.flight.tries
	answer := func(err error) {
		switch {
		case !x.taken.CompareAndSwap(false, true):
			x.answer(err)
		case spoolable(err, tries):
			o.keep(m, err)
		default:
			m.answer(err)
		}
	}
	err := o.session.Publish(limited, m.flight.outgoing, answer)
	switch {
	case err == nil:
		o.posted = append(o.posted, x)
	case ctx.Err() == nil && errors.Is(context.Cause(limited), errBlocked):
		answer(errors.Join(errBlocked, err))
	default:
		answer(err)
	}
}

// keep writes the copy to the disk. Its flight is settled when it is safe there;
// should that fail the router goes on as if there were no spool.
func (o *outbox) keep(m *publish, why error) {
	o.spool.Put(m.flight.outgoing, func(release func(bool), err error) {
		if err != nil {
			m.answer(errors.Join(why, err))
			return
		}
		m.pool.toRouter(&published{flight: m.flight, release: release})
	})
}

// resolve tells the spool, if the copy of m is there, whether its delivery was
// acked: if not, the broker delivers the message again, and the copy of that
// delivery is the one that counts.
func (m *published) resolve(acked bool) {
	if m.release != nil {
		m.release(acked)
	}
}

// inspectSpool shows the spool on the node of the broker.
func inspectSpool(s broker.Spool, n *supervisor.Node) {
	st := s.Stats()
	n.Spool = &supervisor.Spool{
		Messages: st.Messages, Held: st.Held, Retrying: st.Retrying, Bytes: st.Bytes, MaxBytes: st.MaxBytes,
		Published: st.Published, Refused: st.Refused, Damaged: st.Damaged, LastError: st.LastError,
	}
	if !st.Oldest.IsZero() {
		n.Spool.Oldest = &st.Oldest
	}
}

// drainSpool has the broker take what waits in the spool before the session is
// closed, as far as it does so in time.
func (b *brokerActor) drainSpool(ctx context.Context, session broker.Session) {
	n := b.spool.Stats().Messages
	if n == 0 {
		return
	}
	if session != nil && !blockedFor(session, time.Now()) {
		b.log.Info("publishing what waits in the spool", "messages", n)
		ctx, cancel := context.WithTimeout(ctx, spoolDrain)
		defer cancel()
		_, _ = b.spool.Drain(ctx, session) // what is left is told below
	}
	if left := b.spool.Stats(); left.Messages > 0 {
		b.log.Warn("messages stay in the spool, the next start publishes them", "messages", left.Messages, "bytes", left.Bytes, "err", left.LastError)
	} else {
		b.log.Info("the spool is empty")
	}
}
