package e2e_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/magne-actors/magne-actors/internal/testenv"
	"github.com/magne-actors/magne-actors/supervisor"
)

// broken reports what is to be seen while the broker is away: exit code 1 of tree,
// and connecting with a reason.
func broken(root *supervisor.Node, code int) bool {
	b, r := find(root, "broker"), find(root, "router:p")
	return code == 1 && b != nil && b.State == "connecting" && b.LastError != "" && r.State == "connecting"
}

func connected(root *supervisor.Node, code int) bool {
	return code == 0 && find(root, "broker").State == "connected" && find(root, "router:p").State == "consuming"
}

// TestBrokerDies: an instance outlives its broker, comes up without one, and can
// be stopped while there is none.
func TestBrokerDies(t *testing.T) {
	t.Parallel()
	node := testenv.Private(t, testenv.Options{})
	e := newEndpoint(t)
	queue := testenv.Name(t)
	s := setup{url: node.URL, pools: hook(queue, e.url, "workers: 2\nslots: 20\nwatermarks: {high: 60}")}
	a := start(t, s)

	// In good order first: RabbitMQ may lose a quorum queue whose node is killed in
	// the first second of the queue's life (rabbitmq-server issue 10070).
	for round, stop := range []struct {
		name string
		away func(*testing.T, *testenv.Node)
	}{{"restarted", func(*testing.T, *testenv.Node) {}}, {"killed", kill}} {
		t.Run(stop.name+" while tasks run", func(t *testing.T) {
			first := 1000 + 200*round
			e.hold()
			publishNumbers(t, a, "hook", first, 200)
			e.hasBegun(t, 200*round+40)
			stop.away(t, node)
			if stop.name == "killed" {
				a.until("connecting", broken)
				e.release() // they end while there is nobody to tell
				a.empty("p")
			}
			restart(t, node)
			e.release()
			a.until("connected", connected)
			e.hasDone(t, 200*(round+1))
			a.empty("p")
			if root, _ := a.tree(); number(find(root, "broker").Restarts) != 0 || number(root.Restarts) != 0 {
				t.Error("a lost connection counted as a crash")
			}
			dial(t, node.URL).holds(queue, 0)
		})
	}

	t.Run("stopped while it is away", func(t *testing.T) {
		e.hold()
		publishNumbers(t, a, "hook", 2000, 40)
		e.hasBegun(t, 440)
		kill(t, node)
		a.until("connecting", broken)
		a.signal(syscall.SIGTERM)
		a.says("stopping warm")
		e.release()
		if code := a.wait(); code != 0 {
			t.Errorf("exit code: got %d, want 0", code)
		}
	})

	t.Run("absent at the start", func(t *testing.T) {
		a.again(t, s)
		a.until("connecting", broken)
		restart(t, node)
		a.until("connected", connected)
		// What was unsettled when the broker died comes again.
		eventually(t, "the 40 tasks done again", func() (bool, any) {
			n := 0
			for key, runs := range e.begunRuns() {
				if key >= "2000" && runs >= 2 {
					n++
				}
			}
			return n == 40, n
		})
		a.empty("p")
		a.stop()
	})
}

// kill kills a node with -9. What is declared there is on the disk before: RabbitMQ keeps
// that in Mnesia, which writes a declaration some seconds later, and would forget a durable
// queue with all that was confirmed in it.
func kill(t *testing.T, n *testenv.Node) {
	t.Helper()
	if _, err := n.Eval(t.Context(), "mnesia:sync_log()"); err != nil {
		t.Fatal(err)
	}
	if err := n.Kill(); err != nil {
		t.Fatal(err)
	}
}

func restart(t *testing.T, n *testenv.Node) {
	t.Helper()
	if err := n.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestQueueDeleted: the broker cancels the consumer, and the pool consumes again.
func TestQueueDeleted(t *testing.T) {
	for _, codec := range []string{"json", "magne"} {
		t.Run(codec, func(t *testing.T) {
			r, queue := begin(t)
			e := newEndpoint(t)
			a := start(t, setup{url: r.url, pools: hook(queue, e.url, "slots: 10\ncodec: "+codec)})
			e.hold()
			publishNumbers(t, a, "hook", 0, 3)
			e.hasBegun(t, 3)
			for round := range 3 {
				if _, err := r.channel().QueueDelete(queue, false, false, false); err != nil {
					t.Fatal(err)
				}
				eventually(t, "the queue is there again, with a consumer", func() (bool, any) {
					ch := r.channel()
					defer ch.Close()
					q, err := ch.QueueDeclarePassive(queue, false, false, false, false, nil)
					return err == nil && q.Consumers > 0, err
				})
				a.healthy()
				publishNumbers(t, a, "hook", 10*(round+1), 1)
				e.hasBegun(t, 3+round+1)
			}
			e.release()
			e.hasDone(t, 6)
			a.empty("p")
			a.stop()
		})
	}
}

// TestOtherArguments: a queue that exists with other arguments fails its pool,
// with the reason, and no other.
func TestOtherArguments(t *testing.T) {
	r, queue := begin(t)
	missing, good := r.queue(".missing"), r.queue(".good")
	r.plain(queue, nil) // not a quorum queue
	a := launch(t, setup{url: r.url, pools: fmt.Sprintf(`differs: {queue: %s, tasks: {hello: {builtin: echo}}}
missing: {queue: %s, declare: match, tasks: {hello: {builtin: echo}}}
good: {queue: %s, tasks: {hello: {builtin: echo}}}
`, queue, missing, good)})
	failed := func(id, reason string) func(*supervisor.Node, int) bool {
		return func(root *supervisor.Node, code int) bool {
			n := find(root, id)
			return code == 2 && n.State == "failed" && strings.Contains(n.LastError, reason)
		}
	}
	a.until("differs has failed", failed("router:differs", "PRECONDITION_FAILED"))
	a.until("missing has failed", failed("router:missing", "NOT_FOUND"))
	a.until("good consumes", func(root *supervisor.Node, _ int) bool { return find(root, "router:good").State == "consuming" })
	r.task(good, "hello", 1)
	a.settled("good", 1)
	r.task(queue, "hello", 1)
	if n := r.ready(queue); n != 1 {
		t.Errorf("in the queue that differs: got %d messages, want 1", n)
	}

	// Once the reason is gone, so is the failure.
	if _, err := r.channel().QueueDelete(queue, false, false, false); err != nil {
		t.Fatal(err)
	}
	a.untilNode("router:differs", "consuming", func(n *supervisor.Node) bool { return n.State == "consuming" && n.LastError == "" })
	a.stop()
}

// TestDenied: who is refused at the start is told so, and not tried again.
func TestDenied(t *testing.T) {
	r, queue := begin(t)
	pools := fmt.Sprintf("p: {queue: %s, tasks: {hello: {builtin: echo}}}", queue)
	for name, url := range map[string]string{
		"password": wrongPassword(t, r.url, "nonsense"),
		"vhost":    strings.TrimSuffix(r.url, "/") + "/no-such-vhost",
	} {
		a := launch(t, setup{url: url, pools: pools})
		if code := a.wait(); code != 3 {
			t.Errorf("%s: exit code: got %d, want 3", name, code)
		}
		said := a.stderr.String()
		if !strings.Contains(said, "access refused by the broker") || !strings.Contains(said, "check user, password and virtual host") {
			t.Errorf("%s: stderr: %s", name, a.stderr.tail())
		}
		if strings.Contains(said, "nonsense") {
			t.Errorf("%s: the password is on stderr", name)
		}
	}
}

// TestConnectionsClosed: an operator closes the connections; what ran is settled
// once it is delivered again.
func TestConnectionsClosed(t *testing.T) {
	t.Parallel()
	node := testenv.Private(t, testenv.Options{})
	queue := testenv.Name(t)
	e := newEndpoint(t)
	a := start(t, setup{url: node.URL, pools: hook(queue, e.url, "slots: 20")})
	for round := range 3 {
		publishNumbers(t, a, "hook", round*50, 50)
		if _, err := node.Ctl(t.Context(), "close_all_connections", "maintenance"); err != nil {
			t.Fatal(err)
		}
	}
	a.until("connected", connected)
	e.hasDone(t, 150)
	r := dial(t, node.URL)
	r.holds(queue, 0)
	a.stop()
	if n := r.ready(queue); n != 0 {
		t.Errorf("left in the queue: %d", n)
	}
}
