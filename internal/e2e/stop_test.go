package e2e_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/supervisor"
)

// hook is a pool whose task "hook" is sent to the endpoint.
func hook(queue, url, more string) string {
	return fmt.Sprintf("p:\n  queue: %s\n  tasks: {hook: {http: {url: %q}}}\n%s\n", queue, url, indent(more))
}

// TestTermWhileTasksRun: what runs is finished and acked, what does not run goes
// back, and nothing that was acked runs again.
func TestTermWhileTasksRun(t *testing.T) {
	r, queue := begin(t)
	e := newEndpoint(t)
	e.hold()
	const published, running, high = 2500, 1000, 1300
	s := setup{url: r.url, pools: hook(queue, e.url, fmt.Sprintf("workers: 4\nslots: 250\nwatermarks: {high: %d}", high))}
	a := start(t, s)
	publishNumbers(t, a, "hook", 0, published)
	a.untilNode("router:p", "1,000 tasks run, 300 wait", func(n *supervisor.Node) bool {
		return number(n.Running) == running && number(n.InFlight) == high
	})
	e.hasBegun(t, running)
	a.signal(syscall.SIGTERM)
	r.holds(queue, published-running) // handed back, while the others run on
	a.running()
	e.release()
	if code := a.wait(); code != 0 {
		t.Fatalf("exit code: got %d, want 0", code)
	}
	done := e.doneRuns()
	if len(done) != running {
		t.Errorf("tasks done before the exit: got %d, want %d", len(done), running)
	}
	r.holds(queue, published-len(done))

	// Another instance does the rest, and nothing else.
	a.again(t, s)
	a.settled("p", published-len(done))
	all := e.begunRuns()
	if len(all) != published {
		t.Errorf("tasks run in the end: got %d, want %d", len(all), published)
	}
	for key, n := range all {
		if n != 1 {
			t.Errorf("task %s: run %d times, want once", key, n)
		}
	}
	a.stop()
	if n := r.ready(queue); n != 0 {
		t.Errorf("left in the queue: %d", n)
	}
}

// TestKill: what was published is done at least once, although the process was
// killed.
func TestKill(t *testing.T) {
	r, queue := begin(t)
	e := newEndpoint(t)
	const published, before = 2000, 700
	s := setup{url: r.url, pools: hook(queue, e.url, "workers: 4\nslots: 50\nwatermarks: {high: 400}")}
	a := start(t, s)
	publishNumbers(t, a, "hook", 0, before)
	e.hasDone(t, before)
	e.hold() // some are done and perhaps not acked, some run, some wait
	publishNumbers(t, a, "hook", before, published-before)
	e.hasBegun(t, before+200)
	a.kill()
	e.release()
	a.again(t, s)
	e.hasDone(t, before+300)
	a.kill() // wherever it is
	a.again(t, s)
	e.hasDone(t, published)
	a.empty("p")
	a.stop()
	if n := r.ready(queue); n != 0 {
		t.Errorf("left in the queue: %d", n)
	}
	if fi, err := os.Stat(a.socket); err == nil {
		t.Errorf("the socket is still there: %v", fi.Mode())
	}
}

// TestSecondSignal: the second TERM or INT cancels, hands back and exits with 1.
func TestSecondSignal(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		for _, mode := range []string{"mode: coroutine\nworkers: 2\nslots: 50", "mode: thread\nworkers: 100"} {
			t.Run(fmt.Sprintf("%v %s", sig, strings.Fields(mode)[1]), func(t *testing.T) {
				r, queue := begin(t)
				a := start(t, setup{url: r.url, pools: fmt.Sprintf("p:\n  queue: %s\n  tasks: {nap: {builtin: sleep}}\n%s", queue, indent(mode))})
				const published, running = 150, 100
				magneIn(t, a.dir, nil, nil, "publish", "-c", a.config, "-n", fmt.Sprint(published), "nap", "600").want(t, 0)
				a.untilNode("router:p", "100 tasks run", func(n *supervisor.Node) bool { return number(n.Running) == running })
				a.signal(sig)
				a.says("stopping warm")
				a.running()
				begun := time.Now()
				a.signal(sig)
				if code := a.wait(); code != 1 {
					t.Errorf("exit code: got %d, want 1", code)
				}
				t.Logf("ended %v after the second signal", time.Since(begun))
				r.holds(queue, published)
				if _, err := os.Stat(a.socket); err == nil {
					t.Error("the socket is still there")
				}
			})
		}
	}
}

// TestShutdownTime: tasks that outlive `shutdown` are cancelled and handed back;
// that is still a stop as asked for.
func TestShutdownTime(t *testing.T) {
	r, queue := begin(t)
	a := start(t, setup{url: r.url, top: "shutdown: 500ms", pools: fmt.Sprintf("p: {queue: %s, slots: 10, tasks: {nap: {builtin: sleep}}}", queue)})
	magneIn(t, a.dir, nil, nil, "publish", "-c", a.config, "-n", "10", "nap", "600").want(t, 0)
	a.untilNode("router:p", "10 tasks run", func(n *supervisor.Node) bool { return number(n.Running) == 10 })
	a.stop()
	r.holds(queue, 10)
}

// TestQuit: a dump of the tree and of the goroutines, and a cold stop.
func TestQuit(t *testing.T) {
	r, queue := begin(t)
	a := start(t, setup{url: r.url, pools: fmt.Sprintf("p: {queue: %s, slots: 10, tasks: {nap: {builtin: sleep}}}", queue)})
	magneIn(t, a.dir, nil, nil, "publish", "-c", a.config, "-n", "10", "nap", "600").want(t, 0)
	a.untilNode("router:p", "10 tasks run", func(n *supervisor.Node) bool { return number(n.Running) == 10 })
	a.signal(syscall.SIGQUIT)
	if code := a.wait(); code != 1 {
		t.Errorf("exit code: got %d, want 1", code)
	}
	dump := a.stderr.String()
	for _, want := range []string{`"id": "router:p"`, `"running": 10`, "goroutine 1 [", "main.main()", "builtin.sleep"} {
		if !strings.Contains(dump, want) {
			t.Errorf("the dump has no %q:\n%s", want, a.stderr.tail())
		}
	}
	r.holds(queue, 10)
}

// TestHup: it is answered in the log, and nothing stops. TestReload has changes.
func TestHup(t *testing.T) {
	r, queue := begin(t)
	a := start(t, setup{url: r.url, pools: fmt.Sprintf("p: {queue: %s, tasks: {hello: {builtin: echo}}}", queue)})
	a.signal(syscall.SIGHUP)
	a.says("reloading")
	r.task(queue, "hello", 1)
	a.settled("p", 1)
	a.signal(os.Interrupt)
	if code := a.wait(); code != 0 {
		t.Errorf("exit code after INT: got %d, want 0", code)
	}
}
