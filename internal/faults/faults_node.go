package faults

import (
	"context"
	"time"
)

// What `why` says of a broker that is not there, and of one that says nothing.
const (
	gone   = `no connection.*(refused|lost|reset|EOF|closed|unreachable|nobody listens)`
	silent = `no connection.*(timeout|heartbeat|silent|answer|deadline)`
)

// capped is why a recovery may take longer: an attempt to connect has just failed.
const capped = "the cap of the backoff"

// nodeFaults are about the broker as a process.
func nodeFaults() []Fault {
	return []Fault{
		{
			Name: "node-killed", Title: "kill -9 of the node, started again after 5 s",
			anywhere: true, lasts: 5 * time.Second, renews: true, why: says(gone), more: reconnectMax, reason: capped,
			inject: func(_ context.Context, r *rig) error { return r.broker.Kill() },
			heal:   func(ctx context.Context, r *rig) error { return r.broker.Restart(ctx) },
		},
		{
			Name: "node-restarted", Title: "the node is stopped in good order and started again",
			anywhere: true, renews: true, why: says(gone + `|CONNECTION_FORCED`), more: reconnectMax, reason: capped,
			inject: func(ctx context.Context, r *rig) error { return r.broker.Restart(ctx) },
		},
		{
			Name: "app-stopped", Title: "rabbitmqctl stop_app, start_app after 4 s",
			lasts: 4 * time.Second, renews: true, why: says(gone + `|CONNECTION_FORCED`), more: reconnectMax, reason: capped,
			inject: evaluate(`rabbit:stop()`), heal: evaluate(`rabbit:start()`),
		},
		{
			Name: "node-frozen", Title: "SIGSTOP of the node for longer than the heartbeat allows",
			anywhere: true, lasts: noticed + 3*time.Second, renews: true, why: says(silent), more: reconnectMax, reason: capped,
			inject: func(_ context.Context, r *rig) error { return r.broker.Pause() },
			heal:   func(_ context.Context, r *rig) error { return r.broker.Resume() },
		},
		{
			Name: "node-hiccup", Title: "SIGSTOP of the node for 1 s, which the heartbeat allows",
			anywhere: true, lasts: time.Second, keeps: true,
			inject: func(_ context.Context, r *rig) error { return r.broker.Pause() },
			heal:   func(_ context.Context, r *rig) error { return r.broker.Resume() },
		},
		{
			Name: "memory-alarm", Title: "the memory alarm blocks all that publish, for 5 s",
			lasts: 5 * time.Second, keeps: true, why: says(`block|takes no publications`),
			inject: alarm(`vm_memory_monitor:set_vm_memory_high_watermark(0.000001)`),
			heal:   unalarm(`vm_memory_monitor:set_vm_memory_high_watermark(0.4)`),
		},
		{
			Name: "disk-alarm", Title: "the disk alarm blocks all that publish, for 5 s",
			lasts: 5 * time.Second, keeps: true, why: says(`block|takes no publications`),
			inject: alarm(`ok = rabbit_disk_monitor:set_disk_free_limit("100000GB")`),
			heal:   unalarm(`ok = rabbit_disk_monitor:set_disk_free_limit("64MB")`),
		},
	}
}

// evaluate has the node evaluate Erlang: see rig.eval.
func evaluate(text string) func(context.Context, *rig) error {
	return func(ctx context.Context, r *rig) error { return r.eval(ctx, text) }
}

// alarm raises an alarm while many tasks are in progress: RabbitMQ blocks who
// publishes, and only then tells it, so some of them must have copies to publish.
func alarm(text string) func(context.Context, *rig) error {
	return func(ctx context.Context, r *rig) error {
		r.sink.lag.Store(true)
		pause(ctx, lagging)
		return r.eval(ctx, text)
	}
}

// unalarm ends an alarm.
func unalarm(text string) func(context.Context, *rig) error {
	return func(ctx context.Context, r *rig) error {
		r.sink.lag.Store(false)
		return r.eval(ctx, text)
	}
}

// closeAll closes all connections; one may be gone before its turn comes.
const closeAll = `[catch rabbit_networking:close_connection(P, "maintenance") || P <- rabbit_networking:connections()]`

// closeNamed closes the connections whose name ends so.
func closeNamed(end string) string {
	return `[catch rabbit_networking:close_connection(P, "maintenance") || P <- rabbit_networking:connections(), ` +
		`{_, T} <- try rabbit_reader:info(P, [client_properties]) catch _:_ -> [] end, {<<"connection_name">>, _, N} <- T, ` +
		`lists:suffix("` + end + `", binary_to_list(N))]`
}

// connectionFaults are about connections that an operator ends.
func connectionFaults() []Fault {
	return []Fault{
		{
			Name: "connections-closed", Title: "rabbitmqctl close_all_connections",
			renews: true, why: says(`CONNECTION_FORCED`),
			inject: evaluate(closeAll),
		},
		{
			Name: "connection-consuming-closed", Title: "rabbitmqctl close_connection, of the one that consumes",
			renews: true, why: says(`CONNECTION_FORCED`),
			inject: evaluate(closeNamed(" consume")),
		},
		{
			Name: "connection-publishing-closed", Title: "rabbitmqctl close_connection, of the one that publishes retries and dead letters",
			keeps: true, able: now,
			inject: evaluate(closeNamed(" publish")),
		},
		{
			Name: "connections-closed-often", Title: "rabbitmqctl close_all_connections every 500 ms, twelve times",
			renews: true, why: says(`CONNECTION_FORCED`), more: reconnectMax, reason: capped,
			inject: func(ctx context.Context, r *rig) error {
				for range 12 {
					if err := r.eval(ctx, closeAll); err != nil {
						return err
					}
					pause(ctx, 500*time.Millisecond)
				}
				return nil
			},
		},
	}
}
