package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/internal/testenv"
	"github.com/magne-actors/magne-actors/supervisor"
)

// Mode process through the binary, with workers that do everything wrong; the
// program of the workers is testdata/bad_worker.py.

// workers is a pool of such workers, whose processes and all that these start have
// the mark in their environment.
func workers(t *testing.T, name, mark, env, more string) string {
	t.Helper()
	needProc(t)
	testenv.Program(t, "python3")
	script, err := filepath.Abs("testdata/bad_worker.py")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s:\n  queue: %s\n  mode: process\n  process:\n    command: [python3, -S, -u, %s]\n    env: {%s%s}\n%s",
		name, name, script, mark, env, indent(more))
}

// needProc ends a test that looks at processes as Linux shows them.
func needProc(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skipf("%s has no /proc", runtime.GOOS)
	}
}

// newMark is a variable that no other process has, as YAML.
func newMark(t *testing.T) string {
	return fmt.Sprintf(`E2E_MARK: "%s.%d"`, strings.ReplaceAll(t.Name(), "/", "."), time.Now().UnixNano())
}

// marked are the processes with a mark.
func marked(mark string) []string {
	variable := []byte(strings.ReplaceAll(strings.ReplaceAll(mark, ": ", "="), `"`, ""))
	var found []string
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		env, err := os.ReadFile(dir + "/environ")
		if err == nil && slices.ContainsFunc(bytes.Split(env, []byte{0}), func(v []byte) bool { return bytes.Equal(v, variable) }) {
			line, _ := os.ReadFile(dir + "/cmdline")
			found = append(found, filepath.Base(dir)+" "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

// noneMarked waits until the last one is gone.
func noneMarked(t *testing.T, mark string) {
	t.Helper()
	begun := time.Now()
	eventually(t, "no process is left", func() (bool, any) {
		left := marked(mark)
		return len(left) == 0, left
	})
	t.Logf("no process is left after %v", time.Since(begun))
}

// TestProcessFaults: what a worker can do wrong with a task. The task is
// dead-lettered with the cause, another process runs the next one, and the server
// lives.
func TestProcessFaults(t *testing.T) {
	t.Parallel()
	faults := []struct{ task, reason, autopsy string }{
		{"garbage", "worker_lost", "the header is not UTF-8"},
		{"half", "worker_lost", "the end within a header"},
		{"half_body", "worker_lost", "the end within a body"},
		{"long_header", "worker_lost", "a header of more than 65536 bytes"},
		{"unknown_id", "worker_lost", "which was never issued"},
		{"second_hello", "worker_lost", "a second hello"},
		{"closes", "worker_lost", "it closed its pipe and lived on"},
		{"exits", "worker_lost", "exit status 0"},
		{"stops", "timeout", "stopped by SIGTERM"},
		{"family", "timeout", "killed by us"},
	}
	mark := newMark(t)
	const limits = "max_lost: 1\nintensity: 100\nretry: {max_attempts: 1}\ntimeout: {hard: 3s, kill_after: 200ms}\n"
	var pools strings.Builder
	for _, f := range append(faults, struct{ task, reason, autopsy string }{task: "twice"}) {
		pools.WriteString(workers(t, f.task, mark, "", limits))
	}
	a := start(t, setup{pools: pools.String()})
	for _, f := range faults {
		a.publishTo(f.task, 1, f.task)
	}
	b := dial(t, "amqp://guest:guest@"+a.listen+"/")
	for _, f := range faults {
		d := b.take(dead(f.task), 1)[0]
		if got := fmt.Sprint(d.Headers["x-reason"]); got != f.reason {
			t.Errorf("%s: reason %s, want %s", f.task, got, f.reason)
		}
		contains(t, fmt.Sprint(d.Headers["x-autopsy"]), f.autopsy)
		a.publishTo(f.task, 1, "fine")
		a.settled(f.task, 2)
	}
	a.publishTo("twice", 1, "twice") // it was done: the second answer is what is wrong
	a.untilNode("twice/1", "the process is another one", func(n *supervisor.Node) bool {
		return number(n.TasksDone) == 1 && strings.Contains(n.LastExit, "a second reply")
	})
	a.publishTo("twice", 1, "print")
	a.settled("twice", 2)
	contains(t, a.look(0, "logs", "twice"), "a line", "{not a frame}")
	a.healthy()
	a.stop()
	noneMarked(t, mark)
}

// TestProcessKill: after kill -9 of magne-actors none of its processes is left, nor
// of what they have started in sessions of their own.
func TestProcessKill(t *testing.T) {
	t.Parallel()
	mark := newMark(t)
	a := start(t, setup{pools: workers(t, "p", mark, "", "workers: 4")})
	a.publishTo("p", 4, "family")
	eventually(t, "they have families", func() (bool, any) { n := len(marked(mark)); return n >= 4*16, n })
	a.kill()
	noneMarked(t, mark)
}

// TestProcessCrashLoop: a worker that dies right after its hello is started six
// times and parked with its messages in the queue. Its neighbour runs on.
func TestProcessCrashLoop(t *testing.T) {
	t.Parallel()
	mark := newMark(t)
	a := launch(t, setup{pools: workers(t, "sick", mark, `, ROLE: "dies after hello"`, "") + workers(t, "well", mark, "", "")})
	a.until("it is parked", func(root *supervisor.Node, code int) bool {
		n := find(root, "pool:sick")
		return code == 2 && n.State == "failed" && n.Detail == "parked"
	})
	root, _ := a.tree()
	if n := find(root, "sick/1"); n.Generation > 6 || !strings.Contains(n.LastExit, "exit status 3") {
		t.Errorf("%d processes, the last one: %s", n.Generation, n.LastExit)
	}
	a.publishTo("sick", 3, "fine")
	b := dial(t, "amqp://guest:guest@"+a.listen+"/")
	b.holds("sick", 3)
	a.publishTo("well", 1, "fine")
	a.settled("well", 1)
	contains(t, a.look(2, "why", "pool:sick"), "exit status 3", "magne-actors restart pool:sick")
	a.stop()
	noneMarked(t, mark)
}

// TestProcessMany: 200 processes cost descriptors, but no threads.
func TestProcessMany(t *testing.T) {
	t.Parallel()
	mark := newMark(t)
	pool := fmt.Sprintf("p:\n  queue: p\n  mode: process\n  workers: 200\n  process:\n    command: [sh, -c, %q]\n    env: {%s}\n",
		`echo '{"t":"hello","proto":1,"concurrency":1}' >&4; read -r welcome <&3; read -r drain <&3`, mark)
	a := launch(t, setup{pools: pool})
	a.allUp("p", 200)
	if n := a.threads(); n >= 20 {
		t.Errorf("%d threads", n)
	}
	begun := time.Now()
	a.stop()
	t.Logf("stopped in %v", time.Since(begun))
	noneMarked(t, mark)
}

// allUp waits until the pool has n workers that are up.
func (a *app) allUp(pool string, n int) {
	a.t.Helper()
	a.untilNode("pool:"+pool, "all are up", func(p *supervisor.Node) bool {
		up := slices.DeleteFunc(slices.Clone(p.Children), func(w *supervisor.Node) bool { return w.State != "up" })
		return len(up) == n
	})
}

// threads are those of the instance.
func (a *app) threads() int {
	a.t.Helper()
	return len(a.entries("task"))
}

// children is how many processes the instance has, dead ones that nobody has waited
// for included.
func (a *app) children() int {
	a.t.Helper()
	return len(a.childPIDs())
}

func (a *app) childPIDs() (pids []int) {
	a.t.Helper()
	for _, task := range a.entries("task") {
		list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", a.cmd.Process.Pid, task.Name()))
		if err != nil && !os.IsNotExist(err) { // a thread may have ended
			a.t.Fatal(err)
		}
		for field := range strings.FieldsSeq(string(list)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// entries are those of a directory in /proc.
func (a *app) entries(dir string) []os.DirEntry {
	a.t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/%s", a.cmd.Process.Pid, dir))
	if err != nil {
		a.t.Fatal(err)
	}
	return list
}

// TestProcessReload: a rolling reload while a long task runs, which ends in its old
// process; short ones go on. A program that does not start changes nothing.
func TestProcessReload(t *testing.T) {
	t.Parallel()
	mark := newMark(t)
	a := start(t, setup{pools: workers(t, "p", mark, `, GENERATION: "one"`, "workers: 2\nwatermarks: {high: 10}\nstart_timeout: 20s")})
	b := dial(t, "amqp://guest:guest@"+a.listen+"/")
	before := a.pids()
	end := filepath.Join(a.dir, "end")
	b.task("p", "wait", strconv.Quote(end))
	a.untilNode("router:p", "the long task runs", func(n *supervisor.Node) bool { return number(n.Running) == 1 })
	a.rewrite(`GENERATION: "one"`, `GENERATION: "two"`)
	if got := fmt.Sprint(a.changes("reload")); got != "map[p:roll]" {
		t.Errorf("reload: %s", got)
	}
	for i, pid := range a.pids() {
		if slices.Contains(before, pid) {
			t.Errorf("slot %d still has process %d", i+1, pid)
		}
	}
	a.generation(b, "two", 1)
	if err := os.WriteFile(end, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a.settled("p", 2)
	if n := b.ready(dead("p")); n != 0 {
		t.Errorf("%d dead letters: the long task was lost", n)
	}

	// Two that do not start, and the old ones stay.
	pids := a.pids()
	a.rewrite("bad_worker.py]", "no_such_worker.py]")
	a.look(1, "reload")
	if got := a.pids(); !slices.Equal(got, pids) {
		t.Errorf("processes %v, before %v", got, pids)
	}
	a.generation(b, "two", 3)
	a.healthy()
	a.stop()
	noneMarked(t, mark)
}

// generation has a task say with which environment it was run.
func (a *app) generation(b *rabbit, want string, settled int) {
	a.t.Helper()
	b.task("p", "env", 0)
	d := b.take(dead("p"), 1)[0]
	if got := fmt.Sprint(d.Headers["x-error"]); !strings.Contains(got, want) {
		a.t.Errorf("the task was run by generation %q, want %q", got, want)
	}
	a.until("it is settled", func(root *supervisor.Node, _ int) bool {
		return number(find(root, "router:p").Settled) >= settled
	})
}

// TestProcessSecrets: a worker that says its secret in every way that it has.
func TestProcessSecrets(t *testing.T) {
	t.Parallel()
	mark := newMark(t)
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("gehäim/\"of the process\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := start(t, setup{
		pools: workers(t, "p", mark, fmt.Sprintf("}\n    secrets: {SECRET: {file: %q}", file), ""),
		args:  []string{"--log-level", "debug"},
	})
	b := dial(t, "amqp://guest:guest@"+a.listen+"/")
	b.task("p", "tell", 0)
	d := b.take(dead("p"), 1)[0]
	a.publishTo("p", 1, "garbage")
	a.untilNode("p/1", "it was lost", func(n *supervisor.Node) bool { return n.LastExit != "" })
	if err := os.WriteFile(file, []byte("gehäim too\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	said := map[string]string{"the dead letter": fmt.Sprint(d.Headers, string(d.Body))}
	for _, args := range []string{"tree -o json", "inspect p/1", "inspect p/1 -o json", "why p/1", "logs", "logs -o json", "events -o json", "tasks", "diff -c " + a.config, "reload"} {
		r := magneIn(t, a.dir, nil, nil, append(strings.Fields(args), "--socket", a.socket)...)
		said[args] = r.stdout + r.stderr
	}
	contains(t, said["logs"], "print [redacted]")
	contains(t, said["reload"], "process.secrets.SECRET changed")
	a.stop()
	said["stderr"] = a.stderr.String()
	for what, text := range said {
		for _, part := range []string{"geh", "of the process"} {
			if strings.Contains(text, part) {
				t.Errorf("%s: contains %q:\n%s", what, part, text)
			}
		}
	}
}
