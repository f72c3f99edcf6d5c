package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/internal/testenv"
	"github.com/magne-actors/magne-actors/internal/wire"
)

// patience is how long a worker may take for anything.
const patience = 30 * time.Second

// sdk is a worker written with one of the SDKs; see testdata/workers.
type sdk struct {
	name    string
	command []string
	cancel  bool // it can be cancelled
}

func sdks() []sdk {
	return []sdk{
		{name: "python", command: []string{"python3", "worker.py"}, cancel: true},
		{name: "node", command: []string{"node", "worker.js"}, cancel: true},
		{name: "dash", command: []string{"dash", "worker.sh"}},
		{name: "bash", command: []string{"bash", "worker.sh"}},
	}
}

// peer is a running worker, and this process its supervisor.
type peer struct {
	*wire.Reader
	*wire.Writer
	session wire.Session
	in      *os.File // what the worker reads
	cmd     *exec.Cmd
	inodes  []string // of the pipes of the protocol
	stdout  *bytes.Buffer
	exited  chan error // cap 1; sent to when the worker has
}

// start starts a worker.
func start(tb testing.TB, s sdk) *peer {
	tb.Helper()
	program := testenv.Program(tb, s.command[0])
	root, err := filepath.Abs("../../sdk")
	if err != nil {
		tb.Fatal(err)
	}
	theirIn, in := pipe(tb)
	out, theirOut := pipe(tb)
	p := &peer{
		Reader: wire.NewReader(out, wire.Limits{}), Writer: wire.NewWriter(in, wire.Limits{}),
		in: in, stdout: &bytes.Buffer{}, exited: make(chan error, 1),
	}
	p.cmd = exec.Command(program, filepath.Join("testdata/workers", s.command[1]))
	p.cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "MAGNE_SDK=" + root, "PYTHONPATH=" + filepath.Join(root, "python"),
		"PYTHONDONTWRITEBYTECODE=1", wire.EnvProto + "=1", wire.EnvFdIn + "=3", wire.EnvFdOut + "=4",
	}
	p.cmd.ExtraFiles = []*os.File{theirIn, theirOut}
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, tb.Output()
	p.inodes = []string{inode(tb, theirIn), inode(tb, theirOut)}
	if err := p.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	theirIn.Close()
	theirOut.Close()
	go func() { p.exited <- p.cmd.Wait() }()
	tb.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		in.Close()
		out.Close()
	})
	if err := errors.Join(out.SetReadDeadline(time.Now().Add(patience)), in.SetWriteDeadline(time.Now().Add(patience))); err != nil {
		tb.Fatal(err)
	}
	return p
}

func pipe(tb testing.TB) (r, w *os.File) {
	tb.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	return r, w
}

// inode names a pipe as /proc does.
func inode(tb testing.TB, f *os.File) string {
	tb.Helper()
	info, err := f.Stat()
	if err != nil {
		tb.Fatal(err)
	}
	return fmt.Sprintf("pipe:[%d]", info.Sys().(*syscall.Stat_t).Ino)
}

// next returns the next frame, which must be a legal one.
func (p *peer) next(tb testing.TB) wire.Frame {
	tb.Helper()
	f, err := p.Next()
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := p.session.Receive(&f); err != nil {
		tb.Fatal(err)
	}
	return f
}

func (p *peer) write(tb testing.TB, f wire.Frame) {
	tb.Helper()
	if err := p.Write(&f); err != nil {
		tb.Fatal(err)
	}
}

// hello does the handshake and returns the worker's hello.
func (p *peer) hello(tb testing.TB) wire.Frame {
	tb.Helper()
	f := p.next(tb)
	for f.Type == wire.Step {
		f = p.next(tb)
	}
	if err := wire.CheckHello(&f, []string{"nothing", "echo", "raw"}); err != nil {
		tb.Fatal(err)
	}
	p.write(tb, wire.Frame{Type: wire.Welcome, Proto: 1, Slot: "test/1", MaxHeader: 65536, MaxBody: 16 << 20, Concurrency: 1})
	return f
}

// task sends a task with JSON arguments, or a body that is none.
func (p *peer) task(tb testing.TB, name, args string, body []byte) uint64 {
	tb.Helper()
	f := wire.Frame{
		Type: wire.Task, ID: p.session.Issue(), Name: name, Attempt: 1, Deadline: time.Minute,
		Header: map[string]string{"id": "7", "len": "9", "name": "x", "t": "drain"}, Body: body,
	}
	if body == nil {
		f.ContentType, f.Body = "application/json", wire.AppendArgs(nil, []byte(args), nil)
	}
	p.write(tb, f)
	return f.ID
}

// exit waits for the end of a worker that was told to, and wants status 0.
func (p *peer) exit(tb testing.TB) {
	tb.Helper()
	select {
	case err := <-p.exited:
		if err != nil {
			tb.Errorf("worker: %v", err)
		}
	case <-time.After(patience):
		tb.Error("the worker does not exit")
	}
}

func eachSDK(t *testing.T, f func(t *testing.T, s sdk, p *peer)) {
	for _, s := range sdks() {
		t.Run(s.name, func(t *testing.T) { f(t, s, start(t, s)) })
	}
}

func TestSDKHandshake(t *testing.T) {
	eachSDK(t, func(t *testing.T, s sdk, p *peer) {
		if f := p.next(t); f.Type != wire.Step || f.Message != "importing" {
			t.Errorf("got %s, want a step", show(&f))
		}
		hello := p.hello(t)
		if hello.PID != p.cmd.Process.Pid || hello.SDK == "" || hello.Concurrency != 1 {
			t.Errorf("hello: %s", show(&hello))
		}
		if got := slices.Contains(hello.Caps, wire.CapCancel); got != s.cancel {
			t.Errorf("caps %v, want cancel: %v", hello.Caps, s.cancel)
		}
		p.in.Close() // the supervisor is gone
		p.exit(t)
	})
}

func TestSDKResults(t *testing.T) {
	blob := make([]byte, 300_000)
	for i := range blob {
		blob[i] = byte(i * 7 / 3)
	}
	eachSDK(t, func(t *testing.T, _ sdk, p *peer) {
		p.hello(t)
		for _, want := range []wire.Frame{
			{Type: wire.OK, Body: []byte(`["a",1]`)},
			{Type: wire.OK, Body: blob},
			{Type: wire.OK},
		} {
			switch {
			case want.Body == nil:
				want.ID = p.task(t, "nothing", "", nil)
			case len(want.Body) < 100:
				want.ID = p.task(t, "echo", string(want.Body), nil)
			default:
				want.ID = p.task(t, "raw", "", want.Body)
			}
			if got := p.next(t); equal(want, got) != "" {
				t.Errorf("task %d: got %s %d with %d bytes", want.ID, got.Type, got.ID, len(got.Body))
			}
		}
	})
}

func TestSDKOutcomes(t *testing.T) {
	eachSDK(t, func(t *testing.T, _ sdk, p *peer) {
		p.hello(t)
		for _, want := range []struct {
			task string
			typ  wire.Type
			perm bool
			msg  string // empty: whatever the language says
		}{
			{task: "fail", typ: wire.Error},
			{task: "discard", typ: wire.Error, perm: true},
			{task: "retry", typ: wire.Retry, msg: "rate limited"},
			{task: "nobody", typ: wire.Error, perm: true},
			{task: "nothing", typ: wire.OK},
		} {
			id := p.task(t, want.task, "", nil)
			f := p.next(t)
			if f.Type != want.typ || f.ID != id || f.Permanent != want.perm || want.msg != "" && f.Message != want.msg {
				t.Errorf("%s: got %s", want.task, show(&f))
			}
			if f.Type == wire.Retry && f.After != 5*time.Second || f.Type == wire.Error && (f.Kind == "" || f.Message == "") {
				t.Errorf("%s: got %s", want.task, show(&f))
			}
		}
	})
}

// TestSDKStdout: what a task prints is a line of the log and nothing else, and
// progress and logs have the id of the task.
func TestSDKStdout(t *testing.T) {
	eachSDK(t, func(t *testing.T, _ sdk, p *peer) {
		p.hello(t)
		id := p.task(t, "talk", "", nil)
		progress, log, ok := p.next(t), p.next(t), p.next(t)
		if want := (wire.Frame{Type: wire.Progress, ID: id, Percent: 40, Message: "page 4/10"}); equal(want, progress) != "" {
			t.Errorf("got %s", show(&progress))
		}
		if log.Type != wire.Log || log.ID != id || log.Level != "warning" || log.Message != `say "hi"` {
			t.Errorf("got %s", show(&log))
		}
		if ok.Type != wire.OK || ok.ID != id {
			t.Errorf("got %s", show(&ok))
		}
		p.write(t, wire.Frame{Type: wire.Drain, Deadline: time.Second})
		p.exit(t)
		if want := `{"t":"ok","id":1}` + "\n"; p.stdout.String() != want {
			t.Errorf("stdout: got %q, want %q", p.stdout, want)
		}
	})
}

// TestSDKDescriptors: what a task starts does not hold the pipes of the protocol.
func TestSDKDescriptors(t *testing.T) {
	eachSDK(t, func(t *testing.T, _ sdk, p *peer) {
		p.hello(t)
		p.task(t, "fds", "", nil)
		f := p.next(t)
		if !bytes.Contains(f.Body, []byte(" 1 -> ")) {
			t.Fatalf("no list of descriptors: %q", f.Body)
		}
		for _, pipe := range p.inodes {
			if bytes.Contains(f.Body, []byte(pipe)) {
				t.Errorf("a process of a task has %s:\n%s", pipe, f.Body)
			}
		}
	})
}

// TestSDKControl: ping while idle, types of a later version, a drain.
func TestSDKControl(t *testing.T) {
	eachSDK(t, func(t *testing.T, _ sdk, p *peer) {
		p.hello(t)
		if _, err := io.WriteString(p.in, `{"t":"shiny","id":"x","len":11}`+"\n{\"t\":\"drain"); err != nil {
			t.Fatal(err)
		}
		p.write(t, wire.Frame{Type: wire.Cancel, ID: 99, Reason: "revoked"})
		p.write(t, wire.Frame{Type: wire.Ping, N: 5})
		if f := p.next(t); f.Type != wire.Pong || f.N != 5 {
			t.Errorf("got %s, want a pong", show(&f))
		}
		id := p.task(t, "nothing", "", nil)
		last := wire.AppendHeader(nil, &wire.Frame{Type: wire.Drain, Deadline: time.Second})
		last = wire.AppendHeader(last, &wire.Frame{Type: wire.Task, ID: p.session.Issue(), Name: "nothing"}) // too late
		if _, err := p.in.Write(last); err != nil {
			t.Fatal(err)
		}
		if f := p.next(t); f.Type != wire.OK || f.ID != id {
			t.Errorf("got %s, want ok", show(&f))
		}
		p.exit(t)
		if f, err := p.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("after the drain: %s %v", show(&f), err)
		}
	})
}

func TestSDKCancel(t *testing.T) {
	eachSDK(t, func(t *testing.T, s sdk, p *peer) {
		if !s.cancel {
			t.Skip("this SDK has no cancel")
		}
		hello := p.hello(t)
		id := p.task(t, "hang", "", nil)
		if f := p.next(t); f.Type != wire.Progress {
			t.Fatalf("got %s", show(&f))
		}
		p.write(t, wire.Frame{Type: wire.Cancel, ID: id, Reason: "timeout"})
		if slices.Contains(hello.Caps, wire.CapCancelSignal) {
			if err := p.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
				t.Fatal(err)
			}
		}
		if f := p.next(t); f.Type != wire.Error || f.ID != id || f.Kind != "Cancelled" || f.Message != "timeout" {
			t.Errorf("got %s", show(&f))
		}
		id = p.task(t, "nothing", "", nil)
		if f := p.next(t); f.Type != wire.OK || f.ID != id {
			t.Errorf("the task after it: %s", show(&f))
		}
	})
}

// TestSDKByHand: a worker that somebody runs in a shell says what it is.
func TestSDKByHand(t *testing.T) {
	for _, s := range sdks() {
		t.Run(s.name, func(t *testing.T) {
			p := start(t, s) // for the interpreter and its environment
			cmd := exec.Command(p.cmd.Path, p.cmd.Args[1:]...)
			for _, kv := range p.cmd.Env {
				if !strings.HasPrefix(kv, wire.EnvProto) {
					cmd.Env = append(cmd.Env, kv)
				}
			}
			out, err := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != 1 || !bytes.Contains(out, []byte("magne-actors run")) {
				t.Errorf("got %v and %q, want status 1 and a hint", err, out)
			}
		})
	}
}

// TestSDKOwnTests runs the tests that the SDKs have in their own language.
func TestSDKOwnTests(t *testing.T) {
	for dir, command := range map[string][]string{
		"python": {"python3", "-B", "-m", "unittest"},
		"node":   {"node", "--test"},
	} {
		t.Run(dir, func(t *testing.T) {
			cmd := exec.Command(testenv.Program(t, command[0]), command[1:]...)
			cmd.Dir = filepath.Join("../../sdk", dir)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v:\n%s", err, out)
			}
		})
	}
}
