package e2e_test

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/magne-actors/magne-actors/supervisor"
)

// TestTreeWhileBlocked: the tree is told while every worker is stuck in a task.
func TestTreeWhileBlocked(t *testing.T) {
	r, queue := begin(t)
	e := newEndpoint(t)
	e.hold()
	s := setup{url: r.url, pools: hook(queue, e.url, "mode: thread\nworkers: 4\nwatermarks: {high: 10, low: 5}")}
	a := start(t, s)
	publishNumbers(t, a, "hook", 0, 20)
	e.hasBegun(t, 4)
	a.untilNode("router:p", "4 tasks run, 6 wait, paused", func(n *supervisor.Node) bool {
		return number(n.Running) == 4 && number(n.InFlight) == 10 && number(n.Queued) == 6 && *n.Paused && n.State == "paused"
	})
	root, code := a.tree()
	if code != 0 { // to be paused is a pool's job
		t.Errorf("exit code of tree: got %d, want 0", code)
	}
	for i := range 4 {
		id := fmt.Sprintf("p/%d", i+1)
		if n := find(root, id); n == nil || number(n.Running) != 1 {
			t.Errorf("worker %s: got %+v, want 1 running", id, n)
		}
	}
	text := magneIn(t, a.dir, nil, nil, "tree", "--socket", a.socket).want(t, 0).stdout
	for _, want := range []string{"router:p", "p/4", "10 (10/5)", "paused"} {
		if !strings.Contains(text, want) {
			t.Errorf("tree has no %q:\n%s", want, text)
		}
	}
	e.release()
	a.settled("p", 20)
	a.stop()
}

// TestSocket: only its owner may open it, a second instance leaves it alone, and
// it is gone afterwards.
func TestSocket(t *testing.T) {
	r, queue := begin(t)
	s := setup{url: r.url, pools: fmt.Sprintf("p: {queue: %s, tasks: {hello: {builtin: echo}}}", queue)}
	a := start(t, s)
	info, err := os.Lstat(a.socket)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := info.Mode(), fs.ModeSocket|0o600; got != want {
		t.Errorf("mode of the socket: got %v, want %v", got, want)
	}
	second := magneIn(t, a.dir, nil, nil, "run", "-c", a.config).want(t, 1)
	if !strings.Contains(second.stderr, a.socket) || !strings.Contains(second.stderr, "another instance is listening there") {
		t.Errorf("the second instance says: %s", second.stderr)
	}
	a.healthy()
	a.stop()
	if _, err := os.Lstat(a.socket); err == nil {
		t.Error("the socket is still there")
	}
	magneIn(t, a.dir, nil, nil, "tree", "--socket", a.socket).want(t, 3)
}

// TestGaveUp: a root supervisor that gives up ends the process with 70.
func TestGaveUp(t *testing.T) {
	r, queue := begin(t)
	needProc(t) // a directory that is there and takes no socket
	s := setup{
		url: r.url, env: []string{"MAGNE_CONTROL_SOCKET=/proc/magne.sock"},
		pools: fmt.Sprintf("p: {queue: %s, tasks: {hello: {builtin: echo}}}", queue),
	}
	a := launch(t, s)
	if code := a.wait(); code != 70 {
		t.Errorf("exit code: got %d, want 70", code)
	}
	if !strings.Contains(a.stderr.String(), "/proc/magne.sock") {
		t.Errorf("stderr does not say why: %s", a.stderr.tail())
	}
}
