package actors

import (
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/supervisor"
)

// Types of the events that the runtime adds to those of the supervisors. Those of
// the connection have the id "broker", the others that of a router.
const (
	EventConnected      supervisor.EventType = "connected"       // to the broker
	EventConnectionLost supervisor.EventType = "connection_lost" // or it could not be made; one of the next four may come before
	EventUnreachable                         = supervisor.EventType(broker.FaultUnreachable)
	EventBlackholed                          = supervisor.EventType(broker.FaultSilent)
	EventAuthFailed                          = supervisor.EventType(broker.FaultDenied)
	EventVhostGone                           = supervisor.EventType(broker.FaultVhost)
	EventBlocked        supervisor.EventType = "blocked" // the broker takes no publications; Error is its reason
	EventUnblocked      supervisor.EventType = "unblocked"

	EventConsuming     supervisor.EventType = "consuming"
	EventNotConsuming  supervisor.EventType = "not_consuming" // Error says why; one of the next six may come before
	EventCancelled                          = supervisor.EventType(broker.FaultCancelled)
	EventAckTimeout                         = supervisor.EventType(broker.FaultAckTimeout)
	EventUnknownTag                         = supervisor.EventType(broker.FaultUnknownTag)
	EventTopology                           = supervisor.EventType(broker.FaultTopology)
	EventForbidden                          = supervisor.EventType(broker.FaultForbidden)
	EventChannelClosed                      = supervisor.EventType(broker.FaultChannelClosed)
	EventSuspended     supervisor.EventType = "suspended" // by an operator, or because the pool is parked
	EventDraining      supervisor.EventType = "draining"
	EventLimited       supervisor.EventType = "limited"  // the watermarks were changed
	EventStarved       supervisor.EventType = "starved"  // messages wait, there is room, and none comes
	EventFlowing       supervisor.EventType = "flowing"  // that is over
	EventTaskOld       supervisor.EventType = "task_old" // unsettled for half of the ack timeout
	EventIsolated      supervisor.EventType = "isolated" // a consumer is kept apart because of such tasks

	EventQuarantined supervisor.EventType = "quarantined" // a suspect runs, alone: see Pool.Quarantine
	EventCleared     supervisor.EventType = "cleared"     // it has succeeded
	EventConvicted   supervisor.EventType = "convicted"   // its worker has died under it and nothing else; it is a dead letter
)

// eventOf is the event that a new word of an intake is.
func eventOf(word string) supervisor.EventType {
	switch word {
	case LiveConsuming:
		return EventConsuming
	case LiveSuspended:
		return EventSuspended
	case LiveDraining:
		return EventDraining
	}
	return EventNotConsuming
}

// happen carries a step of the consumer's state out. Only the broker actor calls it.
func (p *pool) happen(e liveEvent) live {
	now := time.Now()
	next, types := p.live.Load().step(e, now)
	p.live.Store(&next)
	for _, t := range types {
		event := supervisor.Event{Type: t, Error: next.cause}
		if !next.next.IsZero() {
			event.Delay = next.next.Sub(now)
		}
		p.tell(event)
	}
	return next
}

// tell reports an event of the pool's intake.
func (p *pool) tell(e supervisor.Event) {
	if p.notify != nil {
		e.ID, e.Time = "router:"+p.Name, time.Now()
		p.notify(e)
	}
}

// probe is what the broker has said of a pool's queue.
type probe struct {
	at      time.Time
	answer  string
	starved bool
}

// liveness is the state of the consumer with its evidence.
func (p *pool) liveness() Liveness {
	var (
		l       = p.live.Load()
		paused  bool
		at      time.Time
		blocked string
		since   time.Time
	)
	if w := p.window.Load(); w != nil {
		paused, at = w.mark.Paused(), w.mark.PausedAt()
	}
	if p.link != nil {
		blocked, since = p.link.blocked()
	}
	c := l.shown(blocked, since, paused, at)
	if ns := p.arrived.Load(); ns != 0 {
		c.LastDelivery = time.Unix(0, ns)
	}
	if q := p.probed.Load(); q != nil {
		c.LastProbe, c.Probe, c.Starved = q.at, q.answer, q.starved && !q.at.Before(l.since)
	}
	if c.Old, c.Isolated = p.old.Load(), p.isolated.Load(); c.Old > 0 {
		c.Oldest = time.Unix(0, p.oldest.Load())
	}
	return c
}

func (p *pool) inspectIntake(n *supervisor.Node, paused bool, at time.Time) {
	c := p.liveness()
	n.Consumer = &c
	if n.State != "up" {
		return
	}
	l := p.live.Load()
	n.State, n.Since = l.word(), &l.since
	if problem := p.problem.Load(); problem != nil {
		n.LastError = *problem
	}
	if l.cause != "" {
		n.LastError = l.cause
	}
	if !l.next.IsZero() {
		n.Until = &l.next
	}
	if paused && l.state == LiveConsuming {
		n.State = LivePaused
		if at.After(l.since) {
			n.Since = &at
		}
	}
	n.Detail = "queue " + p.Queue.Name
	if by := p.heldBy(); by != "" {
		n.Detail += ", " + by
	}
}

// Probed tells what the broker has said of a pool's queue, and whether that means
// that the pool gets nothing although it should. Where that changes it is an event.
// A consumer that starves is given up, and another one subscribed, once in 30 s.
// It does not block; of a pool that there is not it does nothing.
func (s *System) Probed(pool string, at time.Time, answer string, starved bool) {
	p, err := s.pool(pool)
	if err != nil {
		return
	}
	old := p.probed.Swap(&probe{at, answer, starved})
	if starved {
		p.send(p.broker, &starving{p, answer})
	}
	switch was := old != nil && old.starved; {
	case starved && !was:
		p.log.Error("starved: "+answer, "queue", p.Queue.Name) //nolint:sloglint // the finding is the message
		p.tell(supervisor.Event{Type: EventStarved, Error: answer})
	case was && !starved:
		p.log.Info("flowing again", "queue", p.Queue.Name)
		p.tell(supervisor.Event{Type: EventFlowing})
	}
}
