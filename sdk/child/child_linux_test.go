package child_test

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/internal/wire"
)

func TestHandshake(t *testing.T) {
	p := start(t, "plain")
	f := p.hello()
	if f.Proto != 1 || f.Concurrency != 1 || f.PID != p.cmd.Process.Pid || f.SDK == "" {
		t.Errorf("hello: %+v", f)
	}
	if got, want := strings.Join(f.Tasks, ","), strings.Join(handlers().Names(), ","); got != want {
		t.Errorf("tasks %s, want %s", got, want)
	}
	if strings.Join(f.Caps, ",") != "cancel,beat" {
		t.Errorf("caps %v", f.Caps)
	}
	p.in.Close() // the supervisor is gone
	p.exit(0)
}

func TestOutcomes(t *testing.T) {
	p := start(t, "plain")
	p.hello()
	for _, want := range []struct {
		task      string
		typ       wire.Type
		permanent bool
		kind, msg string
	}{
		{"nothing", wire.OK, false, "", ""},
		{"fail", wire.Error, false, "error", "resize: file does not exist"},
		{"type", wire.Error, false, "fs.PathError", "open: open x: file does not exist"},
		{"bad error", wire.Error, false, "child_test.badError", "an error whose text cannot be had"},
		{"discard", wire.Error, true, "error", "no such user"},
		{"retry", wire.Retry, false, "", "rate limited"},
		{"panic", wire.Error, false, "panic", "panic: boom"},
		{"goexit", wire.Error, false, "error", "the handler has ended its goroutine (runtime.Goexit)"},
		{"nobody", wire.Error, true, "UnknownTask", `unknown task "nobody"`},
		{"nothing", wire.OK, false, "", ""},
	} {
		id := p.task(want.task)
		f := p.want(want.typ)
		if f.ID != id || f.Permanent != want.permanent || f.Kind != want.kind || f.Message != want.msg {
			t.Errorf("%s: got %+v", want.task, f)
		}
		if f.Type == wire.Retry && f.After != 5*time.Second {
			t.Errorf("after %v", f.After)
		}
		if stack := string(f.Body); want.task == "panic" && !strings.Contains(stack, "main_linux_test.go") {
			t.Errorf("no stack: %s", stack)
		}
	}
}

// TestMessage: a handler sees what it sees in thread mode.
func TestMessage(t *testing.T) {
	p := start(t, "plain")
	p.hello()
	p.write(wire.Frame{
		Type: wire.Task, ID: p.session.Issue(), Name: "message", Attempt: 2, Deadline: time.Minute, ContentType: "application/json",
		Header: map[string]string{"trace": "7", wire.HeaderID: "m-1", wire.HeaderQueue: "images", wire.HeaderRedelivered: "true"},
		Body:   wire.AppendArgs(nil, []byte(`["a b.png",640]`), []byte(`{"crop":true}`)),
	})
	if f, want := p.want(wire.Error), `m-1 message images ["a b.png",640] {"crop":true} map[trace:7] 2 true true`; f.Message != want {
		t.Errorf("got  %s\nwant %s", f.Message, want)
	}
	p.write(wire.Frame{Type: wire.Task, ID: p.session.Issue(), Name: "message", ContentType: "application/json", Body: []byte(`[]`)})
	if f := p.want(wire.Error); !f.Permanent || !strings.Contains(f.Message, "args and kwargs") {
		t.Errorf("got %+v", f)
	}
	body := make([]byte, 300_000)
	body[len(body)-1] = 0xab
	p.write(wire.Frame{Type: wire.Task, ID: p.session.Issue(), Name: "bytes", ContentType: "image/png", Body: body})
	if f := p.want(wire.Error); f.Message != "300000 ab" {
		t.Errorf("got %s", f.Message)
	}
}

// TestTalk: prints are lines of the log, and progress and records have their task.
func TestTalk(t *testing.T) {
	for _, role := range []string{"plain", "stdio"} {
		t.Run(role, func(t *testing.T) {
			p := start(t, role)
			p.hello()
			id := p.task("talk")
			if f := p.want(wire.Progress); f.ID != id || f.Percent != 40 || f.Message != "page 4/10" {
				t.Errorf("got %+v", f)
			}
			if f := p.want(wire.Log); f.ID != id || f.Level != "warning" || f.Message != `say "hi"` || string(f.Fields) != `{"g":{"n":3,"f":""}}` {
				t.Errorf("got %+v with %s", f, f.Fields)
			}
			if f := p.want(wire.Log); f.Level != "info" || f.Message != "huge" || f.Fields != nil {
				t.Errorf("got %+v", f)
			}
			if f := p.want(wire.Bye); f.Reason != "memory" {
				t.Errorf("got %+v", f)
			}
			p.want(wire.OK)
			p.write(wire.Frame{Type: wire.Drain, Deadline: time.Second})
			p.exit(0)
			said := p.stdout.String() + p.stderr.String()
			if !strings.Contains(said, `{"t":"ok","id":1}`+"\n") || !strings.Contains(said, "of no task") || strings.Contains(said, "enabled") {
				t.Errorf("printed: %q", said)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	p := start(t, "plain")
	p.hello()
	id, behind := p.task("hang"), p.task("hang")
	p.want(wire.Progress)
	p.write(wire.Frame{Type: wire.Cancel, ID: behind, Reason: "revoked"})
	if f := p.want(wire.Error); f.ID != behind || f.Kind != "Cancelled" || f.Message != "revoked" {
		t.Errorf("one that waits: %+v", f)
	}
	p.write(wire.Frame{Type: wire.Cancel, ID: 99})
	p.write(wire.Frame{Type: wire.Cancel, ID: id, Reason: "timeout"})
	if f := p.want(wire.Error); f.ID != id || f.Kind != "Cancelled" || f.Message != "timeout" || f.Permanent {
		t.Errorf("one that runs: %+v", f)
	}
	id = p.task("stubborn")
	p.want(wire.Progress)
	p.write(wire.Frame{Type: wire.Cancel, ID: id, Reason: "timeout"})
	p.want(wire.OK) // it was done after all
	p.write(wire.Frame{Type: wire.Task, ID: p.session.Issue(), Name: "hang", Deadline: 10 * time.Millisecond})
	p.want(wire.Progress)
	if f := p.want(wire.Error); f.Kind != "timeout" {
		t.Errorf("after the deadline: %+v", f)
	}
}

func TestConcurrency(t *testing.T) {
	p := start(t, "concurrent")
	if f := p.hello(); f.Concurrency != 4 {
		t.Errorf("concurrency %d", f.Concurrency)
	}
	ids := map[uint64]bool{}
	for range 6 {
		ids[p.task("hang")] = true
	}
	for range 4 {
		p.want(wire.Progress)
	}
	p.write(wire.Frame{Type: wire.Ping, N: 5}) // while all of them run
	if f := p.want(wire.Pong); f.N != 5 {
		t.Errorf("got %+v", f)
	}
	for id := range uint64(6) {
		p.write(wire.Frame{Type: wire.Cancel, ID: id + 1, Reason: "revoked"})
	}
	for len(ids) > 0 {
		if f := p.next(); f.Type == wire.Error {
			delete(ids, f.ID)
		}
	}
}

func TestBeat(t *testing.T) {
	p := start(t, "plain")
	p.want(wire.Hello)
	p.write(wire.Frame{Type: wire.Welcome, Proto: 1, Concurrency: 1, Beat: time.Millisecond})
	p.task("hang")
	if f := p.next(); f.Type == wire.Progress { // or a beat was quicker
		p.want(wire.Beat)
	} else if f.Type != wire.Beat {
		t.Errorf("got %+v", f)
	}
}

func TestControl(t *testing.T) {
	p := start(t, "plain")
	p.hello()
	if _, err := io.WriteString(p.in, `{"t":"shiny","id":"x","len":11}`+"\n{\"t\":\"drain"); err != nil {
		t.Fatal(err)
	}
	p.write(wire.Frame{Type: wire.Ping, N: 5})
	p.want(wire.Pong)
	// A drain finishes what is there, also what waits, and takes nothing more.
	// All in one write: the worker may be gone before a second one.
	first, second := p.session.Issue(), p.session.Issue()
	var text []byte
	for _, f := range []wire.Frame{
		{Type: wire.Task, ID: first, Name: "nothing"},
		{Type: wire.Task, ID: second, Name: "nothing"},
		{Type: wire.Drain, Deadline: time.Minute},
		{Type: wire.Task, ID: p.session.Issue(), Name: "nothing"},
	} {
		text = wire.AppendHeader(text, &f)
	}
	if _, err := p.in.Write(text); err != nil {
		t.Fatal(err)
	}
	for _, id := range []uint64{first, second} {
		if f := p.want(wire.OK); f.ID != id {
			t.Errorf("got %+v", f)
		}
	}
	p.exit(0)
	if f, err := p.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the drain: %+v %v", f, err)
	}
}

func TestDrainDeadline(t *testing.T) {
	p := start(t, "plain")
	p.hello()
	p.task("hang")
	p.want(wire.Progress)
	p.write(wire.Frame{Type: wire.Drain, Deadline: 10 * time.Millisecond})
	if f := p.want(wire.Error); f.Kind != "Cancelled" || f.Message != "shutdown" {
		t.Errorf("got %+v", f)
	}
	p.exit(0)
}

func TestContext(t *testing.T) {
	p := start(t, "signal")
	p.hello()
	running, waiting := p.task("hang"), p.task("hang")
	p.want(wire.Progress)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	replies, byes := map[uint64]wire.Frame{}, 0
	for len(replies) < 2 || byes < 1 {
		if f := p.next(); f.Type == wire.Bye {
			byes++
		} else {
			replies[f.ID] = f
		}
	}
	if f := replies[running]; f.Type != wire.Error || f.Message != "shutdown" {
		t.Errorf("the running one: %+v", f)
	}
	if f := replies[waiting]; f.Type != wire.Retry {
		t.Errorf("the waiting one: %+v", f)
	}
	late := p.task("nothing") // it was on its way
	if f := p.want(wire.Retry); f.ID != late {
		t.Errorf("got %+v", f)
	}
	p.write(wire.Frame{Type: wire.Drain, Deadline: time.Minute})
	p.exit(0)
}

func TestDescriptors(t *testing.T) {
	p := start(t, "plain")
	p.hello()
	p.task("fds")
	f := p.want(wire.Error)
	if !strings.Contains(f.Message, " 1 -> ") {
		t.Fatalf("no list of descriptors: %s", f.Message)
	}
	for _, pipe := range p.inodes {
		if strings.Contains(f.Message, pipe) {
			t.Errorf("a process of a task has %s:\n%s", pipe, f.Message)
		}
	}
}

func TestBoot(t *testing.T) {
	p := start(t, "boot")
	if f := p.want(wire.Step); f.Message != "importing models" {
		t.Errorf("got %+v", f)
	}
	p.exit(1)
	if got := p.stderr.String(); !strings.Contains(got, "child: boot: no models") {
		t.Errorf("stderr: %s", got)
	}
}

// TestBroken: garbage from the supervisor, or its end while a task runs.
func TestBroken(t *testing.T) {
	p := start(t, "plain")
	p.hello()
	p.task("hang")
	p.want(wire.Progress)
	if _, err := io.WriteString(p.in, "garbage\n"); err != nil {
		t.Fatal(err)
	}
	p.exit(1)
	p = start(t, "plain")
	p.hello()
	p.out.Close()
	p.task("nothing")
	p.exit(1)
	if got := p.stderr.String(); !strings.Contains(got, "broken pipe") {
		t.Errorf("stderr: %s", got)
	}
}

// TestByHand: somebody runs the program in a shell, or with another version.
func TestByHand(t *testing.T) {
	for _, tt := range []struct {
		env  []string
		want string
	}{
		{nil, "magne-actors run"},
		{[]string{wire.EnvProto + "=1"}, "magne-actors run"},
		{[]string{wire.EnvProto + "=2", wire.EnvCookie + "=x"}, "version 2"},
		{[]string{wire.EnvProto + "=1", wire.EnvCookie + "=x"}, "the pipe at fd 3: "},
		{[]string{wire.EnvProto + "=1", wire.EnvCookie + "=x", wire.EnvFdIn + "=stdin"}, `MAGNE_FD_IN="stdin"`},
	} {
		cmd := exec.Command(os.Args[0]) //nolint:gosec // ourselves
		cmd.Env = append(tt.env, roleVariable+"=plain")
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), tt.want) {
			t.Errorf("%v: got %v and %q, want status 1 and %q", tt.env, err, out, tt.want)
		}
	}
}
