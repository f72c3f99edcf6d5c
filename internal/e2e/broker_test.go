package e2e_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/magne-actors/magne-actors/supervisor"
)

// standalone is a `magne-actors broker`.
type standalone struct {
	*process
	dir, url string
	args     []string
}

// startBroker starts a broker with a directory and an address of its own, unless
// args say otherwise, and returns when it listens.
func startBroker(t testing.TB, args ...string) *standalone {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e-") //nolint:usetesting // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	listen := freeAddress(t)
	b := &standalone{dir: dir, url: "amqp://guest:guest@" + listen + "/"}
	b.args = append([]string{"broker", "--dir", filepath.Join(dir, "d"), "--listen", listen}, args...)
	b.again(t)
	return b
}

func (b *standalone) again(t testing.TB) {
	t.Helper()
	b.process = spawn(t, b.dir, nil, nil, b.args...)
	b.says("control socket open")
}

func (b *standalone) socket() string { return filepath.Join(b.dir, "d", "broker.sock") }

func (b *standalone) stop() {
	b.t.Helper()
	b.signal(syscall.SIGTERM)
	if code := b.wait(); code != 0 {
		b.t.Fatalf("exit code of the broker after TERM: got %d, want 0", code)
	}
}

// TestBrokerAlone: several instances share a broker that is restarted under them.
func TestBrokerAlone(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	e := newEndpoint(t)
	s := setup{url: b.url, pools: hook("work", e.url, "slots: 10")}
	one, two := start(t, s), start(t, s)
	publishNumbers(t, one, "hook", 0, 100)
	e.hasDone(t, 100)
	var status struct {
		Connections []struct{ Name, User string }
		Ready       int
		Consumers   int
	}
	r := magne(t, nil, "broker", "status", "--dir", filepath.Join(b.dir, "d"), "-o", "json").want(t, 0)
	if err := json.Unmarshal([]byte(r.stdout), &status); err != nil {
		t.Fatal(err)
	}
	if len(status.Connections) < 2 || status.Connections[0].User != "guest" || status.Consumers != 2 || status.Ready != 0 {
		t.Errorf("status: got %+v", status)
	}
	if text := magne(t, nil, "broker", "status", "--socket", b.socket()).want(t, 0).stdout; !strings.Contains(text, "magne.v1.dead.work") {
		t.Errorf("status: got %s", text)
	}

	b.stop()
	one.until("the broker is missed", broken)
	b.again(t)
	one.healthy()
	two.healthy()
	publishNumbers(t, two, "hook", 100, 100)
	e.hasDone(t, 200)

	b.kill()
	two.until("the broker is missed", broken)
	b.again(t)
	one.healthy()
	two.healthy()
	publishNumbers(t, one, "hook", 200, 100)
	e.hasDone(t, 300)
	one.stop()
	two.stop()
	b.stop()
	magne(t, nil, "broker", "status", "--socket", b.socket()).want(t, 3)
}

// TestBrokerTree: its process has a tree of its own.
func TestBrokerTree(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	r := magne(t, nil, "tree", "--socket", b.socket(), "-o", "json").want(t, 0)
	root := new(supervisor.Node)
	if err := json.Unmarshal([]byte(r.stdout), root); err != nil {
		t.Fatal(err)
	}
	if n := find(root, "broker:embedded"); n == nil || n.State != "up" || root.PID == nil || *root.PID != b.cmd.Process.Pid {
		t.Errorf("tree: got %s", r.stdout)
	}
	b.stop()
}

// TestBrokerFsck: damage is found, repaired on demand, and what is readable stays.
func TestBrokerFsck(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	data := filepath.Join(b.dir, "d")
	magne(t, nil, "queue", "declare", "--url", b.url, "q").want(t, 0)
	magne(t, nil, "publish", "--url", b.url, "--queue", "q", "-n", "100", "hello").want(t, 0)
	b.stop()
	segments, err := filepath.Glob(filepath.Join(data, "*.seg"))
	if err != nil || len(segments) != 1 {
		t.Fatalf("segments: %v, %v", segments, err)
	}
	text, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)/2] ^= 0x40 // in the middle, where no crash could have torn it
	if err := os.WriteFile(segments[0], text, 0o600); err != nil {
		t.Fatal(err)
	}

	var report struct {
		OK       bool
		Problems []struct{ File, Reason string }
	}
	r := magne(t, nil, "broker", "fsck", data, "-o", "json").want(t, 1)
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
		t.Fatal(err)
	}
	if report.OK || len(report.Problems) != 1 || report.Problems[0].File != filepath.Base(segments[0]) {
		t.Errorf("fsck: got %+v", report)
	}
	p := spawn(t, b.dir, nil, nil, b.args...)
	if code := p.wait(); code != 1 || !strings.Contains(p.stderr.String(), "fsck") {
		t.Errorf("start on damaged files: got %d\n%s", code, p.stderr.tail())
	}
	magne(t, nil, "broker", "fsck", data, "--repair").want(t, 2) // asks, and there is no terminal
	magne(t, nil, "broker", "fsck", data, "--repair", "--yes").want(t, 0)
	magne(t, nil, "broker", "fsck", data).want(t, 0)
	b.again(t)
	r = magne(t, nil, "queue", "list", "--url", b.url, "q", "-o", "json").want(t, 0)
	var queues []struct{ Ready int }
	if err := json.Unmarshal([]byte(r.stdout), &queues); err != nil || len(queues) != 1 {
		t.Fatalf("%v: %s", err, r.stdout)
	}
	if queues[0].Ready == 0 || queues[0].Ready >= 100 {
		t.Errorf("after the repair: got %d of 100 messages, want some", queues[0].Ready)
	}
	b.stop()
	magne(t, nil, "broker", "fsck", fmt.Sprint(b.dir, "/none")).want(t, 1)
}
