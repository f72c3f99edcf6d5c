package process_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/internal/osproc"
	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/supervisor/process"
	"github.com/magne-actors/magne-actors/task"
)

// oneshotPatience is how long anything may take on a busy machine.
const oneshotPatience = 60 * time.Second

// logBuffer is a log that a test reads while others write.
type logBuffer struct {
	lines chan string // every record
}

func newLogBuffer() *logBuffer { return &logBuffer{make(chan string, 10000)} }

func (l *logBuffer) Write(b []byte) (int, error) {
	l.lines <- string(b)
	return len(b), nil
}

// records returns what has been logged so far, as maps.
func (l *logBuffer) records(t *testing.T) []map[string]any {
	t.Helper()
	var all []map[string]any
	for {
		select {
		case line := <-l.lines:
			var r map[string]any
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			all = append(all, r)
		default:
			return all
		}
	}
}

// await waits for a record with the text.
func (l *logBuffer) await(t *testing.T, text string) {
	t.Helper()
	late := time.After(oneshotPatience)
	for {
		select {
		case line := <-l.lines:
			if strings.Contains(line, text) {
				return
			}
		case <-late:
			t.Fatalf("the log does not say %q", text)
		}
	}
}

// oneshot returns a Oneshot of a shell script and what it logs, at all levels.
func oneshot(t *testing.T, script string, change ...func(*process.Options)) (*process.Oneshot, *logBuffer) {
	t.Helper()
	host, err := process.NewHost(process.HostOptions{NoGuard: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(host.Close)
	log := newLogBuffer()
	o := process.Options{
		Pool: "mail", Host: host, Spec: process.Spec{Command: []string{"sh", "-c", script}, Env: []string{"PATH=" + os.Getenv("PATH")}},
		Logger: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&o)
	}
	return process.NewOneshot(o), log
}

func TestOneshotTask(t *testing.T) {
	dir := t.TempDir()
	s, _ := oneshot(t, `cd `+dir+` && cat >stdin && cat <&3 >about && env >env && ls -l /proc/self/fd >fds`)
	m := &task.Message{
		ID: "m-1", Name: "resize", Queue: "images", Attempt: 2, Redelivered: true, Deadline: time.Now().Add(time.Hour),
		Args: json.RawMessage(`["a b.png",640]`), Kwargs: json.RawMessage(`{"crop":true}`),
		Headers: map[string]string{"trace-id": "x=1\ny", "Trace_ID": "first", "nul": "a\x00b", "huge": strings.Repeat("h", 5000), "LD_PRELOAD": "evil"},
	}
	if err := s.Run(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if got, want := read("stdin"), `{"args":["a b.png",640],"kwargs":{"crop":true}}`; got != want {
		t.Errorf("stdin: got %s, want %s", got, want)
	}
	var about struct {
		Task, ID, Queue, Pool string
		Attempt               int
		Redelivered           bool
		Headers               map[string]string
		DeadlineMS            int64 `json:"deadline_ms"`
	}
	if err := json.Unmarshal([]byte(read("about")), &about); err != nil {
		t.Fatal(err)
	}
	left := time.Duration(about.DeadlineMS) * time.Millisecond
	about.DeadlineMS = 0
	if got, want := fmt.Sprintf("%.60v", about), fmt.Sprintf("%.60v", struct {
		Task, ID, Queue, Pool string
		Attempt               int
		Redelivered           bool
	}{"resize", "m-1", "images", "mail", 2, true}); !strings.HasPrefix(got, strings.TrimSuffix(want, "}")) {
		t.Errorf("fd 3: got %s, want %s", got, want)
	}
	if len(about.Headers) != len(m.Headers) || about.Headers["nul"] != "a\x00b" || left < 50*time.Minute || left > time.Hour {
		t.Errorf("fd 3: headers %q, deadline %v", about.Headers, left)
	}
	env := "\n" + read("env")
	for _, want := range []string{
		"\nMAGNE_TASK=resize\n", "\nMAGNE_TASK_ID=m-1\n", "\nMAGNE_ATTEMPT=2\n", "\nMAGNE_QUEUE=images\n", "\nMAGNE_POOL=mail\n",
		"\nMAGNE_DEADLINE_MS=3", "\nMAGNE_HDR_TRACE_ID=first\n", "\nMAGNE_HDR_LD_PRELOAD=evil\n",
	} {
		if !strings.Contains(env, want) {
			t.Errorf("the environment lacks %q:\n%s", want, env)
		}
	}
	for _, bad := range []string{"MAGNE_HDR_NUL", "MAGNE_HDR_HUGE", "\nLD_PRELOAD="} {
		if strings.Contains(env, bad) {
			t.Errorf("the environment has %s:\n%s", bad, env)
		}
	}
	if fds := read("fds"); strings.Contains(fds, " 5 -> pipe") || !strings.Contains(fds, " 4 -> pipe") {
		t.Errorf("descriptors:\n%s", fds)
	}
}

func TestOneshotEmptyMessage(t *testing.T) {
	s, _ := oneshot(t, `test "$(wc -c)" = 0 && test -z "${MAGNE_DEADLINE_MS+set}"`)
	if err := s.Run(t.Context(), &task.Message{Name: "x", Attempt: 1}); err != nil {
		t.Error(err)
	}
}

// TestOneshotVerdict: the exit status decides.
func TestOneshotVerdict(t *testing.T) {
	for _, tt := range []struct {
		script string
		kind   task.Kind
		err    string // the start of it
		lost   bool
	}{
		{"exit 0", task.KindDone, "", false},
		{"echo out; echo no such user >&2; exit 65", task.KindDiscard, "exit status 65: no such user", false},
		{"exit 78", task.KindDiscard, "exit status 78: nothing on stderr", false},
		{"echo busy >&2; echo >&2; exit 75", task.KindRetry, "exit status 75: busy", false},
		{"echo one >&2; echo two >&2; exit 3", task.KindFailed, "exit status 3: two", false},
		{"kill -SEGV $$", task.KindFailed, "the worker was lost (exit): killed by SIGSEGV", true},
		{"(sleep 600 &) ; exit 0", task.KindDone, "", false}, // what it leaves behind is killed
	} {
		t.Run(tt.script, func(t *testing.T) {
			s, _ := oneshot(t, tt.script)
			err := s.Run(t.Context(), &task.Message{Name: "x", Attempt: 1})
			if out := task.OutcomeOf(err); out.Kind != tt.kind {
				t.Errorf("got %v, want %v", out, tt.kind)
			}
			if tt.err != "" && !strings.HasPrefix(fmt.Sprint(err), tt.err) {
				t.Errorf("got %v, want %s", err, tt.err)
			}
			if _, ok := errors.AsType[*process.LostError](err); ok != tt.lost {
				t.Errorf("lost: %v, want %v", ok, tt.lost)
			}
			if e, ok := errors.AsType[*process.TaskError](err); ok && tt.kind == task.KindFailed && e.Traceback != "one\ntwo" {
				t.Errorf("traceback %q", e.Traceback)
			}
		})
	}
}

// TestOneshotPipes: a process that reads nothing, writes more than is kept, or
// closes its pipes is none the worse for it.
func TestOneshotPipes(t *testing.T) {
	big := json.RawMessage(`["` + strings.Repeat("x", 1<<20) + `"]`)
	for _, script := range []string{
		"exit 0", "exec <&- 3<&- 4>&-", "cat >/dev/null", "head -c 1000000 /dev/zero >&4", "exec 4>&-; cat <&3 >/dev/null; cat >/dev/null",
	} {
		s, _ := oneshot(t, script)
		if err := s.Run(t.Context(), &task.Message{Name: "x", Attempt: 1, Args: big}); err != nil {
			t.Errorf("%s: %v", script, err)
		}
	}
}

func TestOneshotResult(t *testing.T) {
	s, log := oneshot(t, `printf 'the s3cret result' >&4; head -c 100000 /dev/zero | tr '\0' x >&4`, func(o *process.Options) { o.Secrets = []string{"s3cret"} })
	if err := s.Run(t.Context(), &task.Message{Name: "x", Attempt: 1}); err != nil {
		t.Fatal(err)
	}
	records := log.records(t)
	if len(records) != 1 {
		t.Fatalf("got %v", records)
	}
	got, _ := records[0]["result"].(string)
	if want := "the [redacted] resultxxx"; !strings.HasPrefix(got, want) || len(got) != process.MaxResult+len("[redacted]")-len("s3cret") {
		t.Errorf("got %d bytes: %.60s", len(got), got)
	}
}

func TestOneshotLogs(t *testing.T) {
	s, log := oneshot(t, `echo $$; echo '{"level":"warning","msg":"disk","free":3,"pid":"evil"}' >&2; echo password is hunter2`,
		func(o *process.Options) { o.Secrets = []string{"hunter2"} })
	if err := s.Run(t.Context(), &task.Message{ID: "m-7", Name: "backup", Attempt: 1}); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, r := range log.records(t) {
		if r["pool"] != "mail" || r["task"] != "backup" || r["task_id"] != "m-7" {
			t.Errorf("got %v", r)
		}
		pid, _ := r["pid"].(float64)
		found[fmt.Sprintf("%v %v %v %v", r["level"], r["stream"], r["msg"] == fmt.Sprint(pid), r["fields"])] = true
		if r["msg"] == "password is [redacted]" {
			found["secret"] = true
		}
	}
	for _, want := range []string{"INFO stdout true <nil>", "WARN stderr false map[free:3 pid:evil]", "secret"} {
		if !found[want] {
			t.Errorf("no %s among %v", want, found)
		}
	}
}

func TestOneshotRate(t *testing.T) {
	s, log := oneshot(t, "seq 1000", func(o *process.Options) { o.Log = process.Log{Rate: 1, Burst: 10} })
	if err := s.Run(t.Context(), &task.Message{Name: "x", Attempt: 1}); err != nil {
		t.Fatal(err)
	}
	lines, left := counted(log.records(t), "lines")
	if lines < 10 || lines > 30 || lines+left != 1000 {
		t.Errorf("%d lines and %d left out, want about 10, and 1000 together", lines, left)
	}
}

// counted is how many lines, or frames, of a process are in the log, and how many of them
// it says were left out.
func counted(records []map[string]any, what string) (logged, left int) {
	for _, r := range records {
		switch n, ok := r[what].(float64); {
		case ok:
			left += int(n)
		case r["stream"] != nil == (what == "lines"):
			logged++
		}
	}
	return logged, left
}

// TestOneshotTimeout: TERM at the soft timeout, KILL at the hard one, for the
// whole tree.
func TestOneshotTimeout(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		name, script string
		timeout      process.Timeout
		err          string // empty: done
	}{
		{"soft", "sleep 600", process.Timeout{Soft: 50 * ms, Hard: time.Hour}, "the worker was lost (timeout): stopped by SIGTERM"},
		{"verdict", "trap 'exit 0' TERM; sleep 600 & wait", process.Timeout{Soft: 50 * ms, Hard: time.Hour}, ""},
		{"own status", "trap 'echo half done >&2; exit 4' TERM; sleep 600 & wait", process.Timeout{Soft: 50 * ms}, "TERM after 50ms, exit status 4: half done"},
		{"hard", "trap '' TERM; sleep 600", process.Timeout{Soft: 50 * ms, Hard: 100 * ms}, "the worker was lost (timeout): killed by us"},
		{"soft alone", "trap '' TERM; sleep 600", process.Timeout{Soft: 50 * ms, KillAfter: 10 * ms}, "the worker was lost (timeout): killed by us"},
		{"hard alone", "trap '' TERM; sleep 600", process.Timeout{Hard: 50 * ms, KillAfter: 10 * ms}, "the worker was lost (timeout): killed by us"},
		{"dump", "trap 'echo stacks >&2' QUIT; trap 'exit 5' TERM; sleep 600 & wait; wait", process.Timeout{Hard: 50 * ms, DumpSignal: syscall.SIGQUIT}, "TERM after 50ms, exit status 5: stacks"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// The trap must be set before the time is up.
			s, _ := oneshot(t, "setsid sleep 600 & "+tt.script, func(o *process.Options) {
				tt.timeout.Soft, tt.timeout.Hard = scale(tt.timeout.Soft), scale(tt.timeout.Hard)
				o.Timeout = tt.timeout
			})
			err := s.Run(t.Context(), &task.Message{Name: "x", Attempt: 1})
			want := strings.ReplaceAll(tt.err, "50ms", scale(50*ms).String())
			if want == "" && err != nil || want != "" && !strings.HasPrefix(fmt.Sprint(err), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}

// scale makes a short timeout one that a shell on a busy machine has set its
// traps in.
func scale(d time.Duration) time.Duration {
	if d < time.Hour {
		return d * 10
	}
	return d
}

func TestOneshotCancel(t *testing.T) {
	cause := errors.New("shutting down")
	for _, tt := range []struct {
		name, script string
		check        func(error) bool
	}{
		{"signal", "echo up; exec sleep 600", func(err error) bool {
			e, ok := errors.AsType[*process.LostError](err)
			return ok && e.Why == "operator" && errors.Is(err, cause)
		}},
		{"own status", "trap 'exit 143' TERM; echo up; sleep 600 & wait", func(err error) bool {
			e, ok := errors.AsType[*process.LostError](err)
			return ok && e.Exit.Code == 143 && errors.Is(err, cause)
		}},
		{"retry", "trap 'exit 75' TERM; echo up; sleep 600 & wait", func(err error) bool { return task.OutcomeOf(err).Kind == task.KindRetry }},
		{"done", "trap 'exit 0' TERM; echo up; sleep 600 & wait", func(err error) bool { return err == nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, log := oneshot(t, tt.script)
			ctx, cancel := context.WithCancelCause(t.Context())
			go func() {
				defer cancel(cause)
				select {
				case <-log.lines:
				case <-time.After(oneshotPatience):
				}
			}()
			if err := s.Run(ctx, &task.Message{Name: "x", Attempt: 1}); !tt.check(err) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestOneshotNotStarted(t *testing.T) {
	s, _ := oneshot(t, "exit 0")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	// Either the process is never started, or TERM ends it or it was quicker.
	err := s.Run(ctx, &task.Message{Name: "x", Attempt: 1})
	if err != nil && !errors.Is(err, process.ErrNotStarted) && !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	host, err := process.NewHost(process.HostOptions{NoGuard: true})
	if err != nil {
		t.Fatal(err)
	}
	host.Close()
	s, _ = oneshot(t, "exit 0", func(o *process.Options) { o.Host = host })
	if err := s.Run(t.Context(), &task.Message{Name: "x", Attempt: 1}); !errors.Is(err, process.ErrNotStarted) || !errors.Is(err, osproc.ErrClosed) {
		t.Errorf("got %v, want one that wraps ErrNotStarted", err)
	}
	s, _ = oneshot(t, "", func(o *process.Options) { o.Spec.Command = []string{"no-such-program"} })
	if err := s.Run(t.Context(), &task.Message{Name: "x", Attempt: 1}); !errors.Is(err, process.ErrCannotStart) || !errors.Is(err, process.ErrNotStarted) {
		t.Errorf("got %v, want one that wraps ErrCannotStart", err)
	}
	s, _ = oneshot(t, "exit 0")
	long := strings.Repeat("x", 128<<10) // more than the kernel takes for a variable
	if err := s.Run(t.Context(), &task.Message{Name: long, Attempt: 1}); task.OutcomeOf(err).Kind != task.KindFailed || errors.Is(err, process.ErrNotStarted) {
		t.Errorf("got %v, want a failed attempt", err)
	}
}

// TestOneshotMany: many at once; afterwards nothing is left and the counts are right.
func TestOneshotMany(t *testing.T) {
	s, _ := oneshot(t, `exit $(($MAGNE_TASK_ID % 2))`)
	before := descriptors(t)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			err := s.Run(t.Context(), &task.Message{ID: fmt.Sprint(i), Name: "x", Attempt: 1})
			if (err != nil) != (i%2 == 1) {
				t.Errorf("task %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	var n supervisor.Node
	s.Inspect(&n)
	if *n.Running != 0 || *n.TasksDone != 20 || *n.TasksFailed != 20 || n.Generation != 40 || n.PID != nil || n.LastExit == "" || n.Exits != nil {
		t.Errorf("got %+v", n)
	}
	n = supervisor.Node{InDetail: true}
	s.Inspect(&n)
	if len(n.Exits) != 5 {
		t.Errorf("%d exits, want the last 5", len(n.Exits))
	}
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors, before it was %d", after, before)
	}
}

func TestOneshotInspectRunning(t *testing.T) {
	s, log := oneshot(t, "echo up; exec sleep 600")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx, &task.Message{Name: "x", Attempt: 1}) }()
	log.await(t, "up")
	var n supervisor.Node
	s.Inspect(&n)
	if *n.Running != 1 || n.PID == nil || n.Task != "x" || n.Detail != "busy x" {
		t.Errorf("got %+v", n)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func BenchmarkOneshot(b *testing.B) {
	host, err := process.NewHost(process.HostOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer host.Close()
	s := process.NewOneshot(process.Options{Pool: "p", Host: host, Spec: process.Spec{Command: []string{"/bin/true"}}})
	m := &task.Message{Name: "x", Attempt: 1, Args: json.RawMessage(`[1]`)}
	for b.Loop() {
		if err := s.Run(context.Background(), m); err != nil {
			b.Fatal(err)
		}
	}
}
