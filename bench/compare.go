package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"
)

// compare runs the systems in turn, o.runs times, and returns a row for each. An
// error comes with the rows where there are some.
func compare(ctx context.Context, o *options, r *rig, p *progress) ([]row, error) {
	samples := map[string][]sample{}
	if o.vs == systemPlain && r.node != nil { // nothing is left on somebody else's broker
		if err := r.declareLadder(ctx); err != nil {
			return nil, err
		}
	}
	for i := range o.runs {
		for _, system := range o.byRound(i) {
			s, err := one(ctx, o, r, p, system, fmt.Sprintf("%s %s, run %d of %d", o.scenario.name, system, i+1, o.runs))
			if err != nil {
				return nil, err
			}
			samples[system] = append(samples[system], *s)
		}
	}
	var rows []row
	var errs []error
	for _, system := range o.systems() {
		w := summarize(o, system, samples[system])
		w.Broker, w.Go, w.CPUs = r.version(), runtime.Version(), runtime.NumCPU()
		rows = append(rows, w)
		errs = append(errs, w.violations())
	}
	relate(rows)
	return rows, errors.Join(errs...)
}

// one measures one run, on a queue of its own.
func one(ctx context.Context, o *options, r *rig, p *progress, system, title string) (_ *sample, err error) {
	q := queueOf(o.scenario, system, fmt.Sprintf("BENCH.%s.%d.%d", o.scenario.name, os.Getpid(), time.Now().UnixNano()))
	if err := r.declare(q); err != nil {
		return nil, err
	}
	defer func() {
		// That a run which has failed leaves messages is no news.
		if left := r.finish(q); err == nil || !errors.Is(left, errLeft) {
			err = errors.Join(err, left)
		}
	}()
	p.say("%s: publishing", title)
	publishing := func(n int64) { p.count(title+": published", n, int64(o.n)) }
	if err := r.fill(ctx, o.scenario, q, o.n, publishing); err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	if err := r.calm(ctx); err != nil {
		return nil, err
	}
	p.say("%s: measuring", title)
	before, err := r.cpu()
	if err != nil {
		return nil, err
	}
	s, err := spawn(ctx, o.job(system, r.url, q.Name), func(n int64) { p.count(title+": settled", n, int64(o.n)) })
	if err != nil {
		return nil, err
	}
	after, err := r.cpu()
	if err != nil {
		return nil, err
	}
	if before != nil {
		used := *after - *before
		s.BrokerCPUSeconds = &used
	}
	return s, nil
}
