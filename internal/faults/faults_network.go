package faults

import (
	"context"
	"errors"
	"time"
)

// networkFaults are about the way to the broker.
func networkFaults() []Fault {
	list := []Fault{
		{
			Name: "refused", Title: "nobody listens at the broker's address, for 4 s",
			lasts: 4 * time.Second, why: says(gone),
			inject: func(_ context.Context, r *rig) error { r.network.down(); r.tap.down(); return nil },
			heal:   func(_ context.Context, r *rig) error { return errors.Join(r.network.up(), r.tap.up()) },
		},
		{
			Name: "blackhole", Title: "bytes vanish both ways, for longer than the heartbeat allows",
			lasts: noticed + 3*time.Second, why: says(silent),
			inject: toxics(vanish(toInstance), vanish(toBroker)), heal: clean,
		},
		{
			Name: "blackhole-in", Title: "bytes from the broker vanish, for longer than the heartbeat allows",
			lasts: noticed + 3*time.Second, why: says(silent),
			inject: toxics(vanish(toInstance)), heal: clean,
		},
		{
			Name: "blackhole-out", Title: "bytes to the broker vanish, for longer than the heartbeat allows",
			lasts: 2*heartbeat + noticed + 3*time.Second, why: says(silent + "|" + gone),
			inject: toxics(vanish(toBroker)), heal: clean,
		},
		{
			Name: "half-open", Title: "the broker's side of the connections is gone, and the instance is not told",
			why:    says(silent),
			inject: func(_ context.Context, r *rig) error { r.tap.orphan(); return nil },
		},
		{
			Name: "reset", Title: "connections are reset (RST), for 4 s",
			lasts: 4 * time.Second, why: says(gone),
			inject: toxics(toxic{"reset_peer", toInstance, attributes{"timeout": 0}}), heal: clean,
		},
		{
			Name: "cut-in-frame", Title: "connections end in the middle of a frame, for 4 s",
			lasts: 4 * time.Second, why: says(gone),
			inject: toxics(toxic{"limit_data", toInstance, attributes{"bytes": 300}}), heal: clean,
		},
		{
			Name: "corrupted-in", Title: "bytes from the broker are broken, for 4 s",
			lasts: 4 * time.Second, why: says(`no connection`),
			inject: func(_ context.Context, r *rig) error { r.tap.corrupt(true, false); return nil },
			heal:   func(_ context.Context, r *rig) error { r.tap.corrupt(false, false); return nil },
		},
		{
			Name: "corrupted-out", Title: "bytes to the broker are broken, for 4 s",
			lasts: 4 * time.Second, why: says(`no connection`),
			inject: func(_ context.Context, r *rig) error { r.tap.corrupt(false, true); return nil },
			heal:   func(_ context.Context, r *rig) error { r.tap.corrupt(false, false); return nil },
		},
	}
	for i := range list {
		f := &list[i]
		f.anywhere, f.renews, f.more, f.reason = true, true, reconnectMax, capped
		if f.Name == "half-open" {
			f.more, f.reason = noticed, "1.5 heartbeats without a sign of the broker"
		}
	}
	return append(list, slowFaults()...)
}

// slowFaults leave the connection alone, and the instance has to work on.
func slowFaults() []Fault {
	list := []Fault{
		{
			Name: "latency", Title: "200 ms each way, for 5 s",
			inject: toxics(toxic{"latency", toInstance, attributes{"latency": 200, "jitter": 50}}, toxic{"latency", toBroker, attributes{"latency": 200, "jitter": 50}}),
		},
		{
			Name: "bandwidth", Title: "10 KB/s each way, for 5 s",
			inject: toxics(toxic{"bandwidth", toInstance, attributes{"rate": 10}}, toxic{"bandwidth", toBroker, attributes{"rate": 10}}),
		},
		{
			Name: "slicer", Title: "bytes come in slices of some 20, each 100 us after the other, for 5 s",
			inject: toxics(
				toxic{"slicer", toInstance, attributes{"average_size": 20, "size_variation": 10, "delay": 100}},
				toxic{"slicer", toBroker, attributes{"average_size": 20, "size_variation": 10, "delay": 100}},
			),
		},
	}
	for i := range list {
		list[i].anywhere, list[i].lasts, list[i].keeps, list[i].heal = true, 5*time.Second, true, clean
	}
	return list
}

type attributes = map[string]any

// vanish is a toxic that drops all bytes.
func vanish(stream string) toxic { return toxic{"timeout", stream, attributes{"timeout": 0}} }

// toxics adds toxics.
func toxics(list ...toxic) func(context.Context, *rig) error {
	return func(_ context.Context, r *rig) error { return r.network.add(list...) }
}

// clean removes them.
func clean(ctx context.Context, r *rig) error {
	r.network.reset(ctx)
	return nil
}
