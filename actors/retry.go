package actors

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/internal/restart"
	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/task"
)

// Retry is what happens after a run that did not succeed. A copy of the message
// with the next attempt number is published and, once the broker has confirmed it,
// the delivery is acked. Where the wait before that is spent is said by Delay.
//
// An error made by task.Discard is never retried, and one made by task.Retry always
// is, without using up an attempt; the policy decides about all others.
type Retry struct {
	// MaxAttempts is how often a task is tried before it goes to the dead-letter
	// queue; 5 by default.
	MaxAttempts int
	// Backoff between attempts; by default 1 s doubling to 30 s with jitter 0.5.
	Backoff supervisor.Backoff

	// RetryOn, if not empty, are the kinds of errors that are tried again at all, and
	// DiscardOn those that are not, even if RetryOn has them: patterns of path.Match
	// for what task.ErrorKind says. Other failures go to the dead-letter queue at once.
	// The death of a worker is no attempt and not asked for in RetryOn; DiscardOn with
	// worker_lost has the first one end the task.
	RetryOn, DiscardOn []string

	// MaxSnoozes is how often a message may be put off by task.Retry; 100 by default.
	MaxSnoozes int

	// Delay says where the wait is spent, and Hold up to which one it is spent in this
	// process in any case, with the delivery unsettled and counted in the window: 2 s
	// by default, at most a tenth of the high watermark at a time.
	Delay Delay
	Hold  time.Duration

	// Tasks are policies for single tasks, by name. What is zero in one is as in the
	// pool's; it has no Tasks of its own.
	Tasks map[string]Retry
}

// Delay says where the wait before the next run is spent.
type Delay uint8

const (
	// DelayAuto is on the broker above Retry.Hold, see package internal/ladder; in this
	// process, bounded by Backoff.Max, where the broker does not have what that takes
	// and we may not make it.
	DelayAuto Delay = iota
	// DelayDurable is on the broker above Retry.Hold. Where that is not possible the
	// delivery is kept unsettled until it is.
	DelayDurable
	// DelayMemory is in this process, bounded by Backoff.Max.
	DelayMemory
)

// The defaults of Retry.
const (
	defaultMaxAttempts = 5
	defaultMaxSnoozes  = 100
	defaultHold        = 2 * time.Second
)

// withDefaults resolves the policies of tasks, too.
func (r Retry) withDefaults() Retry {
	usual := supervisor.Backoff{Initial: time.Second, Factor: 2, Max: 30 * time.Second, Jitter: 0.5}
	r = r.over(Retry{MaxAttempts: defaultMaxAttempts, Backoff: usual, MaxSnoozes: defaultMaxSnoozes, Hold: defaultHold})
	pool := r
	r.Tasks = maps.Clone(r.Tasks)
	for name, t := range r.Tasks {
		t = t.over(pool)
		t.Tasks = nil
		r.Tasks[name] = t
	}
	return r
}

// over is r with what it leaves open taken from another policy.
func (r Retry) over(other Retry) Retry {
	r.MaxAttempts = cmp.Or(r.MaxAttempts, other.MaxAttempts)
	r.Backoff = cmp.Or(r.Backoff, other.Backoff)
	r.MaxSnoozes = cmp.Or(r.MaxSnoozes, other.MaxSnoozes)
	r.Delay = cmp.Or(r.Delay, other.Delay)
	r.Hold = cmp.Or(r.Hold, other.Hold)
	if r.RetryOn == nil {
		r.RetryOn = other.RetryOn
	}
	if r.DiscardOn == nil {
		r.DiscardOn = other.DiscardOn
	}
	return r
}

// forTask is the policy of the task with that name.
func (r *Retry) forTask(name string) *Retry {
	if t, ok := r.Tasks[name]; ok {
		return &t
	}
	return r
}

// retries reports whether an error of that kind is tried again.
func (r *Retry) retries(kind string) bool {
	return !matches(r.DiscardOn, kind) && (len(r.RetryOn) == 0 || matches(r.RetryOn, kind))
}

// matches has * stand for any characters, a / too: a kind is no path.
func matches(patterns []string, kind string) bool {
	if len(patterns) == 0 {
		return false
	}
	flat := strings.NewReplacer("/", "\x00")
	kind = flat.Replace(kind)
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, _ := path.Match(flat.Replace(p), kind) // problems has looked at the pattern
		return ok
	})
}

// problems are those of a policy that has its defaults.
func (r *Retry) problems() []error {
	var errs []error
	for _, p := range slices.Concat(r.RetryOn, r.DiscardOn) {
		if _, err := path.Match(p, ""); err != nil {
			errs = append(errs, fmt.Errorf("Retry: the pattern %q: %w", p, err))
		}
	}
	if r.MaxAttempts < 1 {
		errs = append(errs, fmt.Errorf("Retry.MaxAttempts is %d, it must be at least 1", r.MaxAttempts))
	}
	if r.MaxSnoozes < 1 || r.Hold < 0 || r.Delay > DelayMemory {
		errs = append(errs, fmt.Errorf("Retry.MaxSnoozes (%d) must be at least 1, Hold (%v) must not be negative, Delay (%d) must be known", r.MaxSnoozes, r.Hold, r.Delay))
	}
	for name, t := range r.Tasks {
		for _, err := range t.problems() {
			errs = append(errs, fmt.Errorf("task %q: %w", name, err))
		}
	}
	return errs
}

// past is what the headers of a delivery say of the runs before this one.
type past struct {
	attempt int // the number of this one, from 1
	snoozes int // runs that ended by task.Retry
	lost    int // worker processes that have died under it
}

// snooze puts a task off. It is no attempt, but there is a limit to it.
func (v verdict) snooze(p *Retry, before past, after time.Duration, random float64) verdict {
	if v.snoozes = before.snoozes + 1; v.snoozes > p.MaxSnoozes {
		v.snoozes = before.snoozes
		v.action, v.reason = deadLetterIt, reasonMaxSnoozes
		return v
	}
	v.action, v.free, v.after = retryIt, true, after
	if after <= 0 {
		v.after = restart.Backoff(p.Backoff).Delay(v.snoozes, random)
	}
	return v
}

// kindOf is the kind of a task's error.
func kindOf(err error) string {
	kind := task.ErrorKind(err)
	if kind == "error" && errors.Is(err, ErrTimeout) {
		return task.KindTimeout
	}
	return kind
}

// policyOf is the policy of the task of a flight that has its verdict, which may be that
// of an earlier delivery: then f was not decoded.
func (p *pool) policyOf(f *flight) *Retry {
	if f.verdict.task != "" {
		return p.Retry.forTask(f.verdict.task)
	}
	return p.policyFor(f)
}

// policyFor is the policy of the task of a flight. It is called by the goroutine of
// the task, or for one that was abandoned.
func (p *pool) policyFor(f *flight) *Retry {
	if len(p.Retry.Tasks) == 0 {
		return &p.Retry
	}
	if f.state.Load() == stateAbandoned && p.shown.at(f.slot).Load() != f || f.message == nil {
		return &p.Retry // it was not decoded
	}
	return p.Retry.forTask(f.message.Name)
}
