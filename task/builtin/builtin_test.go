package builtin_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/magne-actors/magne-actors/task"
	"github.com/magne-actors/magne-actors/task/builtin"
)

func mustNew(t *testing.T, o builtin.Options, name string) task.Handler {
	t.Helper()
	h, err := o.New(name)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestNew(t *testing.T) {
	if !slices.IsSorted(builtin.Names()) {
		t.Errorf("got names %v, want them sorted", builtin.Names())
	}
	for _, name := range builtin.Names() {
		if h, err := builtin.New(name); err != nil || h == nil {
			t.Errorf("New(%q): got %v, %v", name, h, err)
		}
	}
	_, err := builtin.New("nap")
	if want := `builtin: unknown handler "nap": want one of echo, fail, latency_bench, sleep`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestEcho(t *testing.T) {
	var log bytes.Buffer
	h := mustNew(t, builtin.Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}, "echo")
	m := &task.Message{Name: "hello", Args: []byte(`[1,"x"]`), Kwargs: []byte(`{"k":"` + strings.Repeat("y", 5000) + `"}`)}
	if err := h.Handle(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if got := log.String(); !strings.Contains(got, "task=hello") || !strings.Contains(got, `args="[1,\"x\"]"`) || len(got) > 1500 {
		t.Errorf("got log %q, want the task and its arguments, clipped", got)
	}
	if err := mustNew(t, builtin.Options{}, "echo").Handle(t.Context(), m); err != nil {
		t.Errorf("without a logger: %v", err)
	}
}

func TestWaits(t *testing.T) {
	draw := builtin.Options{Float64: func() float64 { return 0.25 }}
	for _, tt := range []struct {
		handler, args, kwargs string
		want                  time.Duration
	}{
		{"sleep", `[2]`, "", 2 * time.Second},
		{"sleep", `[0.25]`, "", 250 * time.Millisecond},
		{"sleep", `["150ms"]`, "", 150 * time.Millisecond},
		{"sleep", `[0]`, "", 0},
		{"sleep", ``, `{"seconds":"1m"}`, time.Minute},
		{"latency_bench", `[]`, "", 5 * time.Second},
		{"latency_bench", ``, "", 5 * time.Second},
		{"latency_bench", `[0.5]`, "", 500 * time.Millisecond},
	} {
		t.Run(tt.handler+tt.args+tt.kwargs, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				err := mustNew(t, draw, tt.handler).Handle(t.Context(), &task.Message{Name: "t", Args: []byte(tt.args), Kwargs: []byte(tt.kwargs)})
				if d := time.Since(start); err != nil || d != tt.want {
					t.Errorf("got %v after %v, want nil after %v", err, d, tt.want)
				}
			})
		})
	}
}

func TestWaitsEndWithTheContext(t *testing.T) {
	for _, name := range []string{"sleep", "latency_bench"} {
		synctest.Test(t, func(t *testing.T) {
			why := errors.New("drained")
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, why)
			defer cancel()
			start := time.Now()
			err := mustNew(t, builtin.Options{}, name).Handle(ctx, &task.Message{Name: "t", Args: []byte(`[3600]`)})
			if !errors.Is(err, why) || time.Since(start) != time.Second {
				t.Errorf("%s: got %v after %v, want the cause after 1s", name, err, time.Since(start))
			}
		})
	}
}

func TestBadArguments(t *testing.T) {
	for _, tt := range []struct{ handler, args, want string }{
		{"sleep", `[]`, "no argument"},
		{"sleep", `[null]`, "no argument"},
		{"sleep", `[-1]`, "want 0 to"},
		{"sleep", `[1e300]`, "want 0 to"},
		{"sleep", `["-2s"]`, "want 0 to"},
		{"sleep", `["soon"]`, "invalid duration"},
		{"sleep", `[true]`, "want seconds or a duration"},
		{"sleep", `[1,2]`, "at most 1"},
		{"latency_bench", `["x"]`, "invalid duration"},
		{"latency_bench", `[1,2]`, "at most 1"},
		{"fail", `["m","later"]`, `unknown kind "later"`},
		{"fail", `[1]`, "want string, got number"},
	} {
		err := mustNew(t, builtin.Options{}, tt.handler).Handle(t.Context(), &task.Message{Name: "t", Args: []byte(tt.args)})
		if o := task.OutcomeOf(err); o.Kind != task.KindDiscard || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s%s: got %v %v, want a discard with %q", tt.handler, tt.args, o.Kind, err, tt.want)
		}
	}
}

func TestFail(t *testing.T) {
	mux := task.NewMux()
	mux.Handle("fail", mustNew(t, builtin.Options{}, "fail"))
	for _, tt := range []struct {
		args, kwargs string
		kind         task.Kind
		text         string
	}{
		{"", "", task.KindFailed, "the builtin fail always fails"},
		{`["no"]`, "", task.KindFailed, "no"},
		{`["no","failed"]`, "", task.KindFailed, "no"},
		{`["no","retry"]`, "", task.KindRetry, "no"},
		{`["no","discard"]`, "", task.KindDiscard, "no"},
		{"", `{"kind":"discard"}`, task.KindDiscard, "the builtin fail always fails"},
		{`["no","panic"]`, "", task.KindFailed, "panic: no"},
	} {
		err := mux.Run(t.Context(), &task.Message{Name: "fail", Args: []byte(tt.args), Kwargs: []byte(tt.kwargs)})
		if o := task.OutcomeOf(err); o.Kind != tt.kind || err.Error() != tt.text {
			t.Errorf("fail%s%s: got %v %q, want %v %q", tt.args, tt.kwargs, o.Kind, err, tt.kind, tt.text)
		}
	}
}

// The shares are those of magne's randint(1, 100): 1, 29, 20 and 50 of 100.
func TestLatencyDuration(t *testing.T) {
	count := make(map[time.Duration]int)
	for p := range 100 {
		count[builtin.LatencyDuration((float64(p)+0.5)/100)]++
	}
	want := map[time.Duration]int{10 * time.Second: 1, 5 * time.Second: 29, 3 * time.Second: 20, time.Second: 50}
	for d, n := range want {
		if count[d] != n {
			t.Errorf("got %d of 100 with %v, want %d", count[d], d, n)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	var sum time.Duration
	for range 100_000 {
		sum += builtin.LatencyDuration(r.Float64())
	}
	if mean := sum / 100_000; mean < 2600*time.Millisecond || mean > 2700*time.Millisecond {
		t.Errorf("got a mean of %v, want about 2.65s", mean)
	}
}
