package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/internal/fakebroker"
	"github.com/magne-actors/magne-actors/internal/testenv"
	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/supervisor/process"
)

const pythonWorker = `
import os, signal, sys, time
import magne_worker
app = magne_worker.Worker()

@app.task
def double(n):
    print("doubling", n)
    return 2 * n

@app.task
def suicide():
    sys.stderr.write("about to die\n")
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGKILL)

@app.task
def wrong():
    raise ValueError("as asked")

@app.task
def nap(s):
    time.sleep(s)

app.run()
`

// processRig is a System with one pool of Python workers.
func processRig(t *testing.T, change func(*Pool), more ...func(*Options)) (*rig, func() error) {
	t.Helper()
	testenv.Program(t, "python3")
	script := filepath.Join(t.TempDir(), "worker.py")
	if err := os.WriteFile(script, []byte(pythonWorker), 0o600); err != nil {
		t.Fatal(err)
	}
	sdk, err := filepath.Abs("../sdk/python")
	if err != nil {
		t.Fatal(err)
	}
	pool := withQueue(Pool{Mode: Process, Workers: 2, Process: &process.Options{Spec: process.Spec{
		Command: []string{"python3", script}, Env: []string{"PATH=" + os.Getenv("PATH"), "PYTHONPATH=" + sdk, "PYTHONDONTWRITEBYTECODE=1"},
	}}, Retry: Retry{MaxAttempts: 2, Backoff: supervisor.Backoff{Initial: time.Millisecond}}})
	if change != nil {
		change(&pool)
	}
	r := wallRig(t, pool, more...)
	return r, r.finish
}

// wallRig is a System with the pool that goes by the clock on the wall.
func wallRig(t *testing.T, pool Pool, more ...func(*Options)) *rig {
	t.Helper()
	r := &rig{t: t, broker: fakebroker.New(), result: make(chan error, 1)}
	o := Options{Dialer: r.broker, Pools: []Pool{pool}, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	for _, f := range more {
		f(&o)
	}
	var err error
	if r.system, err = New(o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.stop = cancel
	go func() { r.result <- r.system.Run(ctx) }()
	return r
}

func (r *rig) task(id, name, args string) {
	r.broker.Put("work", broker.Publication{Body: fmt.Appendf(nil, `{"task":%q,"id":%q,"args":[%s]}`, name, id, args)})
}

// soon waits for a condition by the clock on the wall.
func (r *rig) soon(what string, holds func() bool) {
	r.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(time.Minute); !holds(); {
		select {
		case <-tick.C:
		case <-deadline:
			r.t.Fatalf("not within a minute: %s; %+v", what, r.stats())
		}
	}
}

func TestPythonWorkersRunTasks(t *testing.T) {
	r, finish := processRig(t, nil)
	for i := range 200 {
		r.task(fmt.Sprint(i), "double", "4")
	}
	r.task("bad", "wrong", "")
	r.task("killer", "suicide", "")
	r.task("unknown", "nothing", "")
	r.soon("all are settled", func() bool { s := r.stats(); return s.Acked == 200 && s.DeadLettered == 3 && s.InFlight == 0 })
	reasons := map[string]string{}
	for _, d := range r.broker.Ready("dead") {
		id := d.MessageID
		if id == "" {
			id = string(d.Body)
		}
		reasons[id] = fmt.Sprint(d.Headers[headerReason])
		if d.Headers[headerReason] == reasonLost {
			a := fmt.Sprint(d.Headers[headerAutopsy])
			if !strings.Contains(a, "SIGKILL") || !strings.Contains(a, "about to die") || d.Headers[headerLost] != int64(3) {
				t.Errorf("autopsy %q, lost %v", a, d.Headers[headerLost])
			}
		}
	}
	t.Log(reasons)
	for id, want := range map[string]string{"bad": reasonMaxAttempts, "killer": reasonLost, "unknown": reasonDiscarded} {
		found := false
		for k, v := range reasons {
			found = found || strings.Contains(k, id) && v == want
		}
		if !found {
			t.Errorf("%s: no dead letter with reason %s", id, want)
		}
	}
	r.soon("both are up again", func() bool { return r.stats().Workers == 2 })
	n := find(r.system.Tree(), "work/1")
	if n.Kind != "slot" || n.PID == nil {
		t.Errorf("slot: %+v", n)
	}
	r.expect(finish())
}

func TestSizeFollowsTheLoad(t *testing.T) {
	r, finish := processRig(t, func(p *Pool) {
		p.Size = &Size{Min: 1, Max: 4, IdleTTL: 300 * time.Millisecond, ScaleUpAfter: 20 * time.Millisecond}
	})
	sent := 0
	r.soon("there are 4 workers", func() bool {
		for ; len(r.broker.Ready("work")) < 30; sent++ { // however long a process takes to start
			r.task(fmt.Sprint(sent), "nap", "0.1")
		}
		return r.stats().Workers == 4
	})
	r.soon("all are acked", func() bool { return r.stats().Acked == int64(sent) })
	r.soon("there is 1 worker", func() bool { return r.stats().Workers == 1 })
	r.expect(finish())
}

func TestRollingReplacement(t *testing.T) {
	r, finish := processRig(t, nil)
	r.soon("both are up", func() bool { return r.stats().Workers == 2 })
	pids := func() [2]int {
		return [2]int{*find(r.system.Tree(), "work/1").PID, *find(r.system.Tree(), "work/2").PID}
	}
	before := pids()
	next := r.system.all()[0].Pool
	options := *next.Process
	options.Spec.Env = append(options.Spec.Env, "COLOUR=red")
	next.Process = &options
	r.expect(r.system.ReplacePool(t.Context(), next))
	after := pids()
	if before[0] == after[0] || before[1] == after[1] {
		t.Errorf("processes before %v, after %v", before, after)
	}
	if n := find(r.system.Tree(), "work/1"); *n.Restarts != 0 {
		t.Errorf("%d restarts", *n.Restarts)
	}
	r.expect(finish())
}

// TestARollingReplacementThatDoesNotGetReadyIsUndone: the processes are those of
// before, and tasks run.
func TestARollingReplacementThatDoesNotGetReadyIsUndone(t *testing.T) {
	r, finish := processRig(t, func(p *Pool) { p.Workers = 3 })
	r.soon("all are up", func() bool { return r.stats().Workers == 3 })
	// The new program starts once, and then never again.
	once := filepath.Join(t.TempDir(), "once")
	next := r.system.all()[0].Pool
	options := *next.Process
	options.Spec.Command = append([]string{"sh", "-c", `mkdir "$0" && exec "$@"`, once}, options.Spec.Command...)
	next.Process = &options
	next.High = 50
	if err := r.system.ReplacePool(t.Context(), next); !errors.Is(err, ErrKept) || !strings.Contains(err.Error(), "File exists") {
		t.Errorf("replaced by what does not start: %v", err)
	}
	if high := r.stats().High; high != 3 {
		t.Errorf("high %d: not all is as before", high)
	}
	for i := range 30 {
		r.task(fmt.Sprint(i), "double", "4")
	}
	r.soon("all are acked", func() bool { s := r.stats(); return s.Acked == 30 && s.Workers == 3 })
	if o := r.system.all()[0].latest.Load(); o.Spec.Command[0] != "python3" {
		t.Errorf("slots that are new would run %v", o.Spec.Command)
	}
	next.Process.Spec.Command = append([]string{"env"}, next.Process.Spec.Command[4:]...)
	r.expect(r.system.ReplacePool(t.Context(), next))
	if high := r.stats().High; high != 50 {
		t.Errorf("high %d after it was replaced", high)
	}
	r.expect(finish())
}

func TestTooManyProcesses(t *testing.T) {
	for _, tt := range []struct {
		mode           Mode
		slots, workers int
		ok             bool
	}{
		{Process, 4, MaxProcesses, true},
		{Process, 4, MaxProcesses + 1, false},
		{Oneshot, 4, MaxProcesses / 4, true},
		{Oneshot, 4, MaxProcesses/4 + 1, false},
		{Coroutine, 4, MaxProcesses + 1, true},
	} {
		if err := checkWorkers(&Pool{Mode: tt.mode, Slots: tt.slots}, tt.workers); (err == nil) != tt.ok {
			t.Errorf("%v: %d workers with %d slots: %v", tt.mode, tt.workers, tt.slots, err)
		}
	}
}
