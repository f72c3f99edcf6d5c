package e2e_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/internal/testenv"
	"github.com/magne-actors/magne-actors/supervisor"
)

// copiesOf are the processes of the copies of an instance, by their numbers.
func (a *app) copiesOf(n int) map[int]int {
	a.t.Helper()
	pids := map[int]int{}
	a.until(fmt.Sprintf("%d copies are up", n), func(root *supervisor.Node, code int) bool {
		clear(pids)
		for i := 1; i <= n; i++ {
			c := find(root, fmt.Sprintf("copy/%d", i))
			if c == nil || c.State != "up" || c.PID == nil || find(c, fmt.Sprintf("root@%d", i)) == nil {
				return false
			}
			pids[i] = *c.PID
		}
		return code == 0
	})
	return pids
}

// sum adds up a figure of the routers of all copies.
func sum(root *supervisor.Node, pool string, figure func(n *supervisor.Node) *int64) (total int) {
	for i := 1; ; i++ {
		n := find(root, fmt.Sprintf("router:%s@%d", pool, i))
		if n == nil {
			return total
		}
		total += max(number(figure(n)), 0)
	}
}

func inFlight(n *supervisor.Node) *int64 { return n.InFlight }

// alive reports whether a process runs; a zombie does not.
func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// TestCopies: three processes consume and are one instance; one of them is killed in
// the middle of its tasks, and nothing is lost.
func TestCopies(t *testing.T) {
	for _, broker := range []string{"rabbitmq", "embedded"} {
		t.Run(broker, func(t *testing.T) {
			s, queue := setup{top: "processes: 3\n"}, "work"
			var r *rabbit
			if broker == "rabbitmq" {
				r, queue = begin(t)
				s.url = r.url
			} else {
				t.Parallel()
			}
			e := newEndpoint(t)
			s.pools = hook(queue, e.url, "slots: 5\nwatermarks: {high: 5}")
			a := start(t, s)
			before := a.copiesOf(3)
			e.hold()
			publishNumbers(t, a, "hook", 0, 60)
			e.hasBegun(t, 15)
			a.until("five in each copy", func(root *supervisor.Node, _ int) bool {
				return number(find(root, "router:p@1").InFlight) == 5 && sum(root, "p", inFlight) == 15
			})
			one := find(mustTree(a), "root@2")
			if err := syscall.Kill(before[2], syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			e.release()
			e.hasDone(t, 60)
			after := a.copiesOf(3)
			if after[2] == before[2] || after[1] != before[1] || after[3] != before[3] || one.PID == nil || *one.PID != before[2] {
				t.Errorf("processes before: %v, after: %v", before, after)
			}
			a.until("nothing in flight", func(root *supervisor.Node, _ int) bool { return sum(root, "p", inFlight) == 0 })
			if r != nil {
				r.holds(queue, 0)
			}
			contains(t, a.look(0, "inspect", "copy/2"), "SIGKILL", "root@2")
			contains(t, a.look(0, "events", "copy/2"), "failed", "started")
			a.stop()
			for _, pid := range after {
				if alive(pid) {
					t.Errorf("process %d is left", pid)
				}
			}
		})
	}
}

func mustTree(a *app) *supervisor.Node {
	a.t.Helper()
	root, _ := a.tree()
	if root == nil {
		a.t.Fatal("no tree")
	}
	return root
}

// TestCopiesAreOperatedTogether: what an operator does goes to all copies, or to the
// one that is named, and ids are unique.
func TestCopiesAreOperatedTogether(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	s, address := setup{top: "processes: 3\n", pools: hook("p", e.url, "workers: 1\nwatermarks: {high: 10}")}.probe(t)
	a := probed{start(t, s), address}
	a.copiesOf(3)
	a.ready(200, `"pool":"p@3"`)
	e.hold()
	publishNumbers(t, a.app, "hook", 0, 12)
	e.hasBegun(t, 3)
	a.look(0, "scale", "p", "2")
	e.hasBegun(t, 6)
	a.look(0, "scale", "p@2", "3")
	e.hasBegun(t, 7)
	root := mustTree(a.app)
	seen := map[string]bool{}
	for _, id := range idsOf(root) {
		if seen[id] {
			t.Errorf("two nodes are %s", id)
		}
		seen[id] = true
	}
	if !seen["p/3@2"] || seen["p/3@1"] || !seen["router:p@3"] {
		t.Errorf("ids: %v", seen)
	}
	var tasks []struct{ ID, Worker string }
	if err := json.Unmarshal([]byte(a.look(0, "tasks", "-o", "json")), &tasks); err != nil || len(tasks) != 7 {
		t.Fatalf("tasks: %v, %v", tasks, err)
	}
	contains(t, a.look(0, "cancel", tasks[0].ID), "1 task")
	a.look(2, "cancel", "nobody@1")
	a.look(0, "why", "router:p@1")
	contains(t, a.look(0, "why", "router:p"), "router:p@1 ", "router:p@2 ", "router:p@3 ")
	a.look(0, "inspect", tasks[1].Worker)
	a.look(0, "restart", "router:p@3")
	contains(t, a.look(0, "ps"), "p/1@1", "copy/3")
	a.look(2, "scale", "nobody", "3")
	contains(t, magneIn(t, a.dir, nil, nil, "restart", "p/1", "--socket", a.socket).want(t, 2).stderr, "p/1@1")
	if _, page := a.get("/metrics"); !strings.Contains(page, `magne_workers{copy="2",pool="p"} 3`) || !strings.Contains(page, "\nmagne_up 1\n") {
		t.Errorf("metrics:\n%s", page)
	}
	a.look(0, "pause", "p@1")
	a.untilNode("router:p@1", "suspended", func(n *supervisor.Node) bool { return n.State == "suspended" })
	if n := find(mustTree(a.app), "router:p@2"); n.State == "suspended" {
		t.Error("the others are suspended, too")
	}
	a.look(0, "resume", "p")
	e.release()
	e.hasDone(t, 11)
	a.stop()
}

// idsOf are the ids of all nodes.
func idsOf(n *supervisor.Node) []string {
	ids := []string{n.ID}
	for _, c := range n.Children {
		ids = append(ids, idsOf(c)...)
	}
	return ids
}

// TestCopiesDieWithTheirParent: kill -9 leaves no copy and no worker process of one
// behind, and what they ran returns.
func TestCopiesDieWithTheirParent(t *testing.T) {
	r, queue := begin(t)
	a := start(t, setup{url: r.url, top: "processes: 3\n", pools: fmt.Sprintf(
		"p: {queue: %s, mode: process, size: {min: 1, max: 1}, process: {command: [python3, -u, %q], env: {WORKER: %q}}}",
		queue, sleeper(t), queue)})
	pids := a.copiesOf(3)
	workers := withVariable("WORKER=" + queue)
	if len(workers) != 3 {
		t.Fatalf("worker processes: %v", workers)
	}
	for range 3 {
		r.task(queue, "nap", 1)
	}
	a.until("all run", func(root *supervisor.Node, _ int) bool { return sum(root, "p", inFlight) == 3 })
	a.kill()
	<-time.After(time.Second) // what must be over by then
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("copy %d lives on", pid)
		}
	}
	if left := withVariable("WORKER=" + queue); len(left) > 0 {
		t.Errorf("worker processes live on: %v", left)
	}
	r.holds(queue, 3)
}

// sleeper is a worker program that never ends a task.
func sleeper(t testing.TB) string {
	t.Helper()
	sdk, err := filepath.Abs("../../sdk/python")
	if err != nil {
		t.Fatal(err)
	}
	testenv.Program(t, "python3")
	file := filepath.Join(t.TempDir(), "sleeper.py")
	text := fmt.Sprintf(`import sys, time
sys.path.insert(0, %q)
from magne_worker import Worker
worker = Worker()

@worker.task
def nap(*args):
    time.sleep(600)

worker.run()
`, sdk)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// withVariable are the processes that have a variable in their environment.
func withVariable(text string) (pids []string) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		env, err := os.ReadFile(dir + "/environ")
		if err == nil && slices.Contains(strings.Split(string(env), "\x00"), text) {
			pids = append(pids, filepath.Base(dir))
		}
	}
	return pids
}

// TestCopiesStop: warm, what runs ends and the tree can be seen meanwhile; cold,
// everything returns.
func TestCopiesStop(t *testing.T) {
	r, queue := begin(t)
	e := newEndpoint(t)
	s := setup{url: r.url, top: "processes: 2\nshutdown: 40s\n", pools: hook(queue, e.url, "slots: 3\nwatermarks: {high: 3}")}
	a := start(t, s)
	e.hold()
	publishNumbers(t, a, "hook", 0, 10)
	e.hasBegun(t, 6)
	a.signal(syscall.SIGTERM)
	a.until("both drain", func(root *supervisor.Node, _ int) bool {
		one, two := find(root, "router:p@1"), find(root, "router:p@2")
		return one != nil && two != nil && one.State == "draining" && two.State == "draining"
	})
	e.release()
	if code := a.wait(); code != 0 || len(e.doneRuns()) != 6 {
		t.Errorf("warm: exit code %d, %d tasks done; want 0 and 6", code, len(e.doneRuns()))
	}
	r.holds(queue, 4)

	e.hold()
	a.again(t, s)
	e.hasBegun(t, 10)
	pids := a.copiesOf(2)
	for _, pid := range pids { // whoever ends a whole control group does this
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	a.signal(syscall.SIGTERM)
	a.says(`"signal":"terminated"}`) // by itself, not by a copy: two signals at once are one
	a.signal(syscall.SIGTERM)
	began := time.Now()
	if code := a.wait(); code != 1 || time.Since(began) > 5*time.Second {
		t.Errorf("cold: exit code %d after %v; want 1 within 2 s", code, time.Since(began))
	}
	r.holds(queue, 4)
}

// TestCopiesReload: all copies take a new configuration over, or none does.
func TestCopiesReload(t *testing.T) {
	t.Parallel()
	a := start(t, setup{top: "processes: 2", pools: "p: {queue: p, workers: 2, watermarks: {high: 20, low: 10}, tasks: {t: {builtin: echo}}}\n"})
	before := a.copiesOf(2)
	high := func(want int) func(root *supervisor.Node, code int) bool {
		return func(root *supervisor.Node, _ int) bool {
			one, two := find(root, "router:p@1"), find(root, "router:p@2")
			return one != nil && two != nil && number(one.High) == want && number(two.High) == want
		}
	}
	a.rewrite("high: 20", "high: 30")
	a.rewrite("processes: 2", "processes: 3")
	for _, command := range [][]string{{"diff", "-c", a.config}, {"reload"}} {
		if got := fmt.Sprint(a.changes(command...)); got != "map[:manual p:limit]" {
			t.Errorf("%v: got %s", command, got)
		}
	}
	a.until("high is 30", high(30))
	a.rewrite("high: 30", "high: 3O")
	a.look(2, "reload")
	a.signal(syscall.SIGHUP)
	a.says("the configuration is not valid, nothing was changed")
	for line := range strings.Lines(a.stderr.String()) {
		if strings.Contains(line, "nothing was changed") && strings.Contains(line, `"copy"`) {
			t.Errorf("a copy was told of it: %s", line)
		}
	}
	a.rewrite("high: 3O", "high: 40")
	a.signal(syscall.SIGHUP)
	a.until("high is 40", high(40))
	if after := a.copiesOf(2); after[1] != before[1] || after[2] != before[2] {
		t.Errorf("the processes are others: %v, %v", before, after)
	}
	a.stop()
}

// TestCopiesThatCannotStart: the instance says why, as without copies.
func TestCopiesThatCannotStart(t *testing.T) {
	r, queue := begin(t)
	pools := fmt.Sprintf("p: {queue: %s, tasks: {hello: {builtin: echo}}}", queue)
	a := launch(t, setup{url: wrongPassword(t, r.url, "nonsense"), top: "processes: 2", pools: pools})
	if code := a.wait(); code != 3 {
		t.Errorf("denied: exit code: got %d, want 3", code)
	}
	contains(t, a.stderr.String(), "access refused by the broker", "check user, password and virtual host")
	if strings.Contains(a.stderr.String(), "nonsense") {
		t.Error("the password is on stderr")
	}
	hash := strings.TrimSpace(magne(t, strings.NewReader("a-secret-password\n"), "broker", "hash-password").want(t, 0).stdout)
	a = setup{top: "processes: 2", pools: pools}.write(t)
	a.process = &process{t: t}
	a.rewrite("embedded: {", "embedded: {users: {alice: '"+hash+"'}, ")
	got := magneIn(t, a.dir, nil, nil, "run", "-c", a.config).want(t, 2)
	contains(t, got.stderr, "processes: the copies reach the embedded broker as guest", "broker.url")
	magneIn(t, a.dir, nil, nil, "check", "-c", a.config).want(t, 2)
	stdin := "version: 1\nprocesses: 2\npools: {p: {tasks: {hello: {builtin: echo}}}}"
	contains(t, magneIn(t, a.dir, nil, strings.NewReader(stdin), "run", "-c", "-").want(t, 2).stderr, "comes from stdin")
}

// TestCopiesBurst: the instance ends when all copies have found nothing more to do.
func TestCopiesBurst(t *testing.T) {
	r, queue := begin(t)
	s := setup{url: r.url, top: "processes: 3", pools: fmt.Sprintf("p: {queue: %s, tasks: {hello: {builtin: echo}}}", queue)}
	a := start(t, s)
	a.stop()
	for range 30 {
		r.task(queue, "hello", 1)
	}
	s.args = []string{"--burst"}
	a.again(t, s)
	if code := a.wait(); code != 0 {
		t.Errorf("exit code: got %d, want 0", code)
	}
	r.holds(queue, 0)
}

// TestProcessTable is magne's, a tenth as long: 100 tasks of its mix of durations in
// 8 processes, one at a time in each. All take part, and the ratio to the sleeps alone
// on 8 places, in the order in which they are published, is printed: a busy machine is
// no fault, but one that has the tasks wait for each other is.
func TestProcessTable(t *testing.T) {
	t.Parallel()
	const tasks, places, unit = 100, 8, 100 * time.Millisecond
	a := start(t, setup{top: "processes: 8", pools: "p: {queue: p, watermarks: {high: 1}, tasks: {nap: {builtin: sleep}}}"})
	a.copiesOf(places)
	var lines strings.Builder
	var free [places]time.Duration
	var all time.Duration // in one process
	rnd := rand.New(rand.NewPCG(1, 2))
	for range tasks {
		d := unit * time.Duration(durationOf(rnd.Float64()))
		fmt.Fprintf(&lines, "[%v]\n", d.Seconds())
		i := slices.Index(free[:], slices.Min(free[:]))
		free[i] += d
		all += d
	}
	ideal := slices.Max(free[:])
	began := time.Now()
	magneIn(t, a.dir, nil, strings.NewReader(lines.String()), "publish", "-c", a.config, "--from", "-", "nap").want(t, 0)
	settled := func(n *supervisor.Node) *int64 { return n.Settled }
	a.until("all are done", func(root *supervisor.Node, _ int) bool { return sum(root, "p", settled) == tasks })
	took := time.Since(began)
	t.Logf("100 tasks in 8 processes: %v, the sleeps alone: %v, ratio %.3f", took.Round(time.Millisecond), ideal, took.Seconds()/ideal.Seconds())
	if took > all/2 {
		t.Errorf("took %v: the sleeps take %v in 8 processes and %v in one", took, ideal, all)
	}
	root := mustTree(a)
	for i := range places {
		if n := find(root, fmt.Sprintf("router:p@%d", i+1)); number(n.Settled) < 1 {
			t.Errorf("process %d has done nothing", i+1)
		}
	}
	a.stop()
}

// durationOf is magne's mix, in seconds.
func durationOf(u float64) int {
	switch {
	case u < 0.01:
		return 10
	case u < 0.30:
		return 5
	case u < 0.50:
		return 3
	}
	return 1
}
