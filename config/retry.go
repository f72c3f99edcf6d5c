package config

import (
	glob "path"
	"slices"
	"time"

	"github.com/magne-actors/magne-actors/actors"
)

// Retry is what happens after a failed attempt.
type Retry struct {
	MaxAttempts int `mapstructure:"max_attempts"`
	Backoff     `mapstructure:",squash"`
	Delay       string
	Hold        time.Duration
	RetryOn     []string         `mapstructure:"retry_on"`
	DiscardOn   []string         `mapstructure:"discard_on"`
	MaxSnoozes  int              `mapstructure:"max_snoozes"`
	Tasks       map[string]Retry // by task name, and complete; they have no Tasks
}

// namedPolicies keeps also those without keys. There are none as a rule.
func (r *reader) namedPolicies(pool string, all map[string]Retry) map[string]Retry {
	names := r.chosen[poolPath(pool)+".retry.tasks"]
	if len(names) == 0 {
		return nil
	}
	policies := map[string]Retry{}
	for _, name := range names {
		policies[name] = all[encode(name)]
	}
	return policies
}

// fillRetry completes the policies of tasks by that of the pool.
func (f *File) fillRetry(p *Pool) {
	at := poolPath(p.Name) + ".retry.tasks"
	for name, t := range p.Retry.Tasks {
		given := func(key string) bool { return f.read.given(at + component(name) + "." + key) }
		pool := p.Retry
		inherit(given, "max_attempts", &t.MaxAttempts, pool.MaxAttempts)
		inherit(given, "initial", &t.Initial, pool.Initial)
		inherit(given, "factor", &t.Factor, pool.Factor)
		inherit(given, "max", &t.Max, pool.Max)
		inherit(given, "jitter", &t.Jitter, pool.Jitter)
		inherit(given, "delay", &t.Delay, pool.Delay)
		inherit(given, "hold", &t.Hold, pool.Hold)
		inherit(given, "retry_on", &t.RetryOn, pool.RetryOn)
		inherit(given, "discard_on", &t.DiscardOn, pool.DiscardOn)
		inherit(given, "max_snoozes", &t.MaxSnoozes, pool.MaxSnoozes)
		p.Retry.Tasks[name] = t
	}
}

func inherit[T any](given func(string) bool, key string, to *T, value T) {
	if !given(key) {
		*to = value
	}
}

// policy is what the runtime makes of it.
func (r *Retry) policy() actors.Retry {
	o := actors.Retry{
		MaxAttempts: r.MaxAttempts, Backoff: r.backoff(), RetryOn: r.RetryOn, DiscardOn: r.DiscardOn, MaxSnoozes: r.MaxSnoozes,
		Delay: map[string]actors.Delay{"durable": actors.DelayDurable, "memory": actors.DelayMemory}[r.Delay], Hold: r.Hold,
	}
	if r.Hold == 0 {
		o.Hold = time.Nanosecond // there, zero stands for a default
	}
	for name, t := range r.Tasks {
		if o.Tasks == nil {
			o.Tasks = map[string]actors.Retry{}
		}
		o.Tasks[name] = t.policy()
	}
	return o
}

func (f *File) checkRetry(p *Pool, at string) {
	f.checkPolicy(at, &p.Retry)
	for _, name := range sortedNames(p.Retry.Tasks) {
		t, at := p.Retry.Tasks[name], at+".tasks"+component(name)
		f.checkPolicy(at, &t)
		if _, known := p.Tasks[name]; !known && len(p.Tasks) > 0 && !f.read.badBelow(poolPath(p.Name)+".tasks") {
			f.read.complain(at, "the pool has no task of this name: %s", oneOf(name, p.TaskNames()))
		}
	}
}

func (f *File) checkPolicy(at string, r *Retry) {
	f.checkBackoff(at, r.Backoff)
	for key, patterns := range map[string][]string{".retry_on": r.RetryOn, ".discard_on": r.DiscardOn} {
		i := slices.IndexFunc(patterns, func(p string) bool { _, err := glob.Match(p, ""); return err != nil || p == "" })
		if i >= 0 && f.read.given(at+key) {
			f.read.complain(at+key, "%q is not a pattern for kinds of errors: write a kind, with * for any characters and ? for one", patterns[i])
		}
	}
}

// lintRetry warns about waits that are spent with the delivery unsettled, and that are
// as long as the broker waits for a settlement.
func (f *File) lintRetry(p *Pool, at, who, key string, limit time.Duration) {
	policies := map[string]Retry{at: p.Retry}
	for name, t := range p.Retry.Tasks {
		policies[at+".tasks"+component(name)] = t
	}
	for _, at := range sortedNames(policies) {
		r, what := policies[at], ".max"
		longest := r.Max
		if r.Delay != "memory" {
			longest, what = r.Hold, ".hold"
		}
		if longest >= limit && limit > 0 && (at == poolPath(p.Name)+".retry" || f.read.given(at+what) || f.read.given(at+".delay")) {
			f.read.warn(at+what, "%v is not below %v: such a wait is spent with the delivery unsettled, and %s takes it back after so long; "+
				"raise %s as well", short(longest), short(limit), who, key)
		}
	}
}
