package faults

import (
	"context"
	"time"
)

// gone is what is said of a broker that is not there.
const gone = `no connection.*(refused|lost|reset|EOF|closed)`

// nodeFaults are about the broker as a process.
func nodeFaults() []Fault {
	return []Fault{
		{
			Name: "node-killed", Title: "kill -9 of the node, started again after 5 s",
			lasts: 5 * time.Second, renews: true, why: says(gone), more: reconnectMax, reason: "the backoff's cap",
			inject: func(_ context.Context, r *rig) error { return r.node.Kill() },
			heal:   func(ctx context.Context, r *rig) error { return r.node.Restart(ctx) },
		},
		{
			Name: "node-restarted", Title: "the node is stopped in good order and started again",
			renews: true, why: says(gone + `|CONNECTION_FORCED`), more: reconnectMax, reason: "the backoff's cap",
			inject: func(ctx context.Context, r *rig) error { return r.node.Restart(ctx) },
		},
		{
			Name: "node-frozen", Title: "SIGSTOP of the node for longer than the heartbeat allows",
			lasts: noticed + 3*time.Second, renews: true, why: says(`no connection.*(timeout|heartbeat|silent|answer)`), more: reconnectMax, reason: "the backoff's cap",
			inject: func(_ context.Context, r *rig) error { return r.node.Pause() },
			heal:   func(_ context.Context, r *rig) error { return r.node.Resume() },
		},
	}
}

// connectionFaults are about connections that an operator ends.
func connectionFaults() []Fault {
	return []Fault{
		{
			Name: "connections-closed", Title: "rabbitmqctl close_all_connections",
			renews: true, why: says(`CONNECTION_FORCED`),
			inject: func(ctx context.Context, r *rig) error {
				return r.eval(ctx, `rabbit_networking:close_connections(rabbit_networking:connections(), "maintenance")`)
			},
		},
	}
}
