package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/magne-actors/magne-actors/internal/testenv"
	"github.com/magne-actors/magne-actors/supervisor"
)

// TestAckTimeout: RabbitMQ closes the channel of a delivery that is not settled in
// its time. Nothing else may be run again for it, and it is told before.
func TestAckTimeout(t *testing.T) {
	t.Parallel()
	node := testenv.Private(t, testenv.Options{Config: "consumer_timeout = 20000"})
	if _, err := node.Ctl(t.Context(), "eval", "application:set_env(rabbit, channel_tick_interval, 500)."); err != nil {
		t.Fatal(err)
	}
	r, e, queue := dial(t, node.URL), newEndpoint(t), testenv.Name(t)
	slow, quick := make(chan struct{}), make(chan struct{})
	e.answer = func(_ http.ResponseWriter, r *request) {
		if r.key() == `"slow"` {
			<-slow
		} else {
			<-quick
		}
	}
	a := start(t, setup{url: node.URL, pools: hook(queue, e.url, "slots: 20"), env: []string{"MAGNE_BROKER_ACK_TIMEOUT=20s"}})
	r.task(queue, "hook", `"slow"`)
	var tag string
	a.untilNode("router:p", "a consumer that is kept apart", func(n *supervisor.Node) bool {
		tag = n.Consumer.Tag
		return n.Consumer.Isolated == 1 && n.Consumer.Old == 1 && n.State == "consuming"
	})
	why := magne(t, nil, "why", "router:p", "--socket", a.socket).want(t, 0).stdout
	if !strings.Contains(why, "1 delivery has been unsettled for more than half of the broker's ack timeout") || !strings.Contains(why, tag) {
		t.Errorf("why says:\n%s", why)
	}
	for i := range 10 {
		r.task(queue, "hook", i)
	}
	e.hasBegun(t, 11)
	eventually(t, "the broker closes the channel of the slow one", func() (bool, any) {
		out := magne(t, nil, "events", "router:p", "--socket", a.socket).want(t, 0).stdout
		return strings.Contains(out, "task_old") && strings.Contains(out, "isolated") && strings.Contains(out, "ack_timeout"), out
	})
	close(quick)
	e.hasDone(t, 10)
	a.untilNode("router:p", "its consumer as before", func(n *supervisor.Node) bool { return n.State == "consuming" })
	for key, runs := range e.begunRuns() {
		if key != `"slow"` && runs != 1 {
			t.Errorf("%s ran %d times", key, runs)
		}
	}
	close(slow)
	a.empty("p")
	a.stop()
	r.holds(queue, 0)
}

// TestSeveralBrokers: one that is down is passed over by the instance and by the
// commands, and the tree says which one it is.
func TestSeveralBrokers(t *testing.T) {
	r, queue := begin(t)
	away := "amqp://guest:hunter2@" + freeAddress(t) + "/"
	env := []string{"MAGNE_BROKER_URLS=[" + away + ", " + away + "]"}
	a := start(t, setup{url: r.url, pools: fmt.Sprintf("p: {queue: %s, tasks: {hello: {builtin: echo}}}\n", queue), env: env})
	root, _ := a.tree()
	if b := find(root, "broker"); !strings.HasPrefix(b.Detail, "amqp://127.0.0.1:") || !strings.Contains(r.url, strings.TrimPrefix(b.Detail, "amqp://")) {
		t.Errorf("the tree says %q, want the address of %s without a user", b.Detail, r.url)
	}
	for range 5 {
		magneIn(t, a.dir, environment(t, env...), nil, "publish", "-c", a.config, "--queue", queue, "hello").want(t, 0)
	}
	magneIn(t, a.dir, environment(t, env...), nil, "queue", "list", "-c", a.config).want(t, 0)
	a.settled("p", 5)
	a.stop()
	if log := a.stderr.String(); strings.Contains(log, "hunter2") {
		t.Errorf("the log has a password:\n%s", log)
	}
}

// TestStatusNamesWhatIsPaused: an operator's pause is healthy, and not passed over.
func TestStatusNamesWhatIsPaused(t *testing.T) {
	r, queue := begin(t)
	a := start(t, setup{url: r.url, pools: fmt.Sprintf("p: {queue: %s, tasks: {hello: {builtin: echo}}}\n", queue)})
	magne(t, nil, "pause", "p", "--socket", a.socket).want(t, 0)
	out := magne(t, nil, "status", "--socket", a.socket).want(t, 0).stdout
	for _, want := range []string{"HEALTHY, 1 pool suspended", "p takes no deliveries", "magne-actors resume p"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	magne(t, nil, "resume", "p", "--socket", a.socket).want(t, 0)
	a.healthy()
	if out := magne(t, nil, "status", "--socket", a.socket).want(t, 0).stdout; strings.Contains(out, "suspended") {
		t.Errorf("after resume:\n%s", out)
	}
	a.stop()
}
