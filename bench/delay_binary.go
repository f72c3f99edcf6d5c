package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/ladder"
)

// binaryLevels is how many bits the ladder of NServiceBus and Celery has. Theirs are
// seconds; here they are of the unit of our own, so that both reach as far.
const binaryLevels = 28

func binaryName(level int) string { return fmt.Sprintf("binary.%02d", level) }

const binaryDeliver = "binary.deliver"

// binaryTopology is NServiceBus' delay infrastructure: an exchange and a queue for each
// bit, from the highest to the lowest. A message waits in the queue where its bit is 1,
// and passes on to the next exchange where it is 0. The queues are as ours, so that the
// ladder alone makes the difference.
func binaryTopology(queue string) broker.Topology {
	t := broker.Topology{Exchanges: []broker.Exchange{{Name: binaryDeliver, Kind: "topic", Durable: true}}}
	for level := range binaryLevels {
		name, next := binaryName(level), binaryDeliver
		if level > 0 {
			next = binaryName(level - 1)
		}
		t.Exchanges = append(t.Exchanges, broker.Exchange{Name: name, Kind: "topic", Durable: true})
		t.Queues = append(t.Queues, broker.Queue{Name: name, Durable: true, Args: map[string]any{
			"x-queue-type": "quorum", "x-message-ttl": int64(1) << level * ladder.Unit.Milliseconds(), "x-dead-letter-exchange": next,
			"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish",
		}})
		above := strings.Repeat("*.", binaryLevels-1-level)
		t.Bindings = append(t.Bindings,
			broker.Binding{Exchange: name, Key: above + "1.#", Queue: name},
			broker.Binding{Exchange: name, Key: above + "0.#", ToExchange: next})
	}
	t.Bindings = append(t.Bindings, broker.Binding{Exchange: binaryDeliver, Key: strings.Repeat("*.", binaryLevels) + queue, Queue: queue})
	return t
}

// binaryRoute publishes to the exchange of the highest bit, as NServiceBus does.
func binaryRoute(delay time.Duration, queue string) (exchange, key string) {
	u := int((delay + ladder.Unit - 1) / ladder.Unit)
	level := 0
	var b strings.Builder
	for i := binaryLevels - 1; i >= 0; i-- {
		bit := u >> i & 1
		if bit == 1 {
			level = max(level, i)
		}
		fmt.Fprintf(&b, "%d.", bit)
	}
	return binaryName(level), b.String() + queue
}

// delayTable writes rows for people.
func delayTable(w io.Writer, rows []delayRow) error {
	first := rows[0]
	fmt.Fprintf(w, "delay, %d durable messages of each kind, median of %d on %s, %s, %d CPUs\n",
		first.N, len(first.Runs), first.Broker, first.Go, first.CPUs)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "system\tbroker us/retry\tours is\tbroker us/exact delay\tours is\tseconds\t")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%.0f\t%s\t%.0f\t%s\t%.1f\t\n", r.System, r.RetryCPU, optional(r.RetryShare, "%.2f of it"),
			r.ExactCPU, optional(r.ExactShare, "%.2f of it"), r.Seconds)
	}
	return t.Flush()
}
