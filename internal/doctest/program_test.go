package doctest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/internal/testenv"
	"github.com/magne-actors/magne-actors/supervisor"
)

// patience bounds every wait of these tests. None comes near it on an idle
// machine.
const patience = 60 * time.Second

// bin is the directory of this repository's programs; programs builds them.
var bin string

var programs = sync.OnceValue(func() error {
	out, err := exec.Command("go", "build", "-o", bin, "./cmd/magne-actors", "./examples/embed", "./examples/publish").CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
})

// TestMain runs the tests in the root of the repository.
func TestMain(m *testing.M) { os.Exit(runIn(filepath.Join("..", ".."), m)) }

func runIn(root string, m *testing.M) int {
	err := os.Chdir(root)
	if err == nil {
		bin, err = os.MkdirTemp("", "magne-doctest-")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(bin) }()
	return testenv.Main(m).Run()
}

// world is what a program of a test sees: a broker, a directory for sockets, and
// the programs of this repository in PATH.
type world struct {
	tmp, url string
	broker   []string // variables that say which broker a magne.yaml without one means
}

func newWorld(t *testing.T) *world {
	t.Helper()
	url := testenv.SharedNode(t).URL // not a foreign broker: the queues have everyday names
	if err := programs(); err != nil {
		t.Fatal(err)
	}
	return &world{tmp: t.TempDir(), url: url, broker: []string{"MAGNE_BROKER_URL=" + url}}
}

// newEmbeddedWorld has no broker but the one that is embedded in the service.
func newEmbeddedWorld(t *testing.T) *world {
	t.Helper()
	if err := programs(); err != nil {
		t.Fatal(err)
	}
	port, err := testenv.FreePort() // 5672 may be taken, and stays free for others
	if err != nil {
		t.Fatal(err)
	}
	address, tmp := fmt.Sprintf("127.0.0.1:%d", port), t.TempDir()
	return &world{tmp: tmp, url: "amqp://guest:guest@" + address + "/", broker: []string{
		"MAGNE_BROKER_EMBEDDED_LISTEN=" + address, "MAGNE_BROKER_EMBEDDED_DIR=" + filepath.Join(tmp, "magne-data"),
	}}
}

func (w *world) env() []string {
	return append(append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "GOBIN="+bin,
		"AMQP_URL="+w.url, "XDG_RUNTIME_DIR="+w.tmp, "TMPDIR="+w.tmp), w.broker...)
}

// run runs a program to its end, which must be a success, and returns what it
// has printed.
func (w *world) run(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, w.path(name), args...)
	cmd.Env = w.env()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.String()
}

// path is that of a program of ours, or its name.
func (w *world) path(name string) string {
	if p := filepath.Join(bin, name); isFile(p) {
		return p
	}
	return name
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// daemon is a program that runs until it is told to stop.
type daemon struct {
	t      *testing.T
	cmd    *exec.Cmd
	log    lines
	exited chan struct{}
}

// start starts a program, and has it stopped when t ends if stop was not called.
func (w *world) start(t *testing.T, name string, args ...string) *daemon {
	t.Helper()
	d := &daemon{t: t, log: lines{news: make(chan struct{}, 1)}, exited: make(chan struct{})}
	d.cmd = exec.Command(w.path(name), args...)
	d.cmd.Env, d.cmd.Stdout, d.cmd.Stderr = w.env(), &d.log, &d.log
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.exited)
		_ = d.cmd.Wait() // its result is in ProcessState
	}()
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill() // for tests that failed before they stopped it
		<-d.exited
		if t.Failed() {
			t.Logf("%s said:\n%s", name, d.log.String())
		}
	})
	return d
}

// awaitLog blocks until the program has logged the text.
func (d *daemon) awaitLog(text string) {
	d.t.Helper()
	late := time.After(patience)
	for !strings.Contains(d.log.String(), text) {
		select {
		case <-d.log.news:
		case <-d.exited:
			d.t.Fatalf("ended before it said %q: %v", text, d.cmd.ProcessState)
		case <-late:
			d.t.Fatalf("does not say %q", text)
		}
	}
}

// stop sends SIGTERM and wants the exit status 0.
func (d *daemon) stop() {
	d.t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		d.t.Fatal(err)
	}
	select {
	case <-d.exited:
	case <-time.After(patience):
		d.t.Fatal("does not stop at SIGTERM")
	}
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		d.t.Errorf("exit status %d after SIGTERM, want 0", code)
	}
}

// lines collects what a program prints.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
	news chan struct{} // capacity 1; sent to after each write
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.news <- struct{}{}:
	default:
	}
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// tree asks the running instance with this configuration.
func (w *world) tree(t *testing.T, config string) *supervisor.Node {
	t.Helper()
	var root supervisor.Node
	out := w.run(t, "magne-actors", "tree", "-c", config, "-o", "json")
	if err := json.Unmarshal([]byte(out), &root); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return &root
}

// until polls, because it looks at another process.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// find returns the node of that id.
func find(n *supervisor.Node, id string) *supervisor.Node {
	if n.ID == id {
		return n
	}
	for _, c := range n.Children {
		if found := find(c, id); found != nil {
			return found
		}
	}
	return nil
}
