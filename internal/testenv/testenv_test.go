package testenv_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/internal/testenv"
)

func TestMain(m *testing.M) {
	if os.Getenv("TESTENV_ORPHAN") == "1" {
		os.Exit(beOrphaner())
	}
	os.Exit(testenv.Main(m).Run())
}

// beOrphaner starts a node, says where it is, and waits to be killed.
func beOrphaner() int {
	n, err := testenv.Start(context.Background(), testenv.Options{})
	if err != nil {
		fmt.Println("error:", err)
		return 1
	}
	fmt.Println(n.URL, n.Dir)
	select {}
}

func address(t *testing.T, amqpURL string) string {
	t.Helper()
	u, err := url.Parse(amqpURL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

func listens(addr string) bool {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

func TestSharedNodeIsShared(t *testing.T) {
	one, two := testenv.RabbitMQ(t), testenv.RabbitMQ(t)
	if one != two {
		t.Errorf("got two brokers, %s and %s", one, two)
	}
	if !listens(address(t, one)) {
		t.Errorf("nothing listens at %s", one)
	}
}

func TestNames(t *testing.T) {
	if a, b := testenv.Name(t), testenv.Name(t); a == b || !strings.HasPrefix(a, "test.TestNames.") {
		t.Errorf("got %q and %q, want two names with the prefix test.TestNames.", a, b)
	}
}

// TestLife takes a node through all that its methods promise.
func TestLife(t *testing.T) {
	ctx := t.Context()
	n := testenv.Private(t, testenv.Options{})
	addr := address(t, n.URL)

	if out, err := n.Ctl(ctx, "eval", "1 + 41."); err != nil || strings.TrimSpace(out) != "42" {
		t.Errorf("Ctl: got %q, %v, want 42", out, err)
	}
	if out, err := n.Eval(ctx, "X = 1, X + 41"); err != nil || out != "42" {
		t.Errorf("Eval: got %q, %v, want 42", out, err)
	}
	for _, bad := range []string{"no:such()", "{error, no}", "1 +"} {
		if out, err := n.Eval(ctx, bad); err == nil {
			t.Errorf("Eval of %q: got %q, want an error", bad, out)
		}
	}
	if err := n.Pause(); err != nil {
		t.Error(err)
	}
	if err := n.Resume(); err != nil {
		t.Error(err)
	}
	if _, err := n.Ctl(ctx, "no_such_command"); err == nil {
		t.Error("Ctl of a command that does not exist: got no error")
	}
	if cpu, err := n.CPU(); err != nil || cpu < 100*time.Millisecond {
		t.Errorf("CPU: got %v, %v; a boot takes more", cpu, err)
	}
	if _, err := n.Ctl(ctx, "add_user", "anna", "secret"); err != nil {
		t.Error(err)
	}
	if err := n.Kill(); err != nil || listens(addr) {
		t.Errorf("Kill: %v; listens: %v", err, listens(addr))
	}
	if _, err := n.CPU(); err == nil {
		t.Error("CPU of a dead node: got no error")
	}
	for range 2 { // first from the dead, then alive
		if err := n.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		if out, err := n.Ctl(ctx, "list_users"); err != nil || !strings.Contains(out, "anna") {
			t.Errorf("users after a restart: got %q, %v, want anna", out, err)
		}
	}
	if err := n.Stop(); err != nil || listens(addr) {
		t.Errorf("Stop: %v; listens: %v", err, listens(addr))
	}
	if _, err := os.Stat(n.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory %s outlived the node: %v", n.Dir, err)
	}
	if out := processesOf(t, n.Dir); out != "" {
		t.Errorf("processes outlived the node:\n%s", out)
	}
}

func TestStartGivesUp(t *testing.T) {
	if _, err := testenv.Start(t.Context(), testenv.Options{Config: "no_such_key = 1"}); err == nil {
		t.Error("started with a broken configuration")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := testenv.Start(ctx, testenv.Options{}); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, testenv.ErrNotInstalled) {
		t.Errorf("got %v, want the end of the context", err)
	}
}

// TestNodeDiesWithItsProcess kills a process that has a node.
func TestNodeDiesWithItsProcess(t *testing.T) {
	testenv.RabbitMQ(t) // skips where there is no RabbitMQ
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "TESTENV_ORPHAN=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	amqpURL, dir, ok := strings.Cut(strings.TrimSpace(line), " ")
	if err != nil || !ok {
		t.Fatalf("the child said %q, %v", line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the child ended well, want killed")
	}
	eventually(t, "the node is gone", func() bool { return !listens(address(t, amqpURL)) })
	eventually(t, "its directory is gone", func() bool { _, err := os.Stat(dir); return errors.Is(err, os.ErrNotExist) })
	eventually(t, "its processes are gone", func() bool { return processesOf(t, dir) == "" })
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Errorf("not within 20 s: %s", what)
			return
		}
	}
}

// processesOf lists the processes whose environment mentions dir.
func processesOf(t *testing.T, dir string) string {
	t.Helper()
	var found strings.Builder
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		env, err := os.ReadFile("/proc/" + e.Name() + "/environ")
		if err == nil && strings.Contains(string(env), dir) {
			cmdline, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
			fmt.Fprintf(&found, "%s %q\n", e.Name(), cmdline)
		}
	}
	return found.String()
}

// ended is a test that notes how it was ended.
type ended struct {
	testing.TB

	failed, skipped string
}

func (e *ended) Helper()                           {}
func (e *ended) Fatalf(format string, args ...any) { e.failed = fmt.Sprintf(format, args...) }
func (e *ended) Skipf(format string, args ...any)  { e.skipped = fmt.Sprintf(format, args...) }

// TestMissing: what is missing fails a test in CI, and nowhere else.
func TestMissing(t *testing.T) {
	for _, ci := range []string{"true", ""} {
		t.Setenv("CI", ci)
		var e ended
		testenv.Program(&e, "no-such-program")
		if (e.failed != "") != (ci == "true") || (e.skipped != "") == (ci == "true") {
			t.Errorf("CI=%q: failed %q, skipped %q", ci, e.failed, e.skipped)
		}
		if said := e.failed + e.skipped; !strings.Contains(said, "no-such-program") || !strings.Contains(said, "scripts/install-deps.sh") {
			t.Errorf("CI=%q: it says %q", ci, said)
		}
		e = ended{}
		if sh := testenv.Program(&e, "sh"); sh == "" || e != (ended{}) {
			t.Errorf("CI=%q: sh: %q, %+v", ci, sh, e)
		}
	}
}
