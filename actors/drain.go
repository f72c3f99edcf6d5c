package actors

import (
	"time"
)

const (
	// warmGrace is how long tasks may take to return once Options.Shutdown is
	// over and their contexts are cancelled, coldGrace the same after Abort.
	warmGrace = time.Second
	coldGrace = 500 * time.Millisecond
	// warmHangUp and coldHangUp bound the last flush of settlements.
	warmHangUp = 5 * time.Second
	coldHangUp = 700 * time.Millisecond
	// coldStop is how long after Abort Run returns at the latest, whatever still
	// goes on: what is unsettled then returns to its queue with the connection.
	coldStop = 1900 * time.Millisecond
	// drainReport is how often the log says what a drain is waiting for.
	drainReport = 2 * time.Second
)

// drain stops the flow in the order of a delivery's way: consumers, then routers
// with their tasks, then the settlements. over says that the supervision tree
// ended by itself meanwhile, with err.
func (s *System) drain(ended <-chan error) (over bool, err error) {
	s.log.Info("draining", "in_flight", s.inFlight(), "shutdown", s.opts.Shutdown)
	s.stop.draining.Store(true)
	s.tellBroker(&drain{})
	why, err := s.awaitDrained(ended, s.abort, s.opts.Shutdown)
	if why == drainLate && !isDone(s.abort) {
		s.cutOff(ErrShutdown, warmGrace)
		why, err = s.awaitDrained(ended, s.abort, 2*warmGrace)
	}
	if why == drainLate && isDone(s.abort) {
		s.cutOff(ErrAborted, coldGrace)
		why, err = s.awaitDrained(ended, nil, 2*coldGrace)
	}
	if why == drainOver {
		return true, err
	}
	return s.hangUp(ended)
}

func (s *System) cutOff(cause error, grace time.Duration) {
	s.log.Warn("cancelling the running tasks", "in_flight", s.inFlight(), "cause", cause)
	for _, p := range s.all() {
		p.toRouter(&cutoff{cause, grace})
	}
}

// hangUp closes the session with the broker, which flushes what is settled.
func (s *System) hangUp(ended <-chan error) (over bool, err error) {
	closed, abort := make(chan struct{}, 1), s.abort
	limit := time.NewTimer(warmHangUp + time.Second/2)
	defer limit.Stop()
	again := time.NewTicker(askAgain)
	defer again.Stop()
	for {
		s.tellBroker(&hangUp{warmHangUp, closed})
		select {
		case <-again.C:
		case <-abort:
			limit.Reset(coldHangUp)
			abort = nil
		case <-closed:
			s.log.Info("drained", "unsettled", s.inFlight())
			return false, nil
		case err = <-ended:
			return true, err
		case <-limit.C:
			s.log.Warn("the session with the broker did not close in time; what is unsettled returns to its queue", "unsettled", s.inFlight())
			return false, nil
		}
	}
}

// drainEnd is how awaitDrained ended.
type drainEnd uint8

const (
	drainDone drainEnd = iota
	drainLate          // the time was over, or an abort was asked for
	drainOver          // the supervision tree has ended
)

// awaitDrained blocks until every pool is drained or something else happens, and
// reports the progress.
func (s *System) awaitDrained(ended <-chan error, abort <-chan struct{}, within time.Duration) (drainEnd, error) {
	limit := time.NewTimer(within)
	defer limit.Stop()
	report := time.NewTicker(drainReport)
	defer report.Stop()
	for _, p := range s.all() {
		for drained := p.gaveUp.Load() != nil; !drained; { // then it has no router
			select {
			case <-p.drained:
				drained = true
			case err := <-ended:
				return drainOver, err
			case <-abort:
				return drainLate, nil
			case <-limit.C:
				return drainLate, nil
			case <-report.C:
				s.log.Info("waiting for running tasks", "in_flight", s.inFlight())
			}
		}
	}
	return drainDone, nil
}

// awaitEnd blocks until the supervision tree has ended, after an abort not for
// long.
func (s *System) awaitEnd(ended <-chan error) error {
	select {
	case err := <-ended:
		return err
	case <-s.abort:
	}
	limit := time.NewTimer(time.Until(s.aborted.Load().Add(coldStop)))
	defer limit.Stop()
	select {
	case err := <-ended:
		return err
	case <-limit.C:
		return nil
	}
}
