package actors

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/supervisor"
)

// brokerStatus is what an inspection reads.
type brokerStatus struct {
	reached    atomic.Bool // a session has been opened once
	state      atomic.Pointer[sessionState]
	session    atomic.Pointer[broker.Session] // not nil: the live one
	reconnects atomic.Int64
	spool      broker.Spool // nil: none
}

// sessionState is a state of the session with the broker.
type sessionState struct {
	word    string // connecting or connected
	since   time.Time
	address string    // without a password; "" if it is not known
	err     string    // why it is connecting
	next    time.Time // of the next dial; zero: it is under way
}

func (s *brokerStatus) set(st sessionState) {
	if old := s.state.Load(); old != nil && old.word == st.word {
		st.since = old.since
	} else {
		st.since = time.Now()
	}
	s.state.Store(&st)
}

// blocked is since when and why the broker takes no publications, or zero.
func (s *brokerStatus) blocked() (reason string, since time.Time) {
	if session := s.session.Load(); session != nil {
		return (*session).Blocked()
	}
	return "", time.Time{}
}

func (s *brokerStatus) inspect(n *supervisor.Node) {
	st := s.state.Load()
	if st == nil || n.State != "up" {
		return
	}
	n.State, n.Since, n.Detail = st.word, &st.since, st.address
	if st.err != "" {
		n.LastError = st.err
	}
	if !st.next.IsZero() {
		n.Until = &st.next
	}
	if reason, since := s.blocked(); !since.IsZero() {
		n.Detail += fmt.Sprintf(" blocked: %s", reason)
	}
	if s.spool != nil {
		inspectSpool(s.spool, n)
	}
}
