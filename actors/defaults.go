package actors

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/internal/ladder"
	"github.com/magne-actors/magne-actors/supervisor"
)

// DefaultMaxBody is the default of Pool.MaxBody in bytes. RabbitMQ itself takes
// 16 MiB (4.0 and later) or 128 MiB.
const DefaultMaxBody = 1 << 20

// MaxHigh bounds Pool.High: 2047 channels of 65,535 unsettled deliveries are
// AMQP's own limit, and RabbitMQ keeps unsettled deliveries in memory.
const MaxHigh = 1_000_000

// MaxName bounds the names of queues, in bytes: AMQP's short strings have no more,
// and a longer one ends the connection that all pools share.
const MaxName = 255

// MaxThreads bounds Pool.Workers with mode Thread. Go ends a program that has
// 10,000 threads, and a worker may have two for a time, see Pool.Timeout.
const MaxThreads = 4000

// MaxProcesses bounds Pool.Workers with mode Process, and Workers*Slots with mode
// Oneshot: a slip of the hand is not to take the machine down.
const MaxProcesses = 10_000

func (o Options) withDefaults() Options {
	o.AckTimeout = cmp.Or(o.AckTimeout, DefaultAckTimeout)
	o.Shutdown = cmp.Or(o.Shutdown, 30*time.Second)
	if o.Root == nil {
		o.Root = &supervisor.Spec{Strategy: supervisor.RestForOne, Intensity: 3, Period: time.Minute}
	}
	if o.PoolsSupervisor == nil {
		o.PoolsSupervisor = &supervisor.Spec{Strategy: supervisor.OneForOne, Intensity: 3, Period: time.Minute}
	}
	if o.Reconnect == (supervisor.Backoff{}) {
		o.Reconnect = supervisor.Backoff{Initial: 100 * time.Millisecond, Factor: 2, Max: 30 * time.Second, Jitter: 0.5, ResetAfter: 2 * time.Second}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	pools := make([]Pool, len(o.Pools))
	for i, p := range o.Pools {
		pools[i] = p.withDefaults()
	}
	o.Pools = pools
	return o
}

func (p Pool) withDefaults() Pool {
	p.Name = cmp.Or(p.Name, p.Queue.Name)
	p.Workers = cmp.Or(p.Workers, 1)
	most := p.Workers
	if p.Size != nil {
		size := p.Size.withDefaults()
		p.Size, p.Workers, most = &size, size.Min, size.Max
	}
	if p.Mode == Process && p.Process != nil {
		p.Slots = max(p.Process.Pipeline, p.Process.Concurrency, 1)
	}
	p.Slots = cmp.Or(p.Slots, 1)
	p.Quarantine.Slots = cmp.Or(p.Quarantine.Slots, 1)
	p.High = cmp.Or(p.High, most*p.Slots)
	if p.Low == 0 && p.High > 1 {
		p.Low = (p.High + 1) / 2
	}
	p.AbandonAfter = cmp.Or(p.AbandonAfter, 5*time.Second)
	p.MaxBody = cmp.Or(p.MaxBody, DefaultMaxBody)
	p.Retry = p.Retry.withDefaults()
	if p.Supervise == nil {
		p.Supervise = &supervisor.Spec{
			Strategy: supervisor.OneForOne, Intensity: 5, Period: time.Minute, Parallel: true,
			Backoff: supervisor.Backoff{Initial: 100 * time.Millisecond, Factor: 2, Max: 30 * time.Second, Jitter: 0.2, ResetAfter: 30 * time.Second},
		}
	}
	return p
}

// validate joins everything that is wrong with options that have defaults.
func (o Options) validate() error {
	var errs []error
	if o.Dialer == nil {
		errs = append(errs, errors.New("actors: Options.Dialer is missing"))
	}
	if len(o.Pools) == 0 {
		errs = append(errs, errors.New("actors: Options.Pools is empty: there is nothing to consume"))
	}
	names := map[string]bool{"root": true, "broker": true, "pools": true}
	for _, s := range o.Services {
		names[s.ID] = true
	}
	for i, p := range o.Pools {
		for _, err := range p.problems() {
			errs = append(errs, fmt.Errorf("actors: pool %d (%q): %w", i, p.Name, err))
		}
		if names[p.Name] {
			errs = append(errs, fmt.Errorf("actors: pool %d: the name %q is taken", i, p.Name))
		}
		names[p.Name] = true
	}
	return errors.Join(errs...)
}

func (p Pool) problems() []error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(!strings.ContainsAny(p.Name, ":/"), "the name must not contain : or /")
	check(p.Mode != Thread || p.Workers <= MaxThreads, "Workers is %d, with mode thread it must be at most %d", p.Workers, MaxThreads)
	check(p.Slots <= MaxHigh/max(p.Workers, 1), "Workers*Slots must be at most %d", MaxHigh)
	check(p.Queue.Name != "", "Queue.Name is empty")
	check(p.Queue.Dead != nil && p.Queue.Dead.Name != "", "Queue.Dead is missing: bad messages need a dead-letter queue")
	check(len(p.Queue.Name) <= MaxName && (p.Queue.Dead == nil || len(p.Queue.Dead.Name) <= MaxName),
		"Queue.Name or Queue.Dead.Name has more than %d bytes", MaxName)
	check(p.Codec != nil, "Codec is missing")
	check(p.Mode <= Oneshot, "Mode %d is unknown", p.Mode)
	if p.Mode == Process || p.Mode == Oneshot {
		check(p.Process != nil && len(p.Process.Spec.Command) > 0, "Process.Spec.Command is missing: with this mode a program runs the tasks")
		check(p.Mux == nil, "Mux is set, but a program runs the tasks")
	} else {
		check(p.Mux != nil && len(p.Mux.Names()) > 0, "Mux is missing or has no handler")
		check(p.Process == nil, "Process is set, but the mode is not Process or Oneshot")
	}
	check(p.Size == nil || p.Mode == Process, "Size is for the mode Process only")
	check(p.Size == nil || p.Size.Min >= 1 && p.Size.Spare >= 0, "Size.Min is at least 1 and Size.Spare at least 0")
	check(p.Mode != Thread || p.Slots == 1, "Slots is %d, but a thread runs one task at a time", p.Slots)
	check(p.Workers > 0, "Workers is %d, it must be at least 1", p.Workers)
	check(p.Slots > 0, "Slots is %d, it must be at least 1", p.Slots)
	check(p.High > 0 && p.High <= MaxHigh, "High is %d, it must be from 1 to %d", p.High, MaxHigh)
	check(p.Low >= 0 && p.Low < max(p.High, 1), "Low is %d, it must be below High (%d)", p.Low, p.High)
	check(p.Timeout >= 0 && p.AbandonAfter > 0, "Timeout (%v) and AbandonAfter (%v) must not be negative", p.Timeout, p.AbandonAfter)
	check(p.Dedup <= DedupOff, "Dedup %d is unknown", p.Dedup)
	check(p.MaxBody > 0, "MaxBody is %d, it must be at least 1", p.MaxBody)
	if err := ladder.Routable(p.Queue.Name); err != nil && p.Retry.insists() {
		errs = append(errs, fmt.Errorf("Retry.Delay is DelayDurable: %w", err))
	}
	return append(errs, p.Retry.problems()...)
}
