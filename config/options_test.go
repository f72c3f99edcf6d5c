package config_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/magne-actors/magne-actors/actors"
	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/config"
	"github.com/magne-actors/magne-actors/internal/osproc"
	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/supervisor/process"
	"github.com/magne-actors/magne-actors/task"
	"github.com/magne-actors/magne-actors/task/codec"
)

func options(t *testing.T, text string, mux *task.Mux) actors.Options {
	t.Helper()
	f, err := config.Parse(strings.NewReader(text), "magne.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	o, err := f.Options(nil, mux)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestOptionsCarryEveryKey(t *testing.T) {
	got, err := everything(t).Options(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	restart := supervisor.Backoff{Initial: 50 * time.Millisecond, Factor: 1.5, Max: 10 * time.Second, Jitter: 0.1, ResetAfter: time.Minute}
	supervise := func(s supervisor.Spec) *supervisor.Spec {
		s.Backoff = restart
		return &s
	}
	usual := actors.Retry{
		MaxAttempts: 5, Backoff: supervisor.Backoff{Initial: time.Second, Factor: 2, Max: 30 * time.Second, Jitter: 0.5},
		MaxSnoozes: 100, Hold: 2 * time.Second, RetryOn: []string{"*"}, DiscardOn: []string{},
	}
	every := actors.Retry{
		MaxAttempts: 3, Backoff: supervisor.Backoff{Initial: 2 * time.Second, Factor: 4, Max: time.Minute},
		Delay: actors.DelayDurable, Hold: 500 * time.Millisecond, RetryOn: []string{"timeout", "http_5*"}, DiscardOn: []string{"ValueError"}, MaxSnoozes: 7,
	}
	notify := every
	notify.MaxAttempts, notify.Backoff.Jitter, notify.Delay, notify.RetryOn = 9, 0.25, actors.DelayMemory, []string{"*"}
	every.Tasks = map[string]actors.Retry{"Notify": notify}
	queue := amqp.QuorumQueue("mail")
	queue.Declare = broker.DeclarePassive
	want := actors.Options{
		Shutdown:   2 * time.Minute,
		Root:       supervise(supervisor.Spec{Strategy: supervisor.OneForAll, Intensity: -1, Period: 10 * time.Second}),
		AckTimeout: 45 * time.Minute,
		Reconnect:  supervisor.Backoff{Initial: 200 * time.Millisecond, Factor: 3, Max: time.Minute, Jitter: 0.25, ResetAfter: 20 * time.Second},
		Pools: []actors.Pool{{
			Name: "Mail.Out", Queue: queue, Codec: codec.JSON{}, Mode: actors.Thread, Workers: 4, Slots: 1, High: 40, Low: 10,
			Timeout: 90 * time.Second, AbandonAfter: time.Second, OnPanic: actors.CrashWorker, Dedup: actors.DedupOff, MaxBody: 2_000_000,
			Retry:     every,
			Supervise: supervise(supervisor.Spec{Intensity: 7, Period: 30 * time.Second, Parallel: true}),

			WorkerRestart: supervisor.Temporary, WorkerShutdown: supervisor.BrutalKill,
		}, {
			Name: "resize", Queue: amqp.MagneQueue("RESIZE"), Codec: codec.Magne{}, Mode: actors.Process, Workers: 8, Slots: 4, High: 32, Low: 16,
			MaxBody: 1 << 20, Retry: usual,
			Quarantine: actors.Quarantine{Slots: 2},
			Size:       &actors.Size{Min: 2, Max: 8, Spare: 1, IdleTTL: 30 * time.Second, ScaleUpAfter: 100 * time.Millisecond},
			Supervise:  supervise(supervisor.Spec{Intensity: 5, Period: time.Minute, Parallel: true, OnExhausted: supervisor.Park, MaxStarting: 2}),
			Process: &process.Options{
				Pool: "resize",
				Spec: process.Spec{
					Command: []string{"python3", "-u", "worker.py", "5"}, Dir: "/srv/app",
					Env:       []string{"DB_PASSWORD=hunter2", "Empty=", "HOME=/home/app", "PYTHONUNBUFFERED=1"},
					Transport: osproc.Stdio, User: "app", Group: "1000", Nice: -5, OOMScoreAdj: 500,
					Rlimits: map[string]uint64{"nofile": 1024, "core": math.MaxUint64, "as": 2 << 30},
					Scope:   osproc.ScopeCgroup, Limits: process.CgroupLimits{Memory: 512 << 20, PIDs: 64, CPU: 1.5},
				},
				Secrets: []string{"hunter2"}, Concurrency: 3, Pipeline: 4,
				StartTimeout: 20 * time.Second, DrainTimeout: 9 * time.Second, Watchdog: 7 * time.Second,
				Timeout: process.Timeout{Soft: 5 * time.Second, Hard: 6 * time.Second, KillAfter: time.Second, DumpSignal: syscall.SIGABRT},
				Recycle: process.Recycle{MaxTasks: 1000, MaxRSS: 300 << 20, MaxRSSHard: 450 << 20, Lifetime: time.Hour, Jitter: 0.2},
				MaxBody: 16 << 20, MaxLost: 4, Log: process.Log{MaxLine: 1 << 10, Rate: 0.5, Burst: 10, Parse: process.ParseText, Tail: 5},
			},
			WorkerRestart: supervisor.Transient, WorkerShutdown: 15 * time.Second, Roll: actors.Roll{Surge: 1, MaxUnready: 3},
		}, {
			Name: "script", Queue: amqp.QuorumQueue("script"), Codec: codec.JSON{}, Mode: actors.Oneshot, Workers: 1, Slots: 2, High: 2, Low: 1,
			MaxBody: 1 << 20, Retry: usual,
			Supervise: supervise(supervisor.Spec{Intensity: 5, Period: time.Minute, Parallel: true, OnExhausted: supervisor.Park}),
			Process: &process.Options{
				Pool:    "script",
				Spec:    process.Spec{Command: []string{"./script.sh"}, Env: []string{"PATH=/bin"}, Rlimits: map[string]uint64{}, Transport: osproc.Frames},
				Timeout: process.Timeout{Hard: 8 * time.Second, KillAfter: 3 * time.Second}, DrainTimeout: 365 * 24 * time.Hour,
				MaxBody: 16 << 20, MaxLost: 3, Log: process.Log{MaxLine: 16 << 10, Rate: 500, Burst: 1000, Tail: 64},
			},
			WorkerRestart: supervisor.Transient, WorkerShutdown: supervisor.Infinity,
		}},
		PoolsSupervisor: supervise(supervisor.Spec{Strategy: supervisor.OneForAll, Intensity: 2, Period: 20 * time.Second}),
	}
	ignore := cmp.Options{cmpopts.IgnoreFields(actors.Options{}, "Dialer", "Logger"), cmpopts.IgnoreFields(actors.Pool{}, "Mux"), cmpopts.IgnoreFields(process.Options{}, "Logger")}
	if diff := cmp.Diff(want, got, ignore); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	d, ok := got.Dialer.(amqp.Dialer)
	if !ok || d.URL != "amqps://user:p%40ss@rabbit.example:5671/%2Fprod" || d.Heartbeat != 20*time.Second || len(d.URLs) != 2 || d.URLs[1] != "amqps://user:p%40ss@rabbit2.example:5671/%2Fprod" || d.Rotation == nil || d.TLS == nil || d.TLS.ServerName != "rabbit" {
		t.Errorf("dialer: heartbeat %v, TLS %v", d.Heartbeat, d.TLS)
	}
	if names := got.Pools[0].Mux.Names(); !slices.Equal(names, []string{"Notify", "send.Mail"}) {
		t.Errorf("tasks: %q", names)
	}
}

func TestMagneQueue(t *testing.T) {
	const head = "version: 1\nbroker: {url: \"amqp://h/\"}\npools: {Mail: {tasks: {mail: {builtin: echo}}, "
	got := options(t, head+"codec: magne}}", nil).Pools[0].Queue
	if diff := cmp.Diff(amqp.MagneQueue("MAIL"), got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	got = options(t, head+"declare: match}}", nil).Pools[0].Queue
	want := amqp.QuorumQueue("Mail")
	want.Declare = broker.DeclareMatch
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// The defaults that are written down in actors are those of the table, too.
func TestOptionsWithoutKeys(t *testing.T) {
	p := options(t, "version: 1\nbroker: {url: \"amqp://h/\"}\npools: {a: {tasks: {a: {builtin: echo}}}}", nil)
	if p.Shutdown != 30*time.Second || p.Root.Strategy != supervisor.RestForOne || p.Root.Intensity != 3 || p.Root.Period != time.Minute {
		t.Errorf("root: %+v, shutdown %v", p.Root, p.Shutdown)
	}
	a := p.Pools[0]
	if a.Workers != 1 || a.Slots != 1 || a.High != 1 || a.Low != 0 || a.Timeout != 0 || a.AbandonAfter != 5*time.Second || a.MaxBody != 1<<20 ||
		a.Mode != actors.Coroutine || a.Retry.MaxAttempts != 5 || a.Supervise.Intensity != 5 {
		t.Errorf("pool: %+v", a)
	}
}

func TestTasksRun(t *testing.T) {
	got := make(chan string, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		got <- r.Method + " " + r.URL.Path + " " + r.Header.Get("X-Token")
	}))
	defer srv.Close()
	mux := options(t, `
version: 1
broker: {url: "amqp://h/"}
pools:
  p:
    tasks:
      Send.Mail: {http: {url: "`+srv.URL+`/hooks/{task}", method: PUT, headers: {X-Token: s3cret}}}
      fail: {builtin: fail}
`, nil).Pools[0].Mux
	if err := mux.Run(t.Context(), &task.Message{Name: "Send.Mail"}); err != nil {
		t.Fatal(err)
	}
	if want := "PUT /hooks/Send.Mail s3cret"; <-got != want {
		t.Errorf("got another request than %q", want)
	}
	if err := mux.Run(t.Context(), &task.Message{Name: "fail"}); err == nil {
		t.Error("fail does not fail")
	}
	if err := mux.Run(t.Context(), &task.Message{Name: "send.mail"}); !errors.Is(err, task.ErrUnknown) {
		t.Errorf("a name in another case: %v", err)
	}
}

func TestMuxOfTheProgram(t *testing.T) {
	const text = "version: 1\nbroker: {url: \"amqp://h/\"}\npools: {a: {workers: 2}, b: {tasks: {t: {builtin: echo}}}}"
	mux := task.NewMux()
	mux.Handle("mine", task.HandlerFunc(func(context.Context, *task.Message) error { return nil }))
	o := options(t, text, mux)
	if o.Pools[0].Mux != mux || o.Pools[1].Mux.Has("mine") || !o.Pools[1].Mux.Has("t") {
		t.Errorf("pool a: %v, pool b: %v", o.Pools[0].Mux.Names(), o.Pools[1].Mux.Names())
	}
	f, err := config.Parse(strings.NewReader(text), "magne.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Options(slog.New(slog.DiscardHandler), nil)
	if e, ok := errors.AsType[*config.FieldError](err); !ok || e.Path != "pools.a.tasks" || e.Line != 3 {
		t.Errorf("Options without a mux: %v", err)
	}
}

func TestOptionsOfABrokenFileRepeatsItsErrors(t *testing.T) {
	f, err := config.Parse(strings.NewReader("pools: {a: {}}"), "magne.yaml", nil)
	list, ok := errors.AsType[config.Errors](err)
	if !ok || len(list) != 1 {
		t.Fatalf("Parse: %v", err)
	}
	_, err = f.Options(nil, nil)
	if all, ok := errors.AsType[config.Errors](err); !ok || len(all) != 2 {
		t.Errorf("Options: %v", err)
	}
	if _, again := f.Options(nil, nil); again.Error() != err.Error() {
		t.Errorf("Options changes with each call: %v", again)
	}
}
