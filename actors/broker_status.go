package actors

import (
	"sync/atomic"
	"time"

	"github.com/magne-actors/magne-actors/supervisor"
)

// brokerStatus is what an inspection reads.
type brokerStatus struct {
	reached    atomic.Bool // a session has been opened once
	state      atomic.Pointer[intakeState]
	reconnects atomic.Int64
}

func (s *brokerStatus) set(word string, err error) {
	st := &intakeState{word: word, since: time.Now()}
	if err != nil {
		st.err = err.Error()
	}
	s.state.Store(st)
}

func (s *brokerStatus) inspect(n *supervisor.Node) {
	st := s.state.Load()
	if st == nil || n.State != "up" {
		return
	}
	n.State, n.Since = st.word, &st.since
	if st.err != "" {
		n.LastError = st.err
	}
}
