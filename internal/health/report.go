package health

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Report is whether an instance is ready, and why. Its JSON is the body of
// GET /readyz.
type Report struct {
	Ready bool `json:"ready"`
	// Reasons are why it is not ready, one sentence each.
	Reasons []string `json:"reasons"`
	Pools   []Pool   `json:"pools"`
	// Unasked is why the broker could not be asked what waits in the queues.
	Unasked string `json:"unasked,omitempty"`
}

// Pool is the part of a Report about one pool.
type Pool struct {
	Pool     string `json:"pool"`
	Queue    string `json:"queue"`
	Ready    bool   `json:"ready"`
	State    State  `json:"state"`
	Messages *int   `json:"messages"` // that wait in the queue; null: not known
	Text     string `json:"text"`     // the state in a sentence
}

// Finding is what the broker's answer says of the pool, in a few words, and whether
// the pool gets nothing although it should.
func (p Pool) Finding() (text string, starved bool) {
	switch {
	case p.State == Stalled || p.State == Unknown:
		return "it " + p.Text, true
	case p.Messages == nil:
		return "what waits is not known", false
	case *p.Messages == 0:
		return "no message waits", false
	case *p.Messages == 1:
		return "1 message waits", false
	}
	return fmt.Sprintf("%d messages wait", *p.Messages), false
}

// State is a word for what a pool does.
type State string

// States of pools.
const (
	Consuming State = "consuming" // it works
	Idle      State = "idle"      // it would, and nothing is there
	Paused    State = "paused"    // by its watermark: it has as much as it may have
	Suspended State = "suspended" // by an operator

	Connecting State = "connecting" // it has no consumer, and is getting one
	Failed     State = "failed"     // its queue cannot be consumed
	Parked     State = "parked"     // it was given up
	Draining   State = "draining"
	Unknown    State = "unknown" // the broker knows of no consumer
	Stalled    State = "stalled" // it gets nothing although messages wait
	// Unconfirmed: it is full of ended tasks whose copies the broker does not confirm.
	Unconfirmed State = "unconfirmed"
)

// Err is nil for a ready instance, and otherwise an error with all reasons.
func (r Report) Err() error {
	if r.Ready {
		return nil
	}
	return errors.New(strings.Join(r.Reasons, "; "))
}

// ServeHTTP answers with the report: 200 when ready, 503 when not.
func (r Report) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !r.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(r) // a client that went away is no news
}
