package e2e_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/internal/testenv"
)

// Retries through the binary, with worker processes that write down what they do:
// testdata/retry_worker.py.

var retryTasks = flag.Int("retry.tasks", 400, "tasks of TestRetries; the criterion is 10000")

// flaky is a pool of such workers. Its record is a file.
func flaky(t *testing.T, queue, record, more string) string {
	t.Helper()
	testenv.Program(t, "python3")
	script, err := filepath.Abs("testdata/retry_worker.py")
	if err != nil {
		t.Fatal(err)
	}
	sdk, err := filepath.Abs("../../sdk/python")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("p:\n  queue: %s\n  mode: process\n  process:\n    command: [python3, -S, -B, -u, %s]\n    env: {PYTHONPATH: %s, RECORD: %s}\n%s",
		queue, script, sdk, record, indent(more))
}

// run is one execution of a task, by the record.
type run struct {
	attempt, pid int
	end          string // failed or done; empty: its process died in the middle
}

// recorded are the executions of each task, in their order.
func recorded(t *testing.T, file string) map[int][]run {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	runs := map[int][]run{}
	for line := range strings.Lines(string(text)) {
		var what string
		var n, attempt, pid int
		if _, err := fmt.Sscan(line, &what, &n, &attempt, &pid); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if what == "begin" {
			runs[n] = append(runs[n], run{attempt, pid, ""})
			continue
		}
		for i := range slices.Backward(runs[n]) { // that of this process
			if runs[n][i].pid == pid {
				runs[n][i].end = what
				break
			}
		}
	}
	return runs
}

// assassin kills a process that has just begun a task, again and again until the end
// of the test or stop.
type assassin struct {
	stop   chan struct{}
	ended  chan struct{}
	killed map[int]bool
}

func hire(t *testing.T, record string) *assassin {
	a := &assassin{stop: make(chan struct{}), ended: make(chan struct{}), killed: map[int]bool{}}
	go func() {
		defer close(a.ended)
		for {
			select {
			case <-a.stop:
				return
			case <-time.After(time.Duration(100+rand.IntN(300)) * time.Millisecond):
			}
			if pid := lastPID(record); pid != 0 && !a.killed[pid] && syscall.Kill(pid, syscall.SIGKILL) == nil {
				a.killed[pid] = true
			}
		}
	}()
	t.Cleanup(a.retire)
	return a
}

func (a *assassin) retire() {
	select {
	case <-a.stop:
	default:
		close(a.stop)
	}
	<-a.ended
}

// lastPID is the process that has written the last line.
func lastPID(file string) (pid int) {
	f, err := os.Open(file)
	if err != nil {
		return 0
	}
	defer f.Close()
	tail := make([]byte, 256)
	size, _ := f.Seek(0, 2)
	n, _ := f.ReadAt(tail, max(0, size-256))
	lines := strings.Split(strings.TrimSpace(string(tail[:n])), "\n")
	var what string
	var id, attempt int
	if _, err := fmt.Sscan(lines[len(lines)-1], &what, &id, &attempt, &pid); err != nil {
		return 0
	}
	return pid
}

// TestRetries: every task fails three times and then succeeds, some waits in the
// process and some on the broker, while workers are killed or not. Each task has done
// each attempt once; an attempt was made again only if its process was killed.
func TestRetries(t *testing.T) {
	for _, kills := range []bool{false, true} {
		t.Run(fmt.Sprintf("kills=%v", kills), func(t *testing.T) {
			onBoth(t, func(t *testing.T, r *rabbit) { retries(t, r, kills) })
		})
	}
}

func retries(t *testing.T, r *rabbit, kills bool) {
	const failures = 3
	n, queue, record := *retryTasks, r.queue(""), filepath.Join(t.TempDir(), "record")
	a := start(t, setup{
		url: r.url, pools: flaky(t, queue, record, fmt.Sprintf(
			"workers: 4\nwatermarks: {high: 100}\nmax_lost: 1000\nintensity: 1000\nretry: {max_attempts: %d, initial: 100ms, max: 500ms, retry_on: [ConnectionError]}", failures+1)),
	})
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "[%d, %d]\n", i, failures)
	}
	killed, begun := map[int]bool{}, time.Now()
	var killer *assassin
	if kills {
		killer = hire(t, record)
	}
	magneIn(t, a.dir, nil, strings.NewReader(b.String()), "publish", "-c", a.config, "--queue", queue, "--from", "-", "flaky").want(t, 0)
	a.allDone(t, record, n)
	if kills {
		killer.retire()
		killed = killer.killed
	}
	a.empty("p")
	t.Logf("%d tasks in %v, %d processes killed", n, time.Since(begun), len(killed))
	if kills && len(killed) == 0 {
		t.Error("nobody was killed")
	}
	again := 0
	for id, runs := range recorded(t, record) {
		last := map[int]int{} // the process of the last run of each attempt
		for i, run := range runs {
			if before := last[run.attempt]; before != 0 && !killed[before] {
				t.Errorf("task %d: attempt %d was made twice, and nobody has killed process %d: %+v", id, run.attempt, before, runs)
			} else if before != 0 {
				again++
			}
			last[run.attempt] = run.pid
			if i > 0 && run.attempt < runs[i-1].attempt {
				t.Errorf("task %d: attempt %d after %d", id, run.attempt, runs[i-1].attempt)
			}
		}
		if len(last) != failures+1 || runs[len(runs)-1].end != "done" {
			t.Errorf("task %d: %+v", id, runs)
		}
	}
	if got := r.ready(dead(queue)); got != 0 {
		t.Errorf("%d dead letters", got)
	}
	t.Logf("%d attempts were made again", again)
	a.stop()
	if got := r.ready(queue); got != 0 {
		t.Errorf("%d messages are left", got)
	}
}

// allDone waits until n tasks have succeeded, for as long as more and more is recorded.
func (a *app) allDone(t *testing.T, record string, n int) {
	t.Helper()
	for before := 0; ; {
		var done, all int
		eventually(t, fmt.Sprintf("%d tasks are done, or more than %d runs are recorded", n, before), func() (bool, any) {
			a.running()
			done, all = 0, 0
			for _, runs := range recorded(t, record) {
				all += len(runs)
				if slices.ContainsFunc(runs, func(r run) bool { return r.end == "done" }) {
					done++
				}
			}
			return all > before || done == n, fmt.Sprintf("%d runs, %d done", all, done)
		})
		if before = all; done == n {
			return
		}
	}
}

// TestPoison: a message that kills its process among a thousand good ones, 8 at once
// in each process. Those beside it are run once more, and it alone is a dead letter.
func TestPoison(t *testing.T) {
	r, queue := begin(t)
	record := filepath.Join(t.TempDir(), "record")
	const good = 1000
	pools := flaky(t, queue, record, "workers: 2\nconcurrency: 8\nwatermarks: {high: 50}\nintensity: 100\nretry: {initial: 50ms, max: 100ms}")
	a := start(t, setup{url: r.url, pools: strings.Replace(pools, "env: {", `env: {CONCURRENCY: "8", `, 1)})
	var b strings.Builder
	for i := range good {
		fmt.Fprintf(&b, "[%d, 0]\n", i)
	}
	publish := func(in string, words ...string) {
		magneIn(t, a.dir, nil, strings.NewReader(in), append([]string{"publish", "-c", a.config, "--queue", queue}, words...)...).want(t, 0)
	}
	publish("", "poison")
	publish(b.String(), "--from", "-", "flaky")
	a.allDone(t, record, good)
	r.holds(dead(queue), 1)
	a.empty("p")
	runs := recorded(t, record)
	twice := 0
	for id := range good {
		if n := len(runs[id]); n == 2 {
			twice++
		} else if n != 1 {
			t.Errorf("task %d has run %d times", id, n)
		}
	}
	if len(runs[-1]) != 3 || twice > 7 {
		t.Errorf("the poison has run %d times, want 3 (max_lost); %d good tasks twice, want at most 7, its neighbours", len(runs[-1]), twice)
	}
	contains(t, a.look(0, "events", "--type", "quarantined", "--type", "convicted"), "runs alone in p/", "its worker died 3 times, the last time with nothing else in it")
	shown := dlqOf(t, r, "show", queue).want(t, 0).stdout
	contains(t, shown, "worker_lost", "poison", "SIGSEGV", "about to touch what is not there")
	a.healthy()
	a.stop()
}

// TestKindsAndSnoozes: what a worker says of an error decides, a soft timeout is one
// in the dead letter, and asking for another time uses up no attempt.
func TestKindsAndSnoozes(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rabbit) {
		queue, record := r.queue(""), filepath.Join(t.TempDir(), "record")
		a := start(t, setup{url: r.url, pools: flaky(t, queue, record, `workers: 2
timeout: {soft: 1s, hard: 60s}
retry: {max_attempts: 2, initial: 1ms, max: 1ms, discard_on: [Lim*], max_snoozes: 5, tasks: {slow: {max_attempts: 1}}}
`)})
		for _, words := range []string{"limited", "slow", "late 1 5", "late 2 6"} {
			a.publishTo(queue, 1, strings.Fields(words)...)
		}
		want := map[string]string{"limited": "discarded Limited 1", "slow": "timeout timeout 1", "late": "max_snoozes error 1"}
		for _, d := range r.take(dead(queue), 3) {
			got := fmt.Sprint(d.Headers["x-reason"], " ", d.Headers["x-error-kind"], " ", d.Headers["x-attempt"])
			if want[d.Type] != got {
				t.Errorf("%s: %s, want %s (%v)", d.Type, got, want[d.Type], d.Headers["x-error"])
			}
		}
		eventually(t, "the task that was put off five times is done", func() (bool, any) {
			runs := recorded(t, record)[1] // between them it may wait on the broker
			return len(runs) > 0 && runs[len(runs)-1].end == "done", runs
		})
		a.empty("p")
		runs := recorded(t, record)
		if len(runs[1]) != 6 || runs[1][5].end != "done" || runs[1][5].attempt != 1 || len(runs[2]) != 6 {
			t.Errorf("put off 5 times: %+v\nand 6 times: %+v", runs[1], runs[2])
		}
		a.stop()
	})
}

// TestALongWait is spent on the broker: it takes no room in the pool, and goes on when
// magne-actors is killed.
func TestALongWait(t *testing.T) {
	onBoth(t, func(t *testing.T, r *rabbit) {
		queue := r.queue("")
		s := setup{url: r.url, pools: fmt.Sprintf(
			"p: {queue: %s, retry: {max_attempts: 2, initial: 10s, max: 10s, jitter: 0}, tasks: {boom: {builtin: fail}}}", queue)}
		a := start(t, s)
		begun := time.Now()
		a.publishTo(queue, 1, "boom")
		a.settled("p", 1)
		r.holds(queue, 0)
		a.kill()
		a.again(t, s)
		d := r.take(dead(queue), 1)[0]
		if took := time.Since(begun); d.Headers["x-attempt"] != int64(2) || d.Headers["x-death"] != nil || took < 10*time.Second {
			t.Errorf("after %v: %v", took, d.Headers)
		}
		a.healthy()
		a.stop()
	})
}
