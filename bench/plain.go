package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/magne-actors/magne-actors/actors"
	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/internal/ladder"
	"github.com/magne-actors/magne-actors/internal/spool"
	"github.com/magne-actors/magne-actors/supervisor"
)

// What magne-actors is compared with by -vs plain: itself, with nothing configured that
// a task which succeeds does not need.
const (
	systemPlain   = "plain"   // one attempt, and a queue that dead-letters nothing
	systemRetries = "retries" // a policy with waits on the broker, and dead-lettering
	systemSpool   = "spool"   // the same and a spool on the disk
)

// plainRuns is how often each system runs by default: single runs of a second differ by
// a fifth.
const plainRuns = 9

// byRound is the order of the systems in a round. Those of -vs plain go back and forth:
// what comes first in a round finds another broker than what comes last.
func (o *options) byRound(round int) []string {
	systems := o.systems()
	if o.vs == systemPlain && round%2 == 1 {
		slices.Reverse(systems)
	}
	return systems
}

// queueOf is the queue that a system consumes.
func queueOf(sc *scenario, system, name string) broker.Queue {
	q := sc.queue(name)
	if system == systemPlain {
		q.Args = map[string]any{"x-queue-type": "quorum"}
	}
	return q
}

// insure gives the pool and its system what is configured and not used. The returned
// function removes the spool.
func insure(o *actors.Options, system string) (remove func() error, err error) {
	pool := &o.Pools[0]
	switch system {
	case systemPlain:
		pool.Retry = actors.Retry{MaxAttempts: 1, Delay: actors.DelayMemory}
	case systemRetries, systemSpool:
		pool.Retry = actors.Retry{
			MaxAttempts: 20, Delay: actors.DelayDurable, DiscardOn: []string{"http_4*"},
			Backoff: supervisor.Backoff{Initial: 5 * time.Second, Factor: 2, Max: time.Hour, Jitter: 0.5},
			Tasks:   map[string]actors.Retry{"noop": {MaxAttempts: 10}},
		}
	}
	if system != systemSpool {
		return func() error { return nil }, nil
	}
	dir, err := os.MkdirTemp("", "magne-bench-")
	if err != nil {
		return nil, err
	}
	s, err := spool.Open(spool.Options{Dir: dir})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	o.Spool = s
	return func() error { return errors.Join(s.Close(), os.RemoveAll(dir)) }, nil
}

// declareLadder makes what retries wait in, as it is there after the first one.
func (r *rig) declareLadder(ctx context.Context) error {
	s, err := amqp.Dialer{URL: r.url}.Dial(ctx)
	if err != nil {
		return err
	}
	return errors.Join(s.Apply(ctx, ladder.Topology()), s.Close(ctx))
}

// relateToPlain fills in the ratios to the first row, which is plain: medians of those
// of the rounds, since what slows a machine down slows its neighbours in time as well.
func relateToPlain(rows []row) {
	plain := rows[0].Runs
	for i := range rows {
		speeds, cpus := make([]float64, len(plain)), make([]float64, len(plain))
		for k, s := range rows[i].Runs {
			speeds[k], cpus[k] = plain[k].Seconds/s.Seconds, s.ClientCPUSeconds/plain[k].ClientCPUSeconds
		}
		same := func(v float64) float64 { return v }
		rows[i].RatioToPlain, rows[i].CPURatioToPlain = new(median(speeds, same)), new(median(cpus, same))
	}
}

// plainTable writes the rows of -vs plain for people.
func plainTable(w io.Writer, rows []row) error {
	first := rows[0]
	fmt.Fprintf(w, "%s, %d messages, high %d, median of %d on %s, %s, %d CPUs\n",
		first.Scenario, first.N, first.High, len(first.Runs), first.Broker, first.Go, first.CPUs)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "system\tseconds\tmsg/s\tx plain\tclient us/msg\tx plain\tbroker us/msg\tpeak RSS MiB\t")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%.2f\t%.0f\t%s\t%.1f\t%s\t%s\t%.0f\t\n", r.System, r.Seconds, r.MsgsPerS,
			optional(r.RatioToPlain, "%.3f"), r.ClientCPU, optional(r.CPURatioToPlain, "%.3f"), optional(r.BrokerCPU, "%.1f"), r.PeakRSSMiB)
	}
	return t.Flush()
}
