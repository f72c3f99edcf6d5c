package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/internal/ladder"
)

// delayArg is the scenario that compares ways to delay messages on RabbitMQ.
const delayArg = "delay"

// delayOptions are its command line.
type delayOptions struct {
	ownOptions

	n int
}

// delayRow is one system's medians.
type delayRow struct {
	System   string  `json:"system"`
	Scenario string  `json:"scenario"`
	N        int     `json:"n"`
	Seconds  float64 `json:"seconds"`
	MsgsPerS float64 `json:"msgs_per_s"`

	// A delay that takes one queue of each ladder, as a retry's, and an exact one, which
	// takes two of ours and four of the binary one.
	RetryCPU float64 `json:"broker_cpu_us_per_retry"`
	ExactCPU float64 `json:"broker_cpu_us_per_exact"`
	// What our delays cost over those of this system, each without what it costs to
	// publish and consume; nil for none.
	RetryShare *float64 `json:"retry_cpu_ours_to_this,omitempty"`
	ExactShare *float64 `json:"exact_cpu_ours_to_this,omitempty"`

	Broker string       `json:"broker"`
	Go     string       `json:"go"`
	CPUs   int          `json:"cpus"`
	Runs   []delayUsage `json:"runs"`
}

// delayUsage is one run.
type delayUsage struct {
	Seconds  float64 `json:"seconds"`
	RetryCPU float64 `json:"broker_cpu_us_per_retry"`
	ExactCPU float64 `json:"broker_cpu_us_per_exact"`
}

func parseDelay(args []string, w io.Writer) (*delayOptions, error) {
	o := new(delayOptions)
	return o, o.parse(delayArg, args, w, func(fs *flag.FlagSet) {
		fs.IntVar(&o.n, "n", 5000, "how many `messages` of 100 bytes of each kind")
	}, func() error {
		if o.n < 1 {
			return errors.New("-n must be at least 1")
		}
		return nil
	})
}

// runDelay is run for this scenario.
func runDelay(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseDelay(args, stderr)
	if err != nil {
		return refuse(err, stderr)
	}
	return show(&o.ownOptions, stdout, stderr, func(p *progress) ([]delayRow, error) { return compareDelays(ctx, o, p) }, delayTable)
}

// compareDelays runs the systems in turn, each on a node of its own: the queues of a
// ladder cost something although they are empty.
func compareDelays(ctx context.Context, o *delayOptions, p *progress) ([]delayRow, error) {
	systems := delaySystems()
	rows := make([]delayRow, len(systems))
	for i := range o.runs {
		for k := range systems {
			rows[k].System = systems[k].name
			p.say("%s: %s, run %d of %d", delayArg, systems[k].name, i+1, o.runs)
			if err := rows[k].measure(ctx, &systems[k], o.n); err != nil {
				return nil, fmt.Errorf("%s: %w", systems[k].name, err)
			}
		}
	}
	for k := range rows {
		r := &rows[k]
		r.Scenario, r.N, r.Go, r.CPUs = delayArg, o.n, runtime.Version(), runtime.NumCPU()
		r.Seconds = median(r.Runs, func(u delayUsage) float64 { return u.Seconds })
		r.MsgsPerS = float64(2*o.n) / r.Seconds
		r.RetryCPU = median(r.Runs, func(u delayUsage) float64 { return u.RetryCPU })
		r.ExactCPU = median(r.Runs, func(u delayUsage) float64 { return u.ExactCPU })
	}
	shareDelays(rows)
	return rows, nil
}

// shareDelays fills in the ratios: rows has none at first, and ours next.
func shareDelays(rows []delayRow) {
	none, ours := rows[0], rows[1]
	for k := range rows[1:] {
		r := &rows[k+1]
		r.RetryShare = share(ours.RetryCPU-none.RetryCPU, r.RetryCPU-none.RetryCPU)
		r.ExactShare = share(ours.ExactCPU-none.ExactCPU, r.ExactCPU-none.ExactCPU)
	}
}

// share is ours over theirs; nil where so few messages cost less than the system
// counts, which is 10 ms of CPU.
func share(ours, theirs float64) *float64 {
	if theirs <= 0 {
		return nil
	}
	s := ours / theirs
	return &s
}

func (r *delayRow) measure(ctx context.Context, sys *delaySystem, n int) (err error) {
	rig, err := newRig(ctx, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rig.close()) }()
	r.Broker = rig.version()
	d := &delayRun{rig: rig, sys: sys, n: n}
	if d.session, err = (amqp.Dialer{URL: rig.url}).Dial(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.session.Close(ctx)) }()
	if err := d.prepare(ctx); err != nil {
		return err
	}
	begin := time.Now()
	var u delayUsage
	const retry, exact = 2 * time.Second, 5375 * time.Millisecond // 0x10 and 0x2b units
	if u.RetryCPU, err = d.cost(ctx, retry); err != nil {
		return err
	}
	if u.ExactCPU, err = d.cost(ctx, exact); err != nil {
		return err
	}
	u.Seconds = time.Since(begin).Seconds()
	r.Runs = append(r.Runs, u)
	return nil
}

// delayRun is one system on one node.
type delayRun struct {
	rig      *rig
	sys      *delaySystem
	n        int
	session  broker.Session
	consumer broker.Consumer
}

const delayQueue = "bench"

func (d *delayRun) prepare(ctx context.Context) (err error) {
	queue := broker.Queue{Name: delayQueue, Durable: true, Args: map[string]any{"x-queue-type": "quorum"}}
	d.consumer, err = d.session.Consume(ctx, broker.Source{Queue: queue, Credit: loadWindow})
	if err != nil {
		return err
	}
	return d.session.Apply(ctx, d.sys.topology(delayQueue))
}

// cost delays n messages and returns the processor time of the broker for each, in
// microseconds.
func (d *delayRun) cost(ctx context.Context, delay time.Duration) (float64, error) {
	if err := d.rig.calm(ctx); err != nil {
		return 0, err
	}
	before, err := d.rig.cpu()
	if err != nil {
		return 0, err
	}
	answers := make(chan error, d.n) // room for all: the session must not be blocked
	for i := range d.n {
		p := &broker.Publication{Body: noopMessage(i).Args}
		p.Persistent = true
		p.Exchange, p.RoutingKey = d.sys.route(delay, delayQueue)
		if err := d.session.Publish(ctx, p, func(err error) { answers <- err }); err != nil {
			return 0, err
		}
	}
	for range d.n {
		if err := <-answers; err != nil {
			return 0, err
		}
	}
	if err := d.consume(ctx); err != nil {
		return 0, err
	}
	after, err := d.rig.cpu()
	if err != nil {
		return 0, err
	}
	return (*after - *before) / float64(d.n) * 1e6, nil
}

// consume takes and acks n messages; a few may come twice after a failure, which
// there is none of here.
func (d *delayRun) consume(ctx context.Context) error {
	for range d.n {
		select {
		case m, ok := <-d.consumer.Deliveries():
			if !ok {
				return fmt.Errorf("the consumer has ended: %w", d.consumer.Err())
			}
			if err := d.consumer.Settle(m.Tag, broker.Ack); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// delaySystem is a way to delay messages.
type delaySystem struct {
	name     string
	topology func(queue string) broker.Topology
	route    func(delay time.Duration, queue string) (exchange, key string)
}

// delaySystems are what is compared: none first, which is what the others add to.
func delaySystems() []delaySystem {
	return []delaySystem{
		{
			name:     "no delay",
			topology: func(string) broker.Topology { return broker.Topology{} },
			route:    func(_ time.Duration, queue string) (string, string) { return "", queue },
		},
		{
			name: "base 16",
			topology: func(queue string) broker.Topology {
				t := ladder.Topology()
				t.Bindings = append(t.Bindings, ladder.Exit(queue).Bindings...)
				return t
			},
			route: ladder.Route,
		},
		{name: "binary, NServiceBus", topology: binaryTopology, route: binaryRoute},
		{name: "binary, Celery", topology: binaryTopology, route: func(delay time.Duration, queue string) (string, string) {
			_, key := binaryRoute(delay, queue)
			return binaryName(binaryLevels - 1), key // it begins at the top, whatever the delay
		}},
	}
}
