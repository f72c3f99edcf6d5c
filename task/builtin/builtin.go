package builtin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/magne-actors/magne-actors/task"
)

// Options configures the handlers. The zero value is usable.
type Options struct {
	// Logger receives what echo logs; nil: nothing.
	Logger *slog.Logger
	// Float64 draws for latency_bench from [0, 1), and must be safe for
	// concurrent use; nil: math/rand/v2.
	Float64 func() float64
}

// New returns the handler of that name, with the default options. The error lists
// the known names.
func New(name string) (task.Handler, error) { return Options{}.New(name) }

// Names returns the names of all handlers in alphabetical order.
func Names() []string { return []string{"echo", "fail", "latency_bench", "sleep"} }

// New returns the handler of that name. The error lists the known names.
func (o Options) New(name string) (task.Handler, error) {
	switch name {
	case "echo":
		return echo(cmp.Or(o.Logger, slog.New(slog.DiscardHandler))), nil
	case "fail":
		return task.Func(fail), nil
	case "latency_bench":
		if o.Float64 == nil {
			o.Float64 = rand.Float64
		}
		return latencyBench(o.Float64), nil
	case "sleep":
		return task.Func(sleep), nil
	}
	return nil, fmt.Errorf("builtin: unknown handler %q: want one of %s", name, strings.Join(Names(), ", "))
}

// LatencyDuration returns how long a task of magne's latency benchmark sleeps for
// a draw u from [0, 1): 10 s for 1 %, 5 s for 29 %, 3 s for 20 % and 1 s for the
// other 50 %. The mean is 2.65 s.
func LatencyDuration(u float64) time.Duration {
	switch {
	case u < 0.01:
		return 10 * time.Second
	case u < 0.30:
		return 5 * time.Second
	case u < 0.50:
		return 3 * time.Second
	default:
		return time.Second
	}
}

// echo takes any arguments, so it does not decode them.
func echo(l *slog.Logger) task.Handler {
	return task.HandlerFunc(func(ctx context.Context, m *task.Message) error {
		if l.Enabled(ctx, slog.LevelDebug) {
			l.DebugContext(ctx, "echo", "task", m.Name, "queue", m.Queue, "id", m.ID, "attempt", m.Attempt,
				"args", clip(m.Args), "kwargs", clip(m.Kwargs))
		}
		return nil
	})
}

// clip bounds what one task can write into a log.
func clip(raw json.RawMessage) string {
	const limit = 1024
	if len(raw) <= limit {
		return string(raw)
	}
	return strings.ToValidUTF8(string(raw[:limit]), "") + "..."
}

type failArgs struct {
	Message string `json:"message"`
	Kind    string `json:"kind"`
}

func fail(_ context.Context, a failArgs) error {
	err := errors.New(cmp.Or(a.Message, "the builtin fail always fails"))
	switch a.Kind {
	case "", "failed":
		return err
	case "retry":
		return task.Retry(err, 0)
	case "discard":
		return task.Discard(err)
	case "panic":
		panic(err.Error())
	}
	return task.Discard(fmt.Errorf("builtin fail: unknown kind %q: want failed, retry, discard or panic", a.Kind))
}

type sleepArgs struct {
	Seconds *seconds `json:"seconds"`
}

func sleep(ctx context.Context, a sleepArgs) error {
	if a.Seconds == nil {
		return task.Discard(errors.New("builtin sleep: want the seconds to sleep, got no argument"))
	}
	return wait(ctx, time.Duration(*a.Seconds))
}

func latencyBench(draw func() float64) task.Handler {
	return task.Func(func(ctx context.Context, a sleepArgs) error {
		if a.Seconds != nil {
			return wait(ctx, time.Duration(*a.Seconds))
		}
		return wait(ctx, LatencyDuration(draw()))
	})
}

// wait blocks for d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// seconds is a time to wait: in JSON a number of seconds, or a string that
// time.ParseDuration reads.
type seconds time.Duration

// maxSeconds bounds a wait to what no one means, far below the overflow.
const maxSeconds = 365 * 24 * 3600

// UnmarshalJSON implements json.Unmarshaler.
func (s *seconds) UnmarshalJSON(b []byte) error {
	var text string
	if b[0] == '"' {
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
		d, err := time.ParseDuration(text)
		if err != nil {
			return err
		}
		return s.set(d.Seconds())
	}
	n, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return errors.New("want seconds or a duration")
	}
	return s.set(n)
}

func (s *seconds) set(n float64) error {
	if n < 0 || n > maxSeconds {
		return fmt.Errorf("want 0 to %d seconds", maxSeconds)
	}
	*s = seconds(n * float64(time.Second))
	return nil
}
