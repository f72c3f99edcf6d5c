package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/magne-actors/magne-actors/actors"
	"github.com/magne-actors/magne-actors/config"
	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/supervisor"
)

// pools are what a reload changes: an actors.System.
type pools interface {
	Scale(ctx context.Context, pool string, workers int) error
	Limit(ctx context.Context, pool string, high, low int) error
	AddPool(ctx context.Context, o actors.Pool) error
	RemovePool(ctx context.Context, name string) error
	ReplacePool(ctx context.Context, o actors.Pool) error
	Stats() []actors.PoolStats
}

// reloader brings a running System to a configuration that has changed. One
// goroutine does it, one reload after the other, because a pool that is replaced
// may take longer than whoever has asked for it waits.
type reloader struct {
	system pools
	read   func() (*config.File, error) // the configuration as it is now
	log    *slog.Logger
	begin  func() (end func()) // told of each reload
	do     func(ctx context.Context) outcome

	asked chan chan<- outcome // holds one that waits
	first *config.File        // by which all runs that a reload cannot change
	none  *config.File        // has no pool
	// running is by which file each pool runs. It is nil for one of which a reload
	// has failed: nobody knows how much of it was done. The map is never written to.
	running atomic.Pointer[map[string]*config.File]
}

// outcome is what became of a reload.
type outcome struct {
	changes []control.Change
	err     error
}

func newReloader(in *instance) (*reloader, error) {
	none, err := config.ParseBroker(strings.NewReader("version: 1\n"), "none", nil)
	if err != nil {
		return nil, err
	}
	r := &reloader{
		system: in.system, log: in.log, begin: in.watch.notify.Reloading,
		read:  func() (*config.File, error) { return readAgain(in.file) },
		asked: make(chan chan<- outcome, 1), first: in.config, none: none,
	}
	running := map[string]*config.File{}
	for i := range in.config.Pools {
		running[in.config.Pools[i].Name] = in.config
	}
	r.running.Store(&running)
	r.do = r.once
	return r, nil
}

// readAgain reads a configuration file.
func readAgain(file string) (*config.File, error) {
	if file == "-" {
		return nil, &control.InvalidError{Mistakes: []string{"the configuration was read from stdin, which cannot be read again: run -c FILE can reload"}}
	}
	return config.Load(file)
}

// start carries out what is asked for until life ends.
func (r *reloader) start(life context.Context) {
	go func() {
		for {
			select {
			case answer := <-r.asked:
				answer <- r.safely(life)
			case <-life.Done():
				return
			}
		}
	}()
}

// signal asks for a reload and does not wait. One that waits already does for
// both.
func (r *reloader) signal() {
	select {
	case r.asked <- make(chan outcome, 1):
	default:
	}
}

// reload asks for a reload and waits for it. It goes on when ctx ends.
func (r *reloader) reload(ctx context.Context) ([]control.Change, error) {
	answer := make(chan outcome, 1)
	select {
	case r.asked <- answer:
	case <-ctx.Done():
		return nil, fmt.Errorf("other reloads are not done: %w", context.Cause(ctx))
	}
	select {
	case o := <-answer:
		return o.changes, o.err
	case <-ctx.Done():
		return nil, fmt.Errorf("reload: %w", context.Cause(ctx))
	}
}

// safely is once, of which a panic is an error.
func (r *reloader) safely(life context.Context) (o outcome) {
	defer func() {
		if v := recover(); v != nil {
			o.err = fmt.Errorf("reload: panic: %v", v)
		}
		if invalid, ok := errors.AsType[*control.InvalidError](o.err); ok {
			for _, each := range invalid.Mistakes {
				r.log.Error("the configuration is not valid, nothing was changed", "err", each)
			}
		} else if o.err != nil {
			r.log.Error("reload failed in part", "err", o.err)
		}
	}()
	defer r.begin()()
	return r.do(life)
}

// once reads the configuration and does what is different.
func (r *reloader) once(ctx context.Context) (o outcome) {
	next, options, err := r.next(r.read())
	if err != nil {
		return outcome{err: err}
	}
	for _, w := range next.Warnings() {
		r.log.Warn("configuration", "warning", w.Error())
	}
	running := maps.Clone(*r.running.Load())
	var errs []error
	for _, c := range r.plan(next, options) {
		if c.Action == config.ActionKeep {
			running[c.Pool] = next
			continue
		}
		if c.Action == config.ActionManual {
			r.log.Warn("a reload cannot change this", "change", c.Text)
			o.changes = append(o.changes, c)
			continue
		}
		if err := r.apply(ctx, c, options[c.Pool]); err != nil {
			errs = append(errs, err)
			if !errors.Is(err, actors.ErrKept) {
				running[c.Pool] = nil
			}
			continue
		}
		c.Text += r.stillParked(c.Pool)
		r.log.Info("reloaded", "pool", c.Pool, "action", c.Action, "change", c.Text)
		o.changes = append(o.changes, c)
		if running[c.Pool] = next; c.Action == config.ActionRemove {
			delete(running, c.Pool)
		}
	}
	r.running.Store(&running)
	if o.err = joined(errs); o.err == nil && len(o.changes) == 0 {
		r.log.Info("nothing differs in the configuration")
	}
	return o
}

// joined is all errors in one line.
func joined(errs []error) error {
	if len(errs) < 2 {
		return errors.Join(errs...)
	}
	return fmt.Errorf("%w; %w", errs[0], joined(errs[1:]))
}

// next holds a configuration to all that is needed for running it, and returns the
// pools that it gives.
func (r *reloader) next(f *config.File, err error) (*config.File, map[string]actors.Pool, error) {
	if f == nil {
		return nil, nil, invalid(err)
	}
	o, err := f.Options(r.log, nil)
	if err != nil {
		return nil, nil, invalid(err)
	}
	options := map[string]actors.Pool{}
	for _, p := range o.Pools {
		options[p.Name] = p
	}
	return f, options, nil
}

// invalid lists what is wrong with a configuration.
func invalid(err error) error {
	if _, ok := errors.AsType[*control.InvalidError](err); ok {
		return err
	}
	mistakes := []string{err.Error()}
	if list, ok := errors.AsType[config.Errors](err); ok {
		mistakes = nil
		for _, each := range list {
			mistakes = append(mistakes, each.Error())
		}
	}
	return &control.InvalidError{Mistakes: mistakes}
}

// diff says what a reload of a text would change.
func (r *reloader) diff(_ context.Context, yaml []byte) ([]control.Change, error) {
	next, options, err := r.next(config.Parse(bytes.NewReader(yaml), name("-"), os.Environ()))
	if err != nil {
		return nil, err
	}
	return r.plan(next, options), nil
}

// plan is what has to be done: first what cannot be, then the pools of next in
// their order, then those that are gone.
func (r *reloader) plan(next *config.File, options map[string]actors.Pool) []control.Change {
	var all []control.Change
	for _, c := range config.Diff(r.first, next) {
		if c.Pool == "" {
			all = append(all, shownChange(c))
		}
	}
	running := *r.running.Load()
	for i := range next.Pools {
		name := next.Pools[i].Name
		c := r.planPool(running, next, name)
		if c.Action == config.ActionKeep {
			c.Text += r.byOperator(options[name])
		}
		all = append(all, c)
	}
	for _, name := range slices.Sorted(maps.Keys(running)) {
		if _, stays := options[name]; !stays {
			all = append(all, r.planPool(running, next, name))
		}
	}
	return all
}

// byOperator is what an operator has changed of a pool that stays as it is, and so
// stays as well.
func (r *reloader) byOperator(want actors.Pool) string {
	for _, s := range r.system.Stats() {
		switch {
		case s.Pool != want.Name:
		case want.Size == nil && s.Size != int64(want.Workers):
			return fmt.Sprintf("; it keeps the %d workers of `scale`, the file says %d", s.Size, want.Workers)
		case want.Size == nil && (s.High != int64(want.High) || s.Low != int64(want.Low)):
			return fmt.Sprintf("; it keeps the watermarks %d/%d of `limit`, the file says %d/%d", s.High, s.Low, want.High, want.Low)
		}
	}
	return ""
}

// stillParked is what the change of a pool that was given up does not do: start it.
func (r *reloader) stillParked(pool string) string {
	for _, s := range r.system.Stats() {
		if s.Pool == pool && s.Parked {
			return fmt.Sprintf("; it was given up before and is not started by this: `magne-actors why %s` says how", pool)
		}
	}
	return ""
}

// planPool is what has to be done about one pool.
func (r *reloader) planPool(running map[string]*config.File, next *config.File, name string) control.Change {
	old, there := running[name]
	failed := there && old == nil
	if old == nil {
		old = r.none
	}
	for _, c := range config.Diff(old, next) {
		switch {
		case c.Pool != name:
		case failed:
			return control.Change{Pool: name, Action: config.ActionRestart, Text: "the last reload of it has failed"}
		default:
			return shownChange(c)
		}
	}
	return control.Change{Pool: name, Action: config.ActionRemove, Text: "gone, and the last reload of it has failed"}
}

func shownChange(c config.Change) control.Change { return control.Change(c) }

// apply does what a change says. What failed before may have been done in part.
func (r *reloader) apply(ctx context.Context, c control.Change, p actors.Pool) error {
	switch c.Action {
	case config.ActionAdd:
		return r.system.AddPool(ctx, p)
	case config.ActionRemove:
		if err := r.system.RemovePool(ctx, c.Pool); err != nil && !errors.Is(err, supervisor.ErrNotFound) {
			return err
		}
		return nil
	case config.ActionLimit:
		return r.system.Limit(ctx, c.Pool, p.High, p.Low)
	case config.ActionScale:
		if p.Size != nil { // it follows the load, between other bounds
			return r.system.ReplacePool(ctx, p)
		}
		if err := r.system.Scale(ctx, c.Pool, p.Workers); err != nil {
			return err
		}
		return r.system.Limit(ctx, c.Pool, p.High, p.Low) // scaling may have moved them
	}
	err := r.system.ReplacePool(ctx, p)
	if errors.Is(err, supervisor.ErrNotFound) {
		return r.system.AddPool(ctx, p)
	}
	return err
}
