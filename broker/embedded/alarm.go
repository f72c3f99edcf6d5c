package embedded

import (
	"sync/atomic"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// Who can say that publishers have to wait.
const (
	alarmEngine = iota
	alarmFault
	alarmKinds
)

// alarms says whether publishers have to wait. The Broker's mutex protects it,
// but for on.
type alarms struct {
	on      atomic.Bool
	reasons [alarmKinds]string // "": no
	changed chan struct{}      // closed by the next change; nil: nobody waits for it
}

func (a *alarms) reason() string {
	for _, r := range a.reasons {
		if r != "" {
			return r
		}
	}
	return ""
}

// alarm sets a reason why publishers have to wait, or takes it back with "". It
// does not wait.
func (b *Broker) alarm(kind int, reason string) {
	b.mu.Lock()
	before, a := b.alarms.reason(), &b.alarms
	a.reasons[kind] = reason
	a.on.Store(a.reason() != "")
	if a.changed != nil {
		close(a.changed)
		a.changed = nil
	}
	after := a.reason()
	b.mu.Unlock()
	switch {
	case before == after:
	case after == "":
		b.log.Info("publishers may go on")
	default:
		b.log.Warn("publishers are blocked", "reason", after)
	}
}

// blocked returns why publishers wait, and a channel that is closed when that
// changes.
func (b *Broker) blocked() (reason string, changed <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.alarms.changed == nil {
		b.alarms.changed = make(chan struct{})
	}
	return b.alarms.reason(), b.alarms.changed
}

// throttle holds up the reader of a connection that has published since
// publishers are to wait, as RabbitMQ does: what it sends from then on stays in
// its socket, acknowledgements too.
func (c *conn) throttle() {
	if !c.throttled {
		return
	}
	told := false
	for {
		reason, changed := c.b.blocked()
		if reason == "" {
			break
		}
		c.state.CompareAndSwap(stateRunning, stateBlocked)
		if c.caps.blocked && !told {
			c.out.method(0, &wire.ConnectionBlocked{Reason: reason})
			told = true
		}
		select {
		case <-changed:
			continue
		case <-c.stop:
		}
		break
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.throttled = false
	if c.state.CompareAndSwap(stateBlocked, stateRunning) && told {
		c.out.method(0, &wire.ConnectionUnblocked{})
	}
}
