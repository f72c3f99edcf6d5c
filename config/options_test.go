package config_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/magne-actors/magne-actors/actors"
	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/broker/amqp"
	"github.com/magne-actors/magne-actors/config"
	"github.com/magne-actors/magne-actors/supervisor"
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
	text, err := os.ReadFile("testdata/good/everything.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got := options(t, string(text), nil)
	restart := supervisor.Backoff{Initial: 50 * time.Millisecond, Factor: 1.5, Max: 10 * time.Second, Jitter: 0.1, ResetAfter: time.Minute}
	queue := amqp.QuorumQueue("mail")
	queue.Declare = broker.DeclarePassive
	want := actors.Options{
		Shutdown:  2 * time.Minute,
		Root:      &supervisor.Spec{Strategy: supervisor.OneForAll, Intensity: -1, Period: 10 * time.Second, Backoff: restart},
		Reconnect: supervisor.Backoff{Initial: 200 * time.Millisecond, Factor: 3, Max: time.Minute, Jitter: 0.25, ResetAfter: 20 * time.Second},
		Pools: []actors.Pool{{
			Name: "Mail.Out", Queue: queue, Codec: codec.JSON{}, Mode: actors.Thread, Workers: 4, Slots: 1, High: 40, Low: 10,
			Timeout: 90 * time.Second, AbandonAfter: time.Second, MaxBody: 2_000_000,
			Retry:     actors.Retry{MaxAttempts: 3, Backoff: supervisor.Backoff{Initial: 2 * time.Second, Factor: 4, Max: time.Minute}},
			Supervise: &supervisor.Spec{Intensity: 7, Period: 30 * time.Second, Backoff: restart, Parallel: true},
		}},
	}
	ignore := cmp.Options{cmpopts.IgnoreFields(actors.Options{}, "Dialer", "Logger"), cmpopts.IgnoreFields(actors.Pool{}, "Mux")}
	if diff := cmp.Diff(want, got, ignore); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	d, ok := got.Dialer.(amqp.Dialer)
	if !ok || d.URL != "amqps://user:p%40ss@rabbit.example:5671/%2Fprod" || d.Heartbeat != 20*time.Second || d.TLS == nil || d.TLS.ServerName != "rabbit" {
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
