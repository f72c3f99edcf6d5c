package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

const (
	patience = 60 * time.Second      // how long a test waits for what must come
	interval = 20 * time.Millisecond // between two looks
)

// eventually looks until look returns true, at most a third of the time: most looks are
// commands, and what they look at needs the processor, too. It fails the test with what
// look last said when that takes too long.
func eventually(t testing.TB, what string, look func() (ok bool, seen any)) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		begin := time.Now()
		ok, seen := look()
		if ok {
			return
		}
		select {
		case <-time.After(max(interval, 2*time.Since(begin))):
		case <-deadline.C:
			t.Fatalf("still not after %v: %s\nlast seen: %v", patience, what, seen)
		}
	}
}

// gorace has a program built with -race end at once: it waits a second otherwise, for
// races of its last goroutines. An instance has a tenth of one for them.
const (
	gorace         = "GORACE=atexit_sleep_ms=0"
	goraceInstance = "GORACE=atexit_sleep_ms=100"
)

// environment is that of a user without any variable of ours, plus extra.
func environment(t testing.TB, extra ...string) []string {
	t.Helper()
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "MAGNE_") && !strings.HasPrefix(kv, "XDG_RUNTIME_DIR=") && !strings.HasPrefix(kv, "AMQP_URL=") {
			env = append(env, kv)
		}
	}
	return append(env, extra...)
}

// output collects what a process writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// tail is the end of the output, for a failure.
func (o *output) tail() string {
	s := o.String()
	return s[max(0, len(s)-8000):]
}

// process is a magne-actors that runs, whatever its command.
type process struct {
	t              testing.TB
	cmd            *exec.Cmd
	stdout, stderr *output
	exited         chan struct{} // closed when it has ended; code is set then
	code           int
	panics         bool // its handlers do, on purpose
}

// crashed reports a race, or a panic: of an actor, too, unless handlers panic on
// purpose.
func (p *process) crashed() bool {
	said := p.stderr.String()
	if !p.panics {
		return strings.Contains(said, "DATA RACE") || strings.Contains(said, "panic: ")
	}
	return strings.Contains(said, "DATA RACE") || strings.HasPrefix(said, "panic: ") || strings.Contains(said, "\npanic: ")
}

// spawn starts magne-actors in dir, and kills it when the test ends.
func spawn(t testing.TB, dir string, env []string, stdin io.Reader, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(program(t), args...), stdout: new(output), stderr: new(output), exited: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = dir, append([]string{goraceInstance}, environment(t, env...)...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = stdin, p.stdout, p.stderr
	p.cmd.SysProcAttr = leash()
	p.cmd.WaitDelay = time.Second // for a stdin that nobody closes
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.exited)
		_ = p.cmd.Wait() // the code says it
		p.code = p.cmd.ProcessState.ExitCode()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // most have ended already
		<-p.exited
		if p.crashed() {
			t.Errorf("magne-actors %v: a race or a panic", args)
		}
		if t.Failed() {
			t.Logf("magne-actors %v: exit %d, end of stderr:\n%s", args, p.code, p.stderr.tail())
		}
	})
	return p
}

func (p *process) signal(sig os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatalf("send %v: %v", sig, err)
	}
}

// wait returns the exit code; -1 stands for a signal.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		p.t.Fatalf("magne-actors %v has not ended after %v", p.cmd.Args[1:], patience)
	}
	return p.code
}

// running fails the test when the process has ended.
func (p *process) running() {
	p.t.Helper()
	select {
	case <-p.exited:
		p.t.Fatalf("magne-actors %v has ended with %d", p.cmd.Args[1:], p.code)
	default:
	}
}

// kill ends the process as kill -9 does.
func (p *process) kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	p.wait()
}

// says waits until the process has written text to stderr.
func (p *process) says(text string) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("%q on stderr", text), func() (bool, any) {
		said := p.stderr.String()
		return strings.Contains(said, text), said
	})
}

// result is a command that has ended.
type result struct {
	code           int
	stdout, stderr string
}

// magne runs a command to its end.
func magne(t testing.TB, stdin io.Reader, args ...string) result {
	t.Helper()
	return magneIn(t, t.TempDir(), nil, stdin, args...)
}

func magneIn(t testing.TB, dir string, env []string, stdin io.Reader, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program(t), args...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = dir, append([]string{gorace}, environment(t, env...)...), leash()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("magne-actors %v: %v", args, err)
	}
	if ctx.Err() != nil {
		t.Fatalf("magne-actors %v has not ended after %v\n%s", args, patience, stderr.String())
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// want fails the test unless the command has ended with code.
func (r result) want(t testing.TB, code int) result {
	t.Helper()
	if r.code != code {
		t.Fatalf("exit code: got %d, want %d\nstdout: %s\nstderr: %s", r.code, code, r.stdout, r.stderr)
	}
	return r
}

// setup is the configuration of an instance.
type setup struct {
	url   string   // empty: the embedded broker
	pools string   // YAML of the pools, at the left margin
	top   string   // further YAML of the top level
	env   []string // further variables
	args  []string // further arguments of run

	panics bool // handlers do, on purpose
}

// app is a running instance.
type app struct {
	*process
	dir, config, socket string
	listen              string // of the embedded broker
}

// data is the directory of the embedded broker.
func (a *app) data() string { return filepath.Join(a.dir, "magne-data") }

// freeAddress is one on which nothing listens, for the moment.
func freeAddress(t testing.TB) string {
	t.Helper()
	port, err := testenv.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// write writes the configuration and returns the instance that is to have it.
func (s setup) write(t testing.TB) *app {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e-") //nolint:usetesting // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	a := &app{dir: dir, config: filepath.Join(dir, "magne.yaml"), socket: filepath.Join(dir, "magne.sock")}
	which := fmt.Sprintf("url: %q", s.url)
	if s.url == "" {
		a.listen = freeAddress(t)
		which = fmt.Sprintf("embedded: {listen: %q, dir: %s}", a.listen, a.data())
	}
	text := fmt.Sprintf("version: 1\nbroker: {%s, reconnect: {initial: 50ms, max: 500ms}}\ncontrol: {socket: %s}\n%s\npools:\n%s",
		which, a.socket, s.top, indent(s.pools))
	if err := os.WriteFile(a.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("  " + line)
	}
	return b.String()
}

// launch starts an instance; it need not come up.
func launch(t testing.TB, s setup) *app {
	t.Helper()
	a := s.write(t)
	a.again(t, s)
	return a
}

// start starts an instance and returns when it consumes.
func start(t testing.TB, s setup) *app {
	t.Helper()
	a := launch(t, s)
	a.healthy()
	return a
}

// again starts the instance again, after it has ended.
func (a *app) again(t testing.TB, s setup) {
	t.Helper()
	a.process = spawn(t, a.dir, s.env, nil, append([]string{"run", "-c", a.config}, s.args...)...)
	a.panics = s.panics
}

// tree asks the instance for its tree: nil when it does not answer. It returns
// the exit code of the command, too.
func (a *app) tree() (*supervisor.Node, int) {
	a.t.Helper()
	r := magneIn(a.t, a.dir, nil, nil, "tree", "--socket", a.socket, "-o", "json")
	if r.code == 3 {
		return nil, r.code
	}
	root := new(supervisor.Node)
	if err := json.Unmarshal([]byte(r.stdout), root); err != nil {
		a.t.Fatalf("tree -o json: %v\n%s\n%s", err, r.stdout, r.stderr)
	}
	return root, r.code
}

// until asks for the tree until ok.
func (a *app) until(what string, ok func(root *supervisor.Node, code int) bool) {
	a.t.Helper()
	eventually(a.t, what, func() (bool, any) {
		a.running()
		root, code := a.tree()
		shown, _ := json.Marshal(root)
		return root != nil && ok(root, code), fmt.Sprintf("exit %d: %s", code, shown)
	})
}

func (a *app) healthy() {
	a.t.Helper()
	a.until("the instance is healthy", func(_ *supervisor.Node, code int) bool { return code == 0 })
}

// untilNode asks for the tree until the node is there and ok.
func (a *app) untilNode(id, what string, ok func(n *supervisor.Node) bool) {
	a.t.Helper()
	a.until(id+": "+what, func(root *supervisor.Node, _ int) bool {
		n := find(root, id)
		return n != nil && ok(n)
	})
}

// settled waits until the router of a pool has settled n deliveries and holds
// none.
func (a *app) settled(pool string, n int) {
	a.t.Helper()
	a.untilNode("router:"+pool, fmt.Sprintf("%d settled", n), func(r *supervisor.Node) bool {
		return number(r.Settled) == n && number(r.InFlight) == 0
	})
}

// empty waits until the router of a pool holds no delivery.
func (a *app) empty(pool string) {
	a.t.Helper()
	a.untilNode("router:"+pool, "nothing in flight", func(n *supervisor.Node) bool { return number(n.InFlight) == 0 })
}

// stop stops the instance warm and expects exit code 0.
func (a *app) stop() {
	a.t.Helper()
	a.signal(syscall.SIGTERM)
	if code := a.wait(); code != 0 {
		a.t.Fatalf("exit code after TERM: got %d, want 0", code)
	}
}

// find returns the node with the id, or nil.
func find(root *supervisor.Node, id string) *supervisor.Node {
	if root == nil || root.ID == id {
		return root
	}
	for _, c := range root.Children {
		if n := find(c, id); n != nil {
			return n
		}
	}
	return nil
}

// number is a number of a node; -1 when it has none.
func number(p *int64) int {
	if p == nil {
		return -1
	}
	return int(*p)
}
