package actors

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/task"
)

// TestTasksAreThoseThatRun: waiting ones are not listed, and an abandoned one is
// until it ends.
func TestTasksAreThoseThatRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		mux := handlers(map[string]task.HandlerFunc{
			"stuck": func(context.Context, *task.Message) error { <-release; return nil },
		})
		r := start(t, Pool{Name: "p", Mux: mux, Workers: 1, Slots: 1, High: 3, Timeout: time.Minute, AbandonAfter: time.Second, Retry: Retry{MaxAttempts: 2}})
		began := time.Now()
		r.broker.Put("work", broker.Publication{
			Properties: broker.Properties{Headers: map[string]any{headerAttempt: int64(2)}}, Body: []byte(`{"task":"stuck","id":"7"}`),
		})
		synctest.Wait()
		r.put(1, "stuck")
		want := Task{ID: "7", Name: "stuck", Pool: "p", Worker: "p/1", Attempt: 2, Since: began}
		synctest.Wait()
		if diff := cmp.Diff([]Task{want}, r.system.Tasks()); diff != "" {
			t.Errorf("one runs (-want +got):\n%s", diff)
		}
		wait(62 * time.Second)
		synctest.Wait()
		abandoned := 0
		for _, task := range r.system.Tasks() {
			if task.Abandoned && task.ID == "7" {
				abandoned++
			}
		}
		if abandoned != 1 {
			t.Errorf("after its timeout: %+v, want an abandoned one", r.system.Tasks())
		}
		close(release)
		synctest.Wait()
		if got := r.system.Tasks(); len(got) != 0 {
			t.Errorf("after the end of all: %+v, want none", got)
		}
		if err := r.finish(); err != nil {
			t.Error(err)
		}
	})
}

// TestLogNamesTasks: who reads of a failed attempt wants to know of which task, by
// the same attributes as in the lines of a worker process.
func TestLogNamesTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var log strings.Builder // the bubble's goroutines are durably blocked when it is read
		mux := handlers(map[string]task.HandlerFunc{
			"bad":   func(context.Context, *task.Message) error { return errors.New("no") },
			"stuck": func(context.Context, *task.Message) error { <-release; return nil },
		})
		pool := Pool{Name: "p", Mux: mux, Timeout: time.Minute, AbandonAfter: time.Second, Retry: Retry{MaxAttempts: 2}}
		r := start(t, pool, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		r.broker.Put("work", broker.Publication{Body: []byte(`{"task":"bad","id":"7"}`)})
		r.until("it is dead", func() bool { return len(r.broker.Ready("dead")) == 1 })
		r.broker.Put("work", broker.Publication{Body: []byte(`{"task":"stuck","id":"8"}`)})
		r.broker.Put("work", broker.Publication{Body: []byte(`nonsense`), Properties: broker.Properties{MessageID: "9"}})
		wait(70 * time.Second)
		r.until("the other one, too", func() bool { return len(r.broker.Ready("dead")) == 2 })
		synctest.Wait()
		for _, want := range []string{
			`msg="attempt failed" pool=p task=bad task_id=7 attempt=1`,
			`msg="dead-lettering a message" pool=p task=bad task_id=7 queue=dead reason=max_attempts`,
			`msg="task abandoned" pool=p task=stuck task_id=8`,
			`msg="dead-lettering a message" pool=p task_id=9 queue=dead reason=decode`,
		} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log has no %q:\n%s", want, &log)
			}
		}
		close(release)
		if err := r.finish(); err != nil {
			t.Error(err)
		}
	})
}

// TestInspectAndRestart: an operator's calls go through to the supervision tree.
func TestInspectAndRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		events := make(chan supervisor.Event, 100)
		r := start(t, Pool{Name: "p", Mux: handlers(map[string]task.HandlerFunc{"ok": sleeper(time.Second)}), Workers: 2}, func(o *Options) { o.Observe = func(e supervisor.Event) { events <- e } })
		if n := r.system.Inspect("root"); n == nil || n.PID == nil || len(n.Children) == 0 {
			t.Errorf("root: %+v", n)
		}
		if err := r.system.Restart(t.Context(), "p/2"); err != nil {
			t.Fatal(err)
		}
		if n := r.system.Inspect("p/2"); n == nil || *n.Restarts != 1 || n.State != "up" {
			t.Errorf("p/2 after its restart: %+v", n)
		}
		if n := r.system.Inspect("nobody"); n != nil {
			t.Errorf("nobody: %+v", n)
		}
		started := 0
		for range len(events) {
			if e := <-events; e.ID == "p/2" && e.Type == supervisor.EventStarted {
				started++
			}
		}
		if started != 2 {
			t.Errorf("p/2 was started %d times, want 2", started)
		}
		if err := r.finish(); err != nil {
			t.Error(err)
		}
	})
}
