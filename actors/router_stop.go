package actors

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/magne-actors/magne-actors/supervisor"
)

// This file is the stop of a router by its supervisor. A router that ended between the
// confirm of a copy and the ack of its original would leave both, and the task would
// run twice: so it waits for the answers that are under way. What else is unsettled
// returns to the queue when its consumer is closed.

// answerGrace is how long it waits; a confirm takes some milliseconds, and a broker
// that blocks publishers may take any time. It is less than the 5 s that the supervisor
// gives a router.
const answerGrace = 3 * time.Second

// stopNow ends the wait of a router.
type stopNow struct{}

// Drains makes it a supervisor.Drainer.
func (r *router) Drains() {}

// onStop begins no more publications and waits for those under way.
func (r *router) onStop(ctx actor.Context) {
	r.stopping = true
	r.unanswered = map[*flight]bool{}
	r.ledger.each(func(f *flight) {
		if f.phase == publishing && f.timer == nil {
			r.unanswered[f] = true
		}
	})
	if !r.checkAnswered(ctx) {
		time.AfterFunc(answerGrace, func() { r.tell(&stopNow{}) })
	}
}

// checkAnswered ends a router that is to stop and waits for nothing any more.
func (r *router) checkAnswered(ctx actor.Context) bool {
	if !r.stopping || len(r.unanswered) > 0 {
		return false
	}
	supervisor.Quit(ctx, nil)
	return true
}

// forgetDropped is called when a consumer is lost: the copies of what it delivered
// are not answered for.
func (r *router) forgetDropped() {
	for f := range r.unanswered {
		if !r.ledger.has(f) {
			delete(r.unanswered, f)
		}
	}
}

func (r *router) onStopNow(ctx actor.Context) {
	r.pool.log.Warn("stopping without the broker's answer to copies of messages: their tasks may run twice", "copies", len(r.unanswered))
	supervisor.Quit(ctx, nil)
}
