package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// brokersArg is the scenario that compares brokers instead of clients.
const brokersArg = "brokers"

// brokerOptions are its command line.
type brokerOptions struct {
	ownOptions

	n, queued int
}

// The systems that are compared. RabbitMQ is measured with each of its durable
// types of queues.
const (
	systemClassic  = "rabbitmq classic"
	systemQuorum   = "rabbitmq quorum"
	systemEmbedded = "embedded"
)

// brokerRow is one system's medians.
type brokerRow struct {
	System        string  `json:"system"`
	N             int     `json:"n"`
	PublishPerS   float64 `json:"publish_per_s"` // confirmed, at most 1000 outstanding
	ConsumePerS   float64 `json:"consume_per_s"` // each acked alone, prefetch 1000
	PublishTimes  float64 `json:"publish_ratio"` // embedded's rate over this system's
	ConsumeTimes  float64 `json:"consume_ratio"`
	Queued        int     `json:"queued,omitempty"` // messages for the two figures below
	QueuedRSSMiB  float64 `json:"queued_rss_mib,omitempty"`
	QueuedStartMS float64 `json:"queued_start_ms,omitempty"` // until a client is connected, with so many on disk

	StartMS float64       `json:"start_ms"` // until a client is connected, nothing on disk
	Broker  string        `json:"broker"`
	Go      string        `json:"go"`
	CPUs    int           `json:"cpus"`
	Runs    []brokerRates `json:"runs"`
}

// brokerRates are the messages per second of one run.
type brokerRates struct {
	Publish float64 `json:"publish_per_s"`
	Consume float64 `json:"consume_per_s"`
}

func parseBrokers(args []string, w io.Writer) (*brokerOptions, error) {
	o := new(brokerOptions)
	return o, o.parse(brokersArg, args, w, func(fs *flag.FlagSet) {
		fs.IntVar(&o.n, "n", 100_000, "how many `messages` of 100 bytes")
		fs.IntVar(&o.queued, "queued", 0, "measure memory and start with so many `messages` queued (default: do not)")
	}, func() error {
		if o.n < 1 || o.queued < 0 {
			return errors.New("-n must be at least 1, -queued at least 0")
		}
		return nil
	})
}

// runBrokers is run for this scenario.
func runBrokers(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseBrokers(args, stderr)
	if err != nil {
		return refuse(err, stderr)
	}
	return show(&o.ownOptions, stdout, stderr, func(p *progress) ([]brokerRow, error) { return compareBrokers(ctx, o, p) }, brokerTable)
}

// compareBrokers runs the systems in turn, o.runs times. Only one broker runs at
// a time: an idle RabbitMQ is not idle.
func compareBrokers(ctx context.Context, o *brokerOptions, p *progress) ([]brokerRow, error) {
	rows := []brokerRow{{System: systemClassic}, {System: systemQuorum}, {System: systemEmbedded}}
	for i := range o.runs {
		for k := range rows {
			r := &rows[k]
			p.say("brokers: %s, run %d of %d", r.System, i+1, o.runs)
			if err := r.measure(ctx, o, i == 0); err != nil {
				return nil, fmt.Errorf("%s: %w", r.System, err)
			}
		}
	}
	for k := range rows {
		r := &rows[k]
		r.N, r.Go, r.CPUs = o.n, runtime.Version(), runtime.NumCPU()
		r.PublishPerS = median(r.Runs, func(s brokerRates) float64 { return s.Publish })
		r.ConsumePerS = median(r.Runs, func(s brokerRates) float64 { return s.Consume })
	}
	ours := rows[slices.IndexFunc(rows, func(r brokerRow) bool { return r.System == systemEmbedded })]
	for k := range rows {
		rows[k].PublishTimes = ours.PublishPerS / rows[k].PublishPerS
		rows[k].ConsumeTimes = ours.ConsumePerS / rows[k].ConsumePerS
	}
	return rows, nil
}

// measure adds one run to r; the first one has the figures that need no median.
func (r *brokerRow) measure(ctx context.Context, o *brokerOptions, first bool) (err error) {
	b, took, err := startBroker(ctx, r.System)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	if first {
		r.StartMS = milliseconds(took)
	}
	c, err := openLoad(b.url(), queueType(r.System))
	if err != nil {
		return err
	}
	defer c.close()
	r.Broker = fmt.Sprintf("%v %v", c.conn.Properties["product"], c.conn.Properties["version"])
	var run brokerRates
	if run.Publish, err = c.publish(o.n); err != nil {
		return err
	}
	if run.Consume, err = c.consume(o.n); err != nil {
		return err
	}
	r.Runs = append(r.Runs, run)
	if !first || o.queued == 0 {
		return nil
	}
	return r.fill(ctx, o, b, c)
}

// fill measures a broker with many messages in it.
func (r *brokerRow) fill(ctx context.Context, o *brokerOptions, b benchBroker, c *load) error {
	if _, err := c.publish(o.queued); err != nil {
		return err
	}
	rss, err := b.rss()
	if err != nil {
		return err
	}
	c.close()
	took, err := b.restart(ctx)
	if err != nil {
		return err
	}
	again, err := openLoad(b.url(), queueType(r.System))
	if err != nil {
		return err
	}
	defer again.close()
	if err := again.expect(ctx, o.queued); err != nil {
		return err
	}
	r.Queued, r.QueuedRSSMiB, r.QueuedStartMS = o.queued, float64(rss)/(1<<20), milliseconds(took)
	return nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// queueType is the argument with which a system's queue is declared.
func queueType(system string) string {
	if system == systemQuorum {
		return amqp091.QueueTypeQuorum
	}
	return amqp091.QueueTypeClassic
}
