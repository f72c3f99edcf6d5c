package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/magne-actors/magne-actors/internal/testenv"
)

// Options say how to run faults. Program is needed; the zero value of every other
// field is usable.
type Options struct {
	Program string // the magne-actors to run
	Seed    uint64 // of what is random: when in its life an instance is hit
	Rate    int    // messages a second; 100 by default
	// Slack is added to each limit in time. Without it they are those of the design;
	// a machine that is busy with other things needs some.
	Slack time.Duration
	// Row, if not nil, is called with each row as soon as there is one.
	Row func(Row)
}

const (
	// recoverWithin is how soon after the broker is able an instance consumes.
	recoverWithin = 2 * time.Second
	// patience is how long a run waits for what must come, before it says that it
	// does not. It is no limit of the design.
	patience = 90 * time.Second
	settle   = time.Second // of steady load before and after
)

// Run runs the faults one after the other, each with an instance, a virtual host and
// a user of its own; a RabbitMQ node of the suite's own serves them, and is
// replaced when a fault has left it unusable. The error is about the suite; what
// an instance did wrong is in the rows.
func Run(ctx context.Context, list []Fault, o Options) (Report, error) {
	rep := newReport(o)
	random := rand.New(rand.NewPCG(o.Seed, 0))
	node, err := testenv.Start(ctx, testenv.Options{})
	if err != nil {
		return rep, fmt.Errorf("faults: %w", err)
	}
	defer func() { _ = node.Stop() }() // it was of use
	rep.Broker = version(ctx, node)
	for i, f := range list {
		row, err := runOne(ctx, &f, o, random, func(ctx context.Context) (*rig, error) {
			return newRig(ctx, node, o.Program, fmt.Sprintf("chaos%d", i))
		})
		if ctx.Err() != nil {
			return rep, fmt.Errorf("faults: %w", context.Cause(ctx))
		}
		rep.take(row, err, o)
		if err == nil {
			continue
		}
		_ = node.Stop()
		fresh, err := testenv.Start(ctx, testenv.Options{})
		if err != nil {
			return rep, fmt.Errorf("faults: %w", err)
		}
		node = fresh
	}
	return rep, nil
}

// RunEmbedded is Run with the embedded broker: each fault has one of its own.
func RunEmbedded(ctx context.Context, list []Fault, o Options) (Report, error) {
	rep := newReport(o)
	rep.Broker = "the embedded broker"
	random := rand.New(rand.NewPCG(o.Seed, 0))
	for _, f := range list {
		var b broker
		row, err := runOne(ctx, &f, o, random, func(ctx context.Context) (*rig, error) {
			r, err := newEmbeddedRig(ctx, o.Program)
			if err == nil {
				b = r.broker
			}
			return r, err
		})
		if b != nil {
			err = errors.Join(err, b.Stop())
		}
		if ctx.Err() != nil {
			return rep, fmt.Errorf("faults: %w", context.Cause(ctx))
		}
		rep.take(row, err, o)
	}
	return rep, nil
}

func newReport(o Options) Report {
	return Report{Seed: o.Seed, Began: time.Now().UTC().Truncate(time.Second), Machine: machine()}
}

// take adds a row, and shows it.
func (rep *Report) take(row Row, err error, o Options) {
	if err != nil {
		row.Problems = append(row.Problems, err.Error())
	}
	rep.Rows, rep.Load = append(rep.Rows, row), loadAverage()
	if o.Row != nil {
		o.Row(row)
	}
}

// version asks the node for its own.
func version(ctx context.Context, node *testenv.Node) string {
	text, err := node.Eval(ctx, `rabbit_misc:version()`)
	if err != nil {
		return "RabbitMQ"
	}
	return "RabbitMQ " + unquote(text)
}

// times of one run.
type times struct {
	begun, injected, healing, able, first, ready time.Time
	subscriptions                                int // when it began
}

// runOne runs one fault. The row is good as far as the run has come.
func runOne(ctx context.Context, f *Fault, o Options, random *rand.Rand, setUp func(context.Context) (*rig, error)) (row Row, err error) {
	row = Row{Fault: f.Name, Title: f.Title}
	ctx, cancel := context.WithTimeoutCause(ctx, 3*patience, errors.New("the run takes too long"))
	defer cancel()
	r, err := setUp(ctx)
	if err != nil {
		return row, err
	}
	defer func() {
		row.Tally, row.Wire = r.books.tally(), r.tap.seen()
		err = errors.Join(err, r.close(ctx))
	}()
	rate := defaulted(o.Rate, 100)
	r.load = newLoad(ctx, r.books, r.admin(), queue, rate, publishers)
	if err := r.until(ctx, "some messages are executed", func() bool { return r.books.tally().Executed >= rate/2 }); err != nil {
		return row, err
	}
	pause(ctx, time.Duration(random.Int64N(int64(settle))))
	t, err := r.suffer(ctx, f)
	row.take(f, t, r)
	if err == nil {
		err = r.finish(ctx)
	}
	row.Tally, row.Wire = r.books.tally(), r.tap.seen()
	row.judge(f, o.Slack)
	if r.in.keep = err != nil || !row.Pass(); r.in.keep {
		row.Log = r.in.file.Name()
	}
	return row, err
}

// errSuite: the fault could not be done or healed. It says nothing of the instance.
var errSuite = errors.New("faults: the broker is not as the suite wants it")

// suffer lets the fault happen, and waits until the instance is well again.
func (r *rig) suffer(ctx context.Context, f *Fault) (t times, err error) {
	t.subscriptions = -1
	if f.renews {
		t.subscriptions = r.tap.subscriptions()
	}
	t.begun = time.Now()
	if err := f.inject(ctx, r); err != nil {
		return t, fmt.Errorf("%w: %w", errSuite, err)
	}
	t.injected = time.Now()
	pause(ctx, f.lasts)
	if t.healing = time.Now(); f.lasts == 0 {
		t.healing = t.begun
	}
	if f.heal != nil {
		if err := f.heal(ctx, r); err != nil {
			return t, fmt.Errorf("%w: %w", errSuite, err)
		}
	}
	able := f.able
	if able == nil {
		able = func(ctx context.Context, r *rig) error { return r.able(ctx) }
	}
	if err := able(ctx, r); err != nil {
		return t, fmt.Errorf("%w: %w", errSuite, err)
	}
	t.able = time.Now()
	waiting, cancel := context.WithTimeoutCause(ctx, patience, errors.New("waited long enough"))
	defer cancel()
	err = r.until(waiting, "the first delivery after the fault", func() bool {
		var ok bool
		t.first, ok = r.tap.first(t.healing, t.subscriptions)
		return ok
	})
	if err != nil {
		return t, err
	}
	if err = r.until(waiting, "/readyz is well again", r.watch.isReady); err == nil {
		t.ready = time.Now()
	}
	return t, err
}

// finish ends the load, waits for what was confirmed, and stops the instance.
func (r *rig) finish(ctx context.Context) error {
	pause(ctx, settle)
	r.load.stop()
	waiting, cancel := context.WithTimeoutCause(ctx, patience, errors.New("waited long enough"))
	defer cancel()
	// What is still missing when the time is over is lost, and no error.
	for r.books.tally().Lost > 0 && waiting.Err() == nil {
		if err := errors.Join(r.deadLetters(), r.in.alive()); err != nil {
			return err
		}
		pause(waiting, 100*time.Millisecond)
	}
	stopping, cancel := context.WithTimeoutCause(ctx, patience, errors.New("waited long enough"))
	defer cancel()
	if err := r.in.stop(stopping); err != nil {
		return err
	}
	// Copies that still waited for their turn were published at the end.
	err := errors.Join(r.empty(), r.deadLetters())
	if crash := r.in.log.crash(); crash != "" {
		err = errors.Join(fmt.Errorf("faults: a panic or a race: %s", crash), err)
	}
	return err
}
