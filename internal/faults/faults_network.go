package faults

import (
	"context"
	"errors"
	"time"
)

// networkFaults are about the way to the broker.
func networkFaults() []Fault {
	return []Fault{
		{
			Name: "refused", Title: "nobody listens at the broker's address, for 4 s",
			lasts: 4 * time.Second, renews: true, why: says(gone), more: reconnectMax, reason: "the backoff's cap",
			inject: func(_ context.Context, r *rig) error { r.network.down(); r.tap.down(); return nil },
			heal:   func(_ context.Context, r *rig) error { return errors.Join(r.network.up(), r.tap.up()) },
		},
		{
			Name: "blackhole", Title: "bytes vanish both ways, for longer than the heartbeat allows",
			lasts: noticed + 3*time.Second, renews: true, why: says(`no connection.*(timeout|heartbeat|silent|answer)`), more: reconnectMax, reason: "the backoff's cap",
			inject: toxics(toxic{"timeout", toInstance, attributes{"timeout": 0}}, toxic{"timeout", toBroker, attributes{"timeout": 0}}),
			heal:   clean,
		},
		{
			Name: "cut-in-frame", Title: "connections end in the middle of a frame, for 4 s",
			lasts: 4 * time.Second, renews: true, why: says(`no connection.*(EOF|lost|closed|reset)`), more: reconnectMax, reason: "the backoff's cap",
			inject: toxics(toxic{"limit_data", toInstance, attributes{"bytes": 700}}),
			heal:   clean,
		},
	}
}

type attributes = map[string]any

// toxics adds toxics.
func toxics(list ...toxic) func(context.Context, *rig) error {
	return func(_ context.Context, r *rig) error { return r.network.add(list...) }
}

// clean removes them.
func clean(ctx context.Context, r *rig) error {
	r.network.reset(ctx)
	return nil
}
