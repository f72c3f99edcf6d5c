package embedded

import (
	"cmp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/magne-actors/magne-actors/broker/embedded/internal/wire"
)

// Faults hurts a broker, for tests of its clients. Its zero value goes into
// Options.Faults of one broker at a time; its methods may be called at any time.
// While no broker is open they do nothing, but DelayConfirms and BlockPublishers
// hold for the next one.
type Faults struct {
	delay atomic.Int64 // time.Duration

	mu     sync.Mutex
	broker *Broker
	block  uint64 // number of the BlockPublishers in force
	reason string
}

func (f *Faults) attach(b *Broker) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broker = b
	if f.reason != "" {
		b.alarm(alarmFault, f.reason)
	}
}

func (f *Faults) detach() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broker = nil
}

// target is the broker, or nil.
func (f *Faults) target() *Broker {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.broker
}

func (f *Faults) connections() []*conn {
	if b := f.target(); b != nil {
		return b.connections()
	}
	return nil
}

// DropConnections closes the sockets of all connections without a word and
// returns how many there were.
func (f *Faults) DropConnections() int {
	n := 0
	for _, c := range f.connections() {
		if c.drop() {
			n++
		}
	}
	return n
}

// CloseConnections closes the connections that match with 320 CONNECTION_FORCED
// and reason, as an administrator would, and returns how many. match must not
// call the broker.
func (f *Faults) CloseConnections(reason string, match func(ConnectionStatus) bool) int {
	n := 0
	for _, c := range f.connections() {
		if match(c.status()) && c.force(failf(wire.CodeConnectionForced, "%s", reason)) {
			n++
		}
	}
	return n
}

// CancelConsumers ends all consumers of a queue, as its deletion would, and
// returns how many. Clients with the capability are told.
func (f *Faults) CancelConsumers(queue string) int {
	if b := f.target(); b != nil {
		return b.engine.CancelConsumers(queue)
	}
	return 0
}

// BlockPublishers does what a full disk does: connections that publish are told
// the reason and not read any more, until unblock or the next BlockPublishers,
// which replaces the reason.
func (f *Faults) BlockPublishers(reason string) (unblock func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.block++
	mine := f.block
	f.setReason(cmp.Or(reason, "fault"))
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.block == mine {
			f.setReason("")
		}
	}
}

func (f *Faults) setReason(reason string) {
	f.reason = reason
	if f.broker != nil {
		f.broker.alarm(alarmFault, reason)
	}
}

// DelayConfirms makes each confirm from now on wait for d. 0: no more.
func (f *Faults) DelayConfirms(d time.Duration) { f.delay.Store(int64(d)) }

func (f *Faults) confirmDelay() time.Duration { return time.Duration(f.delay.Load()) }

// CloseChannels closes all channels of all connections with a code and a text,
// such as 406 and "by a test", and returns how many. A code that is one of
// connections, such as 541, closes those.
func (f *Faults) CloseChannels(code uint16, text string) int {
	n := 0
	for _, c := range f.connections() {
		n += c.failChannels(code, text)
	}
	return n
}

func (c *conn) failChannels(code uint16, text string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, ch := range c.channels {
		if ch.closing {
			continue
		}
		n++
		if wire.HardError(code) {
			continue
		}
		ch.fail(failf(code, "%s", text))
	}
	if n > 0 && wire.HardError(code) {
		c.fail(failf(code, "%s", text))
	}
	return n
}
