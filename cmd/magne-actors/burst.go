package main

import (
	"context"
	"fmt"
	"time"

	"github.com/magne-actors/magne-actors/actors"
	"github.com/magne-actors/magne-actors/config"
	"github.com/magne-actors/magne-actors/internal/health"
	"github.com/magne-actors/magne-actors/supervisor"
)

const (
	burstID = "control:burst"
	// burstFresh is how old the broker's word that a queue is empty may be.
	burstFresh = 100 * time.Millisecond
)

// untilEmpty has run end when the queues are empty, and not before the broker has said
// so of each.
func untilEmpty(f *config.File, o *actors.Options) {
	names := make([]string, len(f.Pools))
	for i := range f.Pools {
		names[i] = f.Pools[i].BrokerQueue().Name
	}
	p := health.NewProber(health.ProberOptions{
		Dial: askerOf(f, o.Dialer), Queues: func() []string { return names }, Fresh: burstFresh, MaxRest: time.Second,
	})
	o.Services = append(o.Services, actors.Service{ID: burstID, Kind: "control", Run: p.Run})
	for i := range o.Pools { // one that is parked would never be done
		if o.Pools[i].Supervise != nil {
			o.Pools[i].Supervise.OnExhausted = supervisor.Escalate
		}
	}
	o.Burst = func(ctx context.Context, queue string) (int, error) {
		answer := p.Ask(ctx)
		if answer.Err != nil {
			return 0, answer.Err
		}
		q, ok := answer.Queues[queue]
		switch {
		case !ok:
			return 0, fmt.Errorf("queue %q: the broker has not been asked yet", queue)
		case q.Err == nil && q.Ready == 0 && q.Consumers == 0:
			// We consume it. RabbitMQ says 0 of both when the leader of a quorum queue
			// does not answer within 250 ms (rabbit_quorum_queue:stat/2).
			return 0, fmt.Errorf("queue %q: the broker knows nothing of it for now", queue)
		}
		return q.Ready, q.Err
	}
}
