package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"
)

// probed is an instance with an address for probes and figures.
type probed struct {
	*app
	address string
}

// probe returns the setup with such an address.
func (s setup) probe(t testing.TB) (setup, string) {
	t.Helper()
	address := freeAddress(t)
	s.top += fmt.Sprintf("metrics: {listen: %q}\n", address)
	return s, address
}

// get returns code 0 when nobody answers.
func (p probed) get(path string) (code int, body string) {
	p.t.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	answer, err := client.Get("http://" + p.address + path)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(b)
}

// ready waits until /readyz has that code and says the text.
func (p probed) ready(code int, text string) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("/readyz answers %d with %q", code, text), func() (bool, any) {
		p.running()
		got, body := p.get("/readyz")
		if got != 0 && !json.Valid([]byte(body)) {
			p.t.Fatalf("/readyz: not JSON: %s", body)
		}
		return got == code && strings.Contains(body, text), body
	})
}

// TestReadyzSeesTheBroker: an instance without a session is alive and not ready.
func TestReadyzSeesTheBroker(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	s, address := setup{url: b.url, pools: "p:\n  queue: work\n  tasks: {hello: {builtin: echo}}\n"}.probe(t)
	a := probed{start(t, s), address}
	a.ready(200, `"state":"idle"`)
	b.kill()
	a.ready(503, "there is no session with the broker")
	if code, body := a.get("/livez"); code != 200 {
		t.Errorf("/livez without a broker: got %d %s, want 200", code, body)
	}
	b.again(t)
	a.ready(200, `"state":"idle"`)
	a.stop()
}

// TestReadyzSeesWhoDoesNotConsume: the instance is alive and connected, messages
// wait, and another client has the queue for itself.
func TestReadyzSeesWhoDoesNotConsume(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	s, address := setup{url: b.url, pools: "p:\n  queue: work\n  tasks: {hello: {builtin: echo}}\n"}.probe(t)
	a := probed{start(t, s), address} // declares the queue
	a.stop()
	magneIn(t, a.dir, nil, nil, "publish", "-c", a.config, "-n", "5", "hello").want(t, 0)
	conn, err := amqp091.Dial(b.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.Qos(1, 0, false); err != nil {
		t.Fatal(err)
	}
	if _, err := ch.Consume("work", "", false, true, false, false, nil); err != nil {
		t.Fatal(err)
	}
	a.again(t, s)
	a.ready(503, `"messages":4`)
	a.ready(503, "pool p ")
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	a.ready(200, `"state":"idle"`)
	a.settled("p", 5)
	a.stop()
}

// TestReadyzSeesOperatorsAndParkedPools: a pool that was told to stand still is as
// it should be, one that was given up is not.
func TestReadyzSeesOperatorsAndParkedPools(t *testing.T) {
	t.Parallel()
	s, address := setup{pools: `p:
  queue: work
  tasks: {hello: {builtin: echo}}
broken:
  queue: broken
  mode: process
  process: {command: ["false"]}
  size: {min: 1, max: 1}
  intensity: 1
  on_exhausted: park
`}.probe(t)
	a := probed{launch(t, s), address}
	a.ready(503, "pool broken was given up")
	a.ready(503, `"pool":"p","queue":"work","ready":true,"state":"idle"`)
	magneIn(t, a.dir, nil, nil, "pause", "p", "--socket", a.socket).want(t, 0)
	a.ready(503, `"pool":"p","queue":"work","ready":true,"state":"suspended"`)
	if _, page := a.get("/metrics"); !strings.Contains(page, `magne_parked{pool="broken"} 1`) || !strings.Contains(page, `magne_suspended{pool="p"} 1`) ||
		!strings.Contains(page, `magne_restarts_total{child="broken",kind="slot",reason="error"} 1`) {
		t.Errorf("the figures say something else:\n%s", page)
	}
	a.stop()
}

// TestFigures: what has been done is what Prometheus gets, on both sides.
func TestFigures(t *testing.T) {
	t.Parallel()
	s, address := setup{pools: "p:\n  queue: work\n  retry: {max_attempts: 1}\n  tasks: {hello: {builtin: echo}, boom: {builtin: fail}}\n"}.probe(t)
	a := probed{start(t, s), address}
	magneIn(t, a.dir, nil, nil, "publish", "-c", a.config, "-n", "20", "hello").want(t, 0)
	magneIn(t, a.dir, nil, nil, "publish", "-c", a.config, "-n", "3", "boom").want(t, 0)
	a.settled("p", 23)
	code, page := a.get("/metrics")
	for _, want := range []string{
		`magne_deliveries_total{pool="p"} 23`, `magne_settlements_total{pool="p",verdict="acked"} 20`,
		`magne_settlements_total{pool="p",verdict="dead_lettered"} 3`, `magne_task_duration_seconds_count{pool="p"} 23`,
		"magne_up 1", "magne_broker_up 1", `magne_consuming{pool="p"} 1`, "go_goroutines ",
	} {
		if code != 200 || !strings.Contains(page, "\n"+want) {
			t.Errorf("%d: no %q in\n%s", code, want, page)
		}
	}
	if code, _ := a.get("/v1/tree"); code != 404 {
		t.Errorf("the tree is shown to everybody: got %d, want 404", code)
	}
	a.stop()
}

// TestMetricsAddressTaken: it is said before anything runs.
func TestMetricsAddressTaken(t *testing.T) {
	t.Parallel()
	s, address := setup{pools: "p:\n  queue: work\n  tasks: {hello: {builtin: echo}}\n"}.probe(t)
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a := launch(t, s)
	if code := a.wait(); code != 1 || !strings.Contains(a.stderr.String(), "metrics.listen") {
		t.Errorf("got exit %d, want 1 and a word about metrics.listen", code)
	}
}

// notified is a service manager's socket, and what it was told.
type notified struct {
	t      testing.TB
	socket *net.UnixConn
	path   string
	told   []string
}

func listenNotify(t testing.TB) *notified {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e-") //nolint:usetesting // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	n := &notified{t: t, path: filepath.Join(dir, "notify")}
	if n.socket, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: n.path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.socket.Close() })
	return n
}

func (n *notified) env() []string {
	return []string{"NOTIFY_SOCKET=" + n.path, "WATCHDOG_USEC=900000"}
}

// until reads until the line has come.
func (n *notified) until(want string) {
	n.t.Helper()
	b := make([]byte, 4096)
	for !slices.Contains(n.told, want) {
		if err := n.socket.SetReadDeadline(time.Now().Add(patience)); err != nil {
			n.t.Fatal(err)
		}
		size, err := n.socket.Read(b)
		if err != nil {
			n.t.Fatalf("no %s: %v, told %q", want, err, n.told)
		}
		n.told = append(n.told, strings.Split(string(b[:size]), "\n")...)
	}
}

// TestSystemd: what a service manager is told from the start to the end.
func TestSystemd(t *testing.T) {
	t.Parallel()
	n := listenNotify(t)
	a := start(t, setup{
		pools: "p:\n  queue: work\n  workers: 2\n  tasks: {nap: {builtin: sleep}}\n",
		env:   n.env(),
	})
	n.until("READY=1")
	n.until("STATUS=2/2 ready, 0 in flight")
	n.told = nil
	n.until("WATCHDOG=1")
	magneIn(t, a.dir, nil, nil, "publish", "-c", a.config, "nap", "3").want(t, 0)
	n.until("STATUS=2/2 ready, 1 in flight")
	n.told = nil
	a.signal(syscall.SIGTERM)
	n.until("STOPPING=1")
	n.until("EXTEND_TIMEOUT_USEC=15000000")
	if slices.Contains(n.told, "READY=1") {
		t.Errorf("ready again while stopping: %q", n.told)
	}
	if code := a.wait(); code != 0 {
		t.Errorf("exit code: got %d, want 0", code)
	}
}

// TestReloadIsTold: systemd waits for the end of a reload.
func TestReloadIsTold(t *testing.T) {
	t.Parallel()
	n := listenNotify(t)
	a := start(t, setup{pools: "p:\n  queue: work\n  workers: 2\n  tasks: {nap: {builtin: sleep}}\n", env: n.env()})
	n.until("READY=1")
	n.told = nil
	text, err := os.ReadFile(a.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(a.config, []byte(strings.Replace(string(text), "workers: 2", "workers: 3", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	a.signal(syscall.SIGHUP)
	n.until("RELOADING=1")
	n.until("READY=1")
	n.until("STATUS=3/3 ready, 0 in flight")
	if i := slices.IndexFunc(n.told, func(s string) bool { return strings.HasPrefix(s, "MONOTONIC_USEC=") }); i < 0 || n.told[i-1] != "RELOADING=1" {
		t.Errorf("told %q, want the time with RELOADING=1", n.told)
	}
	a.stop()
}
