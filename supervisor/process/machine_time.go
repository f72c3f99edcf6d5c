package process

import (
	"errors"
	"fmt"
	"time"
)

var (
	errClosedPipe = errors.New("it closed its pipe and lived on")
	errNoPong     = errors.New("it did not answer two pings")
)

// check does whatever it is time for.
func (m *machine) check() {
	for _, w := range m.workers { // those that are spawned meanwhile have time
		m.checkWorker(w)
		if w.phase == ready {
			m.checkReady(w)
			m.checkTasks(w)
		}
	}
}

// due reports whether a moment is over. Zero never is.
func (m *machine) due(t time.Time) bool { return !t.IsZero() && !m.now.Before(t) }

func (m *machine) checkWorker(w *worker) {
	switch {
	case m.due(w.bootBy):
		m.unheard(w)
	case m.due(w.termAt):
		m.term(w)
	case m.due(w.closedBy):
		err := w.err
		if err == nil {
			err = errClosedPipe
		}
		m.kill(w, WhyProtocol, err)
	case m.due(w.leaveBy):
		w.leaveBy = time.Time{}
		m.term(w)
	}
	if m.due(w.sampleAt) {
		w.sampleAt = m.now.Add(samplePace)
		m.do(effSample{w.key})
	}
}

// unheard is called when a worker should have said hello. The time that the machine
// has let it wait for a processor is given back: a program that is merely starved
// would be killed again and again, each time with its work undone, and in the end
// its pool would be parked.
func (m *machine) unheard(w *worker) {
	limit := w.opts.StartTimeout
	if w.phase == spawning {
		w.bootBy = time.Time{}
		m.ladder(w, WhyStart, fmt.Errorf("the system did not start it within %v (start_timeout)", limit))
		return
	}
	var waited time.Duration
	if m.waited != nil {
		waited = m.waited(w.key)
	}
	by := w.born.Add(limit + min(waited, (starvation-1)*limit))
	if by.Sub(m.now) >= limit/16 { // not for a little more each time
		w.bootBy = by
		return
	}
	w.bootBy = time.Time{}
	m.ladder(w, WhyStart, noHello(m.now.Sub(w.born), waited, limit))
}

// noHello says what a worker did with its time that said no hello.
func noHello(lived, waited, limit time.Duration) error {
	lived, waited = lived.Round(limit/100), waited.Round(limit/100)
	if waited > lived/2 {
		return fmt.Errorf("no hello within %v, of which it waited %v for a processor: the machine is too busy for it (start_timeout is %v)", lived, waited, limit)
	}
	return fmt.Errorf("no hello within %v (start_timeout is %v)", lived, limit)
}

// checkReady is about workers that are ready, leaving or not.
func (m *machine) checkReady(w *worker) {
	if m.due(w.expires) {
		w.expires = m.now.Add(retryPace) // if the new one does not get ready
		m.recycle(w, "lifetime")
	}
	if at := w.watchdogAt(); m.due(at) {
		m.ladder(w, WhyWatchdog, fmt.Errorf("it said nothing for %v", w.opts.Watchdog))
		return
	}
	if m.due(w.pingAt()) {
		m.ping(w)
	}
}

// watchdogAt is when a busy worker must have said something.
func (w *worker) watchdogAt() time.Time {
	if w.opts.Watchdog <= 0 || !w.beats || len(w.tasks) == 0 {
		return time.Time{}
	}
	if w.busy.After(w.heard) {
		return w.busy.Add(w.opts.Watchdog)
	}
	return w.heard.Add(w.opts.Watchdog)
}

// pingAt is when the next ping is due, or the answer to one is overdue.
func (w *worker) pingAt() time.Time {
	switch {
	case w.leaving || len(w.tasks) > 0 && w.slots == 1: // it reads nothing then
		return time.Time{}
	case !w.pinged.IsZero():
		return w.pinged.Add(w.opts.PingInterval)
	default:
		return w.heard.Add(w.opts.PingInterval)
	}
}

func (m *machine) ping(w *worker) {
	if !w.pinged.IsZero() {
		w.missed++
	}
	if w.missed == 2 {
		m.ladder(w, WhyHung, errNoPong)
		return
	}
	w.pinged = m.now
	w.pings++
	m.do(effPing{w.key, w.pings})
}

func (m *machine) checkTasks(w *worker) {
	for _, c := range w.running() {
		if m.due(c.soft) {
			m.cancel(w, c, cancelTimeout)
		}
		if m.due(c.hard) {
			m.overdue(w, c)
			return
		}
	}
}

// wake is when the next evTime is due; zero: not before another event.
func (m *machine) wake() time.Time {
	var at time.Time
	if m.quit {
		return at
	}
	sooner := func(t time.Time) {
		if !t.IsZero() {
			at = earlier(at, t)
		}
	}
	for _, w := range m.workers {
		sooner(w.bootBy)
		sooner(w.termAt)
		sooner(w.closedBy)
		sooner(w.leaveBy)
		sooner(w.sampleAt)
		if w.phase != ready {
			continue
		}
		sooner(w.expires)
		sooner(w.watchdogAt())
		sooner(w.pingAt())
		for _, c := range w.running() {
			sooner(c.soft)
			sooner(c.hard)
		}
	}
	return at
}
