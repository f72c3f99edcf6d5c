package e2e_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/magne-actors/magne-actors/internal/testenv"
	"github.com/magne-actors/magne-actors/supervisor"
)

// spoolStatus is what spool status prints with -o json.
type spoolStatus struct {
	Dir             string
	Messages        int
	Bytes, MaxBytes int64
	Oldest          *string
	Owners          []struct {
		PID      int
		Alive    bool
		Messages int
	}
}

func spoolOf(t testing.TB, dir string) spoolStatus {
	t.Helper()
	got := magne(t, nil, "spool", "status", "--spool-dir", dir, "-o", "json").want(t, 0)
	var st spoolStatus
	if err := json.Unmarshal([]byte(got.stdout), &st); err != nil {
		t.Fatal(err)
	}
	return st
}

// alarm has the broker block publishers, or not.
func alarm(t testing.TB, n *testenv.Node, on bool) {
	t.Helper()
	mark := "0.4"
	if on {
		mark = "0.00000001"
	}
	if _, err := n.Ctl(t.Context(), "set_vm_memory_high_watermark", mark); err != nil {
		t.Fatal(err)
	}
}

// hopelessCase is an instance with a spool, which does not run, and what waits for it.
type hopelessCase struct {
	node       *testenv.Node
	r          *rabbit
	queue, dir string // of the tasks, of the spool
	setup      setup
	app        *app
}

// hopeless publishes n tasks that end as dead letters.
func hopeless(t *testing.T, n int) hopelessCase {
	t.Helper()
	node := testenv.Private(t, testenv.Options{})
	r := dial(t, node.URL)
	queue, dir := r.queue(""), filepath.Join(t.TempDir(), "spool")
	s := setup{
		url: node.URL, env: []string{"MAGNE_BROKER_SPOOL_DIR=" + dir},
		pools: fmt.Sprintf("p: {queue: %s, slots: 4, retry: {max_attempts: 1}, tasks: {bad: {builtin: fail}}}", queue),
	}
	a := start(t, s) // declares the queues
	a.stop()
	magneIn(t, a.dir, s.env, nil, "publish", "-c", a.config, "-n", fmt.Sprint(n), "bad").want(t, 0)
	return hopelessCase{node, r, queue, dir, s, a}
}

// TestSpoolDuringAlarm: RabbitMQ delivers, and takes no dead letters. They go to
// the disk and their deliveries are acked, far more than the pool may hold; the
// instance is killed with -9, and the next one publishes each, with its id.
func TestSpoolDuringAlarm(t *testing.T) {
	t.Parallel()
	const n = 60
	h := hopeless(t, n)
	node, r, queue, dir, s, a := h.node, h.r, h.queue, h.dir, h.setup, h.app
	alarm(t, node, true)
	a.again(t, s)
	a.untilNode("broker", "all dead letters are in the spool", func(b *supervisor.Node) bool { return b.Spool != nil && b.Spool.Messages == n })
	r.holds(queue, 0)
	if st := spoolOf(t, dir); st.Messages != n || len(st.Owners) != 1 || !st.Owners[0].Alive || st.Oldest == nil {
		t.Errorf("status: %+v", st)
	}
	if got := r.ready(dead(queue)); got != 0 {
		t.Errorf("%d dead letters during the alarm", got)
	}
	a.kill()
	if st := spoolOf(t, dir); st.Messages != n || st.Owners[0].Alive {
		t.Errorf("after kill -9: %+v", st)
	}
	alarm(t, node, false)
	a.again(t, s)
	a.untilNode("broker", "the spool is empty", func(b *supervisor.Node) bool { return b.Spool != nil && b.Spool.Messages == 0 })
	// What the broker had read before it blocked may be there twice: the instance
	// was killed before it could see the confirms.
	const twice = 4
	total := r.ready(dead(queue))
	if total < n || total > n+twice {
		t.Errorf("%d dead letters, want %d, and at most %d twice", total, n, twice)
	}
	ids := map[string]bool{}
	for _, d := range r.take(dead(queue), total) {
		ids[d.MessageId] = true
	}
	if len(ids) != n {
		t.Errorf("%d different ids of %d dead letters", len(ids), n)
	}
	a.stop()
}

// TestPublishSpool: publish without a broker, and what becomes of it.
func TestPublishSpool(t *testing.T) {
	t.Parallel()
	node := testenv.Private(t, testenv.Options{})
	r := dial(t, node.URL)
	queue := r.queue("")
	r.plain(queue, nil)
	dir := filepath.Join(t.TempDir(), "spool")
	a := setup{url: node.URL, pools: fmt.Sprintf("p: {queue: %s, tasks: {hello: {builtin: echo}}}", queue)}.write(t)
	env := []string{"MAGNE_BROKER_SPOOL_DIR=" + dir}
	publish := func(code int, args ...string) result {
		t.Helper()
		return magneIn(t, a.dir, env, nil, append([]string{"publish", "-c", a.config}, args...)...).want(t, code)
	}

	publish(0, "--spool", "-n", "2", "hello") // nothing of that needs the spool
	if st := spoolOf(t, dir); st.Messages != 0 {
		t.Errorf("with a broker: %+v", st)
	}
	kill(t, node)
	publish(3, "hello")
	got := publish(0, "--spool", "-n", "5", "hello")
	if !strings.Contains(got.stdout, "5 accepted into the spool") || !strings.Contains(got.stderr, "the messages go into the spool") {
		t.Errorf("publish --spool said: %s%s", got.stdout, got.stderr)
	}
	if got := publish(0, "--spool", "-o", "json", "hello"); !strings.Contains(got.stdout, `"spooled": 1`) {
		t.Errorf("publish --spool -o json: %s", got.stdout)
	}
	publish(3, "--flush")
	if st := spoolOf(t, dir); st.Messages != 6 {
		t.Errorf("without a broker: %+v", st)
	}
	restart(t, node)
	eventually(t, "RabbitMQ has the queue again", func() (bool, any) { // on a busy machine that is later than its port
		_, err := dial(t, node.URL).channel().QueueDeclarePassive(queue, false, false, false, false, nil)
		return err == nil, err
	})
	if got := publish(0, "--flush", "-o", "json"); !strings.Contains(got.stdout, `"published": 6`) || !strings.Contains(got.stdout, `"left": 0`) {
		t.Errorf("publish --flush: %s", got.stdout)
	}
	dial(t, node.URL).take(queue, 8)

	// And what cannot be flushed, and is dropped.
	kill(t, node)
	publish(0, "--spool", "-n", "3", "hello")
	magne(t, nil, "spool", "drop", "--spool-dir", dir).want(t, 2) // nobody to ask
	if got := magne(t, nil, "spool", "drop", "--yes", "--spool-dir", dir).want(t, 0); !strings.Contains(got.stdout, "3 deleted") {
		t.Errorf("drop: %s", got.stdout)
	}
	if st := spoolOf(t, dir); st.Messages != 0 || st.Bytes != 0 {
		t.Errorf("after drop: %+v", st)
	}
	magne(t, nil, "publish", "--url", node.URL, "--queue", queue, "--spool", "hello").want(t, 2) // which spool?
	magneIn(t, a.dir, nil, nil, "spool", "status", "-c", a.config).want(t, 2)
}

// TestPublishWaitsForTheAlarm: publish says that the broker blocks, and goes on.
func TestPublishWaitsForTheAlarm(t *testing.T) {
	t.Parallel()
	node := testenv.Private(t, testenv.Options{})
	r := dial(t, node.URL)
	queue := r.queue("")
	r.plain(queue, nil)
	alarm(t, node, true)
	p := spawn(t, t.TempDir(), nil, nil, "publish", "--url", node.URL, "--queue", queue, "--timeout", "10m", "-n", "1500", "hello")
	p.says("the broker blocks publishers (low on memory): waiting up to 10m0s")
	alarm(t, node, false)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d\n%s", code, p.stderr.tail())
	}
	if said := p.stderr.String(); !strings.Contains(said, "the broker takes messages again") {
		t.Errorf("stderr: %s", said)
	}
	dial(t, node.URL).holds(queue, 1500)
}

// TestRotation: the password changes on the broker and in its file; the instance
// comes back with the new one, and nothing that it has said contains either.
func TestRotation(t *testing.T) {
	t.Parallel()
	node := testenv.Private(t, testenv.Options{})
	ctl := func(args ...string) {
		t.Helper()
		if _, err := node.Ctl(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
	ctl("add_user", "jane", brokerSecret)
	ctl("set_permissions", "jane", ".*", ".*", ".*")
	file := filepath.Join(t.TempDir(), "password")
	write := func(password string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(brokerSecret)
	r := dial(t, node.URL)
	queue := r.queue("")
	s := setup{
		url: node.URL, pools: fmt.Sprintf("p: {queue: %s, tasks: {hello: {builtin: echo}}}", queue),
		env: []string{"MAGNE_BROKER_AUTH_USER=jane", "MAGNE_BROKER_AUTH_PASSWORD_FILE=" + file},
	}
	a := start(t, s)
	ctl("change_password", "jane", headerSecret)
	ctl("close_all_connections", "rotated")
	a.until("connecting with the old password", broken)
	write(headerSecret)
	a.until("connected with the new one", connected)
	got := magneIn(t, a.dir, s.env, nil, "publish", "-c", a.config, "hello").want(t, 0)
	noSecret(t, "publish", got.stdout+got.stderr)
	a.settled("p", 1)
	write("wrong-" + brokerSecret)
	for _, args := range [][]string{{"publish", "-c", a.config, "hello"}, {"queue", "list", "-c", a.config}} {
		got := magneIn(t, a.dir, s.env, nil, args...).want(t, 3)
		if !strings.Contains(got.stderr, "check user and password") {
			t.Errorf("%s with a wrong password: %s", args[0], got.stderr)
		}
		noSecret(t, args[0], got.stdout+got.stderr)
	}
	write(headerSecret)
	a.stop()
	noSecret(t, "the log", a.stderr.String())
}

// TestConnectTimeout: publish and queue agree that a broker which does not answer
// the connect within --timeout is unreachable.
func TestConnectTimeout(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") // and never accept
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	url := "amqp://" + l.Addr().String() + "/"
	magne(t, nil, "publish", "--url", url, "--queue", "q", "--timeout", "300ms", "hello").want(t, 3)
	magne(t, nil, "queue", "list", "--url", url, "--timeout", "300ms", "q").want(t, 3)
	dir := filepath.Join(t.TempDir(), "spool")
	magne(t, nil, "publish", "--url", url, "--queue", "q", "--timeout", "300ms", "--spool", "--spool-dir", dir, "hello").want(t, 0)
	if st := spoolOf(t, dir); st.Messages != 1 {
		t.Errorf("%+v", st)
	}
	p := spawn(t, t.TempDir(), nil, nil, "publish", "--url", url, "--queue", "q", "hello")
	p.signal(syscall.SIGINT)
	if code := p.wait(); code == 0 {
		t.Error("an interrupted publish has status 0")
	}
}
