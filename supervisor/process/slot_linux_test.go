package process_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/supervisor/process"
	"github.com/magne-actors/magne-actors/task"
)

// parks is the supervisor of a pool as magne.yaml has it by default.
func parks() supervisor.Spec {
	return supervisor.Spec{
		Intensity: 5, Period: time.Minute, OnExhausted: supervisor.Park,
		Backoff: supervisor.Backoff{Initial: 100 * time.Millisecond, Max: 30 * time.Second},
	}
}

func (g *rig) parked() bool {
	n := g.sys.Inspect("pool:mail")
	return n != nil && n.State == "failed" && n.Detail == "parked"
}

// A worker that dies right after its handshake: RoadRunner starts it 66 times in 3
// seconds.
func TestACrashLoopIsBounded(t *testing.T) {
	g := newRig(t, rigOptions{options: options("dies after hello"), spec: parks()})
	began := time.Now()
	spawns := int64(0)
	g.await("parked", func() bool {
		if n := g.node(0).Generation; time.Since(began) <= 3*time.Second {
			spawns = n
		}
		return g.parked()
	})
	n := g.node(0)
	if spawns < 2 || spawns > 6 || n.Generation != 6 {
		t.Errorf("%d processes in 3 s, %d in all; want at most 6", spawns, n.Generation)
	}
	if !strings.Contains(n.LastError, "exit status 3") || len(n.Exits) != 5 {
		t.Errorf("got %q and %d exits", n.LastError, len(n.Exits))
	}
	if err := g.do("ok"); !errors.Is(err, process.ErrNotStarted) {
		t.Errorf("a task for a parked slot: got %v", err)
	}
}

func TestWorkersThatDoNotGetReady(t *testing.T) {
	for _, tt := range []struct {
		role   string
		why    string
		text   string
		spawns int64 // 1: parked at once
	}{
		{"too old", process.WhyStart, "version 99 of the protocol", 1},
		{"knows nothing", process.WhyStart, `does not know the tasks "ok"`, 1},
		{"talks too early", process.WhyProtocol, `"log" before hello`, 2},
		{"no hello", process.WhyStart, "(start_timeout is 300ms)", 2},
		{"dies at import", process.WhyStart, "ImportError: smtplib2", 2},
		{"early bye", process.WhyExit, "before it had done a task", 2},
	} {
		t.Run(tt.role, func(t *testing.T) {
			t.Parallel()
			spec := parks()
			spec.Intensity = 1
			o := options(tt.role)
			o.Tasks = []string{"ok"}
			if tt.role == "no hello" {
				o.StartTimeout = 300 * time.Millisecond
			}
			g := newRig(t, rigOptions{options: o, spec: spec})
			g.await("parked", g.parked)
			n := g.node(0)
			if n.Generation != tt.spawns || !strings.Contains(n.LastError, tt.text) || n.Exits[0].Why != tt.why {
				t.Errorf("%d processes, %q, %+v", n.Generation, n.LastError, n.Exits[0])
			}
			if tt.role == "dies at import" && n.Exits[0].Step != "import" || tt.role == "no hello" && n.Exits[0].Step != "loading the model" {
				t.Errorf("step: got %q", n.Exits[0].Step)
			}
		})
	}
}

func TestACommandThatDoesNotExist(t *testing.T) {
	spec := parks()
	spec.Intensity = 1
	o := options("worker")
	o.Spec.Command = []string{"/nowhere/worker"}
	g := newRig(t, rigOptions{options: o, spec: spec})
	g.await("parked", g.parked)
	if n := g.node(0); !strings.Contains(n.LastError, "no such file") || n.Exits[0].Text != "not started" {
		t.Errorf("got %q, %+v", n.LastError, n.Exits[0])
	}
}

// A death under a task that was not the first is the task's affair: there is a new
// process at once, and the supervisor counts nothing.
func TestADeathAfterATaskIsNotCounted(t *testing.T) {
	spec := parks()
	spec.Intensity = 1
	g := newRig(t, rigOptions{options: options("worker"), spec: spec})
	for range 5 {
		if err := g.persist("ok"); err != nil {
			t.Fatal(err)
		}
		if err := g.do("dies"); err == nil {
			t.Fatal("the task is done")
		}
	}
	if err := g.persist("ok"); err != nil {
		t.Error(err)
	}
	if n := g.node(0); *n.Restarts != 0 || n.Generation != 6 {
		t.Errorf("%d restarts, generation %d", *n.Restarts, n.Generation)
	}
}

func TestPipeline(t *testing.T) {
	o := options("worker")
	o.Pipeline = 3
	g := newRig(t, rigOptions{options: o})
	if err := g.persist("ok"); err != nil {
		t.Fatal(err)
	}
	errs := make([]error, 3)
	var wg sync.WaitGroup
	started := make(chan struct{}, 3)
	for i, name := range []string{"hangs", "ok", "ok"} {
		wg.Go(func() {
			started <- struct{}{}
			errs[i] = g.do(name)
		})
		<-started
		g.await("it to be taken", func() bool { n := g.node(0); return n.Running != nil && *n.Running == int64(i)+1 })
	}
	if err := g.do("ok"); !errors.Is(err, process.ErrNotStarted) {
		t.Errorf("one too many: got %v", err)
	}
	if err := g.slots[0].Kill(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if lost, ok := errors.AsType[*process.LostError](errs[0]); !ok || lost.Why != process.WhyOperator {
		t.Errorf("the first: got %v", errs[0])
	}
	for _, err := range errs[1:] {
		if !errors.Is(err, process.ErrNotStarted) {
			t.Errorf("behind it: got %v", err)
		}
	}
}

func TestRecycleByTasks(t *testing.T) {
	o := options("worker")
	o.Recycle.MaxTasks = 10
	g := newRig(t, rigOptions{options: o})
	tasks := int64(0)
	for ; g.node(0).Generation < 4; tasks++ {
		if err := g.persist("ok"); err != nil {
			t.Fatal(err)
		}
	}
	if n := g.node(0); *n.Restarts != 0 || *n.TasksDone != tasks || tasks < 30 {
		t.Errorf("%d restarts, %d of %d done", *n.Restarts, *n.TasksDone, tasks)
	}
}

func TestRecycleByMemoryLifetimeAndBye(t *testing.T) {
	for name, change := range map[string]func(*process.Options){
		"grow": func(o *process.Options) { o.Recycle.MaxRSS = 100 << 20 },
		"ok":   func(o *process.Options) { o.Recycle.Lifetime = 100 * time.Millisecond },
		"bye":  func(*process.Options) {},
	} {
		t.Run(name, func(t *testing.T) {
			o := options("worker")
			change(&o)
			g := newRig(t, rigOptions{options: o})
			if err := g.persist("ok"); err != nil {
				t.Fatal(err)
			}
			if err := g.persist(name); err != nil {
				t.Fatal(err)
			}
			g.await("a second process", func() bool { return g.node(0).Generation >= 2 })
			if err := g.persist("ok"); err != nil {
				t.Error(err)
			}
			if n := g.node(0); *n.Restarts != 0 {
				t.Errorf("%d restarts", *n.Restarts)
			}
		})
	}
}

func TestRecycleAndReplace(t *testing.T) {
	g := newRig(t, rigOptions{options: options("worker")})
	g.ready()
	// A task that runs meanwhile is finished by the old process.
	slow := make(chan error, 1)
	go func() { slow <- g.do("sleep", "2000") }()
	g.await("busy", func() bool { return g.node(0).Task != "" })
	if err := g.slots[0].Recycle(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.await("the task of the old process counts", func() bool { return *g.node(0).Running == 1 && g.node(0).Task == "" })
	if err := g.do("ok"); err != nil {
		t.Errorf("beside it: got %v", err)
	}
	if err := <-slow; err != nil {
		t.Errorf("the slow one: got %v", err)
	}

	// One that does not get ready changes nothing.
	pid := g.pid()
	bad := options("too old")
	bad.Host = g.host
	if err := g.slots[0].Replace(t.Context(), bad); err == nil || !strings.Contains(err.Error(), "version 99") || !strings.Contains(err.Error(), "the old one stays") {
		t.Errorf("got %v", err)
	}
	never := options("no hello")
	never.Host = g.host
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := g.slots[0].Replace(ctx, never); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if err := g.do("ok"); err != nil || g.pid() != pid {
		t.Errorf("after it: got %v, and another process: %v", err, g.pid() != pid)
	}

	// A good one has the new environment, and so have those after it.
	good := options("worker")
	good.Host = g.host
	good.Spec.Env = append(good.Spec.Env, "VERSION=2")
	if err := g.slots[0].Replace(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	if err := g.slots[0].Kill(); err != nil {
		t.Fatal(err)
	}
	if err := g.persist("env"); err == nil || !strings.Contains(err.Error(), "VERSION=2") {
		t.Errorf("environment: got %v", err)
	}
}

// A worker that is told to finish may finish what it runs, and one that does not
// is ended by the ladder.
func TestDrain(t *testing.T) {
	g := newRig(t, rigOptions{options: options("worker")})
	g.ready()
	slow := make(chan error, 1)
	go func() { slow <- g.do("sleep", "200") }()
	g.await("busy", func() bool { return g.node(0).Task != "" })
	if err := g.stop(); err != nil {
		t.Error(err)
	}
	if err := <-slow; err != nil {
		t.Errorf("got %v", err)
	}
	if err := g.do("ok"); !errors.Is(err, process.ErrNotStarted) {
		t.Errorf("after it: got %v", err)
	}
	if err := g.slots[0].Kill(); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("kill: got %v", err)
	}
	if err := g.slots[0].Signal(syscall.SIGHUP); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal: got %v", err)
	}

	o := options("drains for ever")
	o.DrainTimeout = 100 * time.Millisecond
	g = newRig(t, rigOptions{options: o})
	g.ready()
	go func() { slow <- g.do("sleep", "60000") }()
	g.await("busy", func() bool { return g.node(0).Task != "" })
	if err := g.stop(); err != nil {
		t.Error(err)
	}
	if lost, ok := errors.AsType[*process.LostError](<-slow); !ok || lost.Why != process.WhyShutdown {
		t.Errorf("got %v", lost)
	}
}

func TestSeveralTasksAtATime(t *testing.T) {
	o := options("several")
	o.Concurrency = 3
	g := newRig(t, rigOptions{options: o})
	g.ready()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for range 200 {
				if err := g.do("ok"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestTheFrameAndTheEnvironment(t *testing.T) {
	o := options("worker")
	o.Spec.Env = append(o.Spec.Env, "MAGNE_POOL=not this one")
	o.Timeout.Hard = time.Minute
	g := newRig(t, rigOptions{options: o})
	g.ready()
	m := &task.Message{ID: "7", Name: "frame", Queue: "q", Attempt: 2, Args: []byte(`[1]`), Kwargs: []byte(`{"a":2}`), Headers: map[string]string{"trace": "x"}}
	want := `frame: frame application/json {"args":[1],"kwargs":{"a":2}} attempt 2 true map["magne-id":"7" "magne-queue":"q" "trace":"x"]`
	if err := g.slots[0].Run(t.Context(), m); err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	var ours []string
	for line := range strings.Lines(g.do("env").Error()) {
		if strings.HasPrefix(line, "MAGNE_") && !strings.HasPrefix(line, "MAGNE_COOKIE=") && !strings.HasPrefix(line, "MAGNE_SCOPE=") {
			ours = append(ours, strings.TrimSpace(line))
		}
	}
	slices.Sort(ours)
	if d := cmp.Diff([]string{"MAGNE_FD_IN=3", "MAGNE_FD_OUT=4", "MAGNE_GEN=1", "MAGNE_POOL=mail", "MAGNE_PROTO=1", "MAGNE_SLOT=mail/1"}, ours); d != "" {
		t.Error(d)
	}
}

func TestLogs(t *testing.T) {
	log := newLogBuffer()
	o := options("worker")
	o.Logger, o.Secrets = slog.New(slog.NewJSONHandler(log, nil)), []string{"hunter22"}
	g := newRig(t, rigOptions{options: o})
	g.ready()
	pid := g.pid()
	if err := g.do("logs"); err != nil {
		t.Error(err)
	}
	if err := g.stop(); err != nil {
		t.Error(err)
	}
	var frame, line map[string]any
	for _, r := range log.records(t) {
		delete(r, "time")
		switch r["msg"] {
		case "the password is [redacted]":
			frame = r
		case "json line":
			line = r
		}
	}
	want := map[string]any{
		"level": "WARN", "msg": "the password is [redacted]", "pool": "mail", "slot": "mail/1", "pid": float64(pid),
		"task": "logs", "task_id": "id-logs", "fields": map[string]any{"page": float64(4)},
	}
	if d := cmp.Diff(want, frame); d != "" {
		t.Errorf("frame:\n%s", d)
	}
	want = map[string]any{
		"level": "ERROR", "msg": "json line", "pool": "mail", "slot": "mail/1", "pid": float64(pid),
		"stream": "stdout", "fields": map[string]any{"n": float64(1)},
	}
	delete(line, "task_id") // the task may be over when its line is read
	if d := cmp.Diff(want, line); d != "" {
		t.Errorf("line:\n%s", d)
	}
}

// TestFloods: what is over the rate is counted to the last line, in the tree while the
// process runs and in the log when it has ended.
func TestFloods(t *testing.T) {
	const prints, times = 2000, 10 // lines of one "print"; "logs", a line and a frame each
	log := newLogBuffer()
	o := options("worker")
	o.Logger = slog.New(slog.NewJSONHandler(log, nil))
	o.Log = process.Log{Rate: 1e-9, Burst: 3}
	g := newRig(t, rigOptions{options: o})
	for range times {
		if err := g.persist("logs"); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.do("print"); err != nil {
		t.Error(err)
	}
	g.await("all are counted", func() bool { return g.node(0).LogDropped == prints+2*times-2*3 })
	if err := g.stop(); err != nil {
		t.Error(err)
	}
	records := log.records(t)
	if logged, left := counted(records, "lines"); logged != 3 || logged+left != prints+times {
		t.Errorf("%d lines are in the log and %d are said to be left out of %d", logged, left, prints+times)
	}
	if _, left := counted(records, "frames"); left != times-3 {
		t.Errorf("%d frames are said to be left out, want %d", left, times-3)
	}
}

func TestInspect(t *testing.T) {
	o := options("worker")
	o.Timeout.Hard = 200 * time.Millisecond
	o.Timeout.DumpSignal = syscall.SIGQUIT
	g := newRig(t, rigOptions{options: o})
	if err := g.persist("ok"); err != nil {
		t.Fatal(err)
	}
	if n := g.node(0); n.State != "up" || n.Detail != "idle" || *n.PID == 0 || n.Generation != 1 || *n.TasksDone != 1 || n.LastExit != "" {
		t.Errorf("idle: got %+v", n)
	}
	if err := g.do("future"); err != nil {
		t.Error(err)
	}
	if n := g.node(0); n.Detail != "idle, 1 frames late or unknown" {
		t.Errorf("after an unknown frame: got %q", n.Detail)
	}
	g.await("a sample", func() bool { return g.node(0).RSS > 1<<20 })
	done := make(chan error, 1)
	go func() { done <- g.do("hangs") }()
	g.await("busy", func() bool { return strings.HasPrefix(g.node(0).Detail, "busy hangs") })
	if n := g.node(0); n.Task != "id-hangs" || n.TaskSince == nil || time.Since(*n.TaskSince) > patience {
		t.Errorf("busy: got %+v", n)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("got %v", err)
	}
	g.await("its end", func() bool { return g.node(0).LastExit != "" })
	n := g.node(0)
	e := n.Exits[0]
	if e.Why != "timeout" || e.Task != "id-hangs" || e.For < 200*time.Millisecond || e.MaxRSS < 1<<20 || e.PID == 0 {
		t.Errorf("exit: got %+v", e)
	}
	if !strings.Contains(strings.Join(e.Log, "\n"), "goroutine ") {
		t.Errorf("no stacks in the log: %q", e.Log)
	}
	for _, c := range g.sys.Snapshot().Children[0].Children {
		if c.Exits != nil || c.LastExit == "" {
			t.Errorf("in the tree: got %+v", c)
		}
	}
	if _, err := json.Marshal(n); err != nil {
		t.Error(err)
	}
}
