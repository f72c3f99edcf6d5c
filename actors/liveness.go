package actors

import (
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/supervisor"
)

// Liveness is the state of a pool's consumer and its evidence.
type Liveness = supervisor.Consumer

// The states of a consumer, as Liveness.State has them.
const (
	LiveConnecting    = "connecting"     // no session with the broker, or no answer to basic.consume yet
	LiveConsuming     = "consuming"      // the broker has confirmed the consumer
	LivePaused        = "paused"         // consuming, with as much in flight as the watermark allows
	LiveSuspended     = "suspended"      // by an operator, or because the pool is parked
	LiveBlocked       = "blocked"        // consuming, but the broker takes no publications: retries and dead letters wait
	LiveCancelled     = "cancelled"      // by the broker: basic.cancel
	LiveChannelClosed = "channel_closed" // by the broker: Code says what for
	LiveFailed        = "failed"         // the broker refuses the queue or the subscription
	LiveDraining      = "draining"
)

// LiveStates are all of them.
func LiveStates() []string {
	return []string{
		LiveConnecting, LiveConsuming, LivePaused, LiveSuspended, LiveBlocked,
		LiveCancelled, LiveChannelClosed, LiveFailed, LiveDraining,
	}
}

// live is what the broker actor knows of a consumer. It is a value: each step makes
// a new one, which an inspection may read.
type live struct {
	state string    // one of the Live words; those that an inspection derives are not in it
	since time.Time // of state
	tag   string    // of the consumer
	cause string    // why it is not consuming
	fault broker.Fault
	code  int       // the broker's reply, 0: none
	next  time.Time // of the next attempt; zero: none is planned
	tries int       // attempts that failed since it was consuming
}

// liveKind is what happens to a consumer.
type liveKind uint8

const (
	liveOffline    liveKind = iota // there is no session, or it has ended
	liveTrying                     // the broker is being asked for a consumer
	liveSubscribed                 // it has confirmed one
	liveRefused                    // it has refused one, or has not answered
	liveEnded                      // it, or something, has ended the consumer
	liveRetired                    // we end it for another one, or none is wanted before a worker is up
	liveHeld                       // none is wanted, as long as somebody holds the pool
	liveDrained                    // none will be wanted any more
)

// liveEvent is something that happens, with what is known about it.
type liveEvent struct {
	kind liveKind
	tag  string    // of liveSubscribed
	err  error     // of liveOffline, liveRefused and liveEnded
	next time.Time // of the attempt after a failure
}

// step is the state after an event, and the types of the events that it is for
// others. Draining is the end: nothing leads out of it.
func (l live) step(e liveEvent, now time.Time) (live, []supervisor.EventType) {
	if l.state == LiveDraining {
		return l, nil
	}
	n := l.after(e)
	if n.state != l.state {
		n.since = now
	}
	return n, l.told(n, e)
}

// after is the state that follows, with the time of the old one.
func (l live) after(e liveEvent) live {
	switch e.kind {
	case liveTrying:
		l.next = time.Time{}
		if l.state == LiveSuspended || l.state == LiveConsuming {
			return live{state: LiveConnecting, since: l.since}
		}
		return l // why it was not consuming stays true until it is
	case liveSubscribed:
		return live{state: LiveConsuming, since: l.since, tag: e.tag}
	case liveRetired:
		return live{state: LiveConnecting, since: l.since}
	case liveHeld:
		return live{state: LiveSuspended, since: l.since}
	case liveDrained:
		return live{state: LiveDraining, since: l.since, tag: l.tag}
	case liveOffline, liveRefused, liveEnded:
	}
	n := live{state: LiveConnecting, since: l.since, fault: broker.FaultOf(e.err), code: broker.ErrorCode(e.err), next: e.next, tries: l.tries}
	if e.err != nil {
		n.cause = e.err.Error()
		n.tries++
	}
	switch {
	case e.kind == liveRefused:
		n.state = LiveFailed
	case e.kind == liveOffline:
	case n.fault == broker.FaultCancelled:
		n.state = LiveCancelled
	case n.code != 0:
		n.state = LiveChannelClosed
	}
	return n
}

// told is what others hear of a step: a fault first, by its own name, and then what
// it means for the intake.
func (l live) told(n live, e liveEvent) []supervisor.EventType {
	if l.state == "" {
		return nil // its beginning is no news
	}
	var types []supervisor.EventType
	fault := e.kind == liveRefused || e.kind == liveEnded
	if fault && n.fault != broker.FaultNone && n.fault != broker.FaultLost && (n.fault != l.fault || n.state != l.state || e.kind == liveEnded) {
		types = append(types, supervisor.EventType(n.fault))
	}
	if l.word() != n.word() || l.cause != n.cause {
		types = append(types, eventOf(n.word()))
	}
	return types
}

// word is the state of the router's node, which has fewer: a consumer that the
// broker has ended is being replaced.
func (l live) word() string {
	switch l.state {
	case LiveCancelled, LiveChannelClosed:
		return LiveConnecting
	}
	return l.state
}

// shown is what an inspection sees of l: paused and blocked are consuming, seen
// more closely. The broker's block matters more: the watermark does not fall when
// retries and dead letters cannot be published.
func (l live) shown(blocked string, since time.Time, paused bool, at time.Time) Liveness {
	c := Liveness{
		State: l.state, Since: l.since, Tag: l.tag, Cause: l.cause,
		Fault: string(l.fault), Code: l.code, NextTry: l.next, Tries: l.tries,
	}
	switch {
	case l.state != LiveConsuming:
	case !since.IsZero():
		c.State, c.Since, c.Cause = LiveBlocked, later(l.since, since), blocked
	case paused:
		c.State, c.Since = LivePaused, later(l.since, at)
	}
	return c
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
