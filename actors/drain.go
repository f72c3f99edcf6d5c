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
	coldHangUp = time.Second
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
	grace, hang, cause := warmGrace, warmHangUp, ErrShutdown
	if isDone(s.abort) {
		grace, hang, cause = coldGrace, coldHangUp, ErrAborted
	}
	if why == drainLate {
		s.log.Warn("cancelling the running tasks", "in_flight", s.inFlight(), "cause", cause)
		for _, p := range s.pools {
			p.toRouter(&cutoff{cause, grace})
		}
		why, err = s.awaitDrained(ended, nil, 2*grace)
	}
	if why == drainOver {
		return true, err
	}
	return s.hangUp(ended, hang)
}

// hangUp closes the session with the broker, which flushes what is settled.
func (s *System) hangUp(ended <-chan error, within time.Duration) (over bool, err error) {
	closed := make(chan struct{})
	s.tellBroker(&hangUp{within, closed})
	limit := time.NewTimer(within + time.Second/2)
	defer limit.Stop()
	select {
	case <-closed:
		s.log.Info("drained", "unsettled", s.inFlight())
	case err = <-ended:
		return true, err
	case <-limit.C:
		s.log.Warn("the session with the broker did not close in time; what is unsettled returns to its queue", "unsettled", s.inFlight())
	}
	return false, nil
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
	for _, p := range s.pools {
		for drained := false; !drained; {
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
