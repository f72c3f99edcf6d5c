package osproc_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/magne-actors/magne-actors/internal/osproc"
)

func TestExit(t *testing.T) {
	h := newHost(t, osproc.Options{})
	p, l := shell(t, h, "echo out; echo err >&2; printf half; exit 3")
	e := wait(t, p)
	if e.Code != 3 || e.Signal != 0 || e.Cause != osproc.Exited || e.PID != p.PID() || e.Core || e.Stopping != 0 {
		t.Errorf("got %+v", e)
	}
	if e.MaxRSS < 100<<10 || !e.Ended.After(e.Started) {
		t.Errorf("rss %d, from %v to %v", e.MaxRSS, e.Started, e.Ended)
	}
	if want := "stderr: err\nstdout: half\nstdout: out"; l.text() != want {
		t.Errorf("log: got %q, want %q", l.text(), want)
	}
	if len(e.Tail) != 3 {
		t.Errorf("tail: %v", e.Tail)
	}
	if err := p.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal to a dead process: %v", err)
	}
	p.Kill() // no effect
	p.Terminate(osproc.Ladder{})
	if _, err := p.Stat(); err == nil {
		t.Error("stat of a dead process: no error")
	}
}

func TestSignalled(t *testing.T) {
	h := newHost(t, osproc.Options{})
	p, _ := shell(t, h, "kill -SEGV $$")
	if e := wait(t, p); e.Cause != osproc.Signaled || e.Signal != syscall.SIGSEGV || e.Code != -1 {
		t.Errorf("got %v", e)
	}
	p, _ = shell(t, h, "sleep 600")
	if err := p.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if e := wait(t, p); e.Cause == osproc.Killed || e.Signal != syscall.SIGKILL {
		t.Errorf("got %v (%v), want a KILL that is not ours to explain", e, e.Cause)
	}
}

func TestTransport(t *testing.T) {
	h := newHost(t, osproc.Options{})
	for name, c := range map[string]struct {
		script string
		spec   osproc.Spec
		log    string
	}{
		"frames": {"echo log; exec cat <&3 >&4", osproc.Spec{Transport: osproc.Frames}, "stdout: log"},
		"stdio":  {"echo log >&2; exec cat", osproc.Spec{Transport: osproc.Stdio}, "stderr: log"},
		"both":   {"read a; echo $a; exec cat <&3 >&4", osproc.Spec{Transport: osproc.Frames, Stdin: true}, "stdout: body"},
		"none":   {"cat; ls -l /proc/self/fd/0 | sed 's/.*-> //'", osproc.Spec{}, "stdout: /dev/null"},
	} {
		t.Run(name, func(t *testing.T) {
			p, l := shell(t, h, c.script, func(s *osproc.Spec) { s.Transport, s.Stdin = c.spec.Transport, c.spec.Stdin })
			if p.Stdin != nil {
				if _, err := p.Stdin.WriteString("body\n"); err != nil {
					t.Fatal(err)
				}
			}
			if p.In != nil {
				if _, err := p.In.WriteString("hello"); err != nil {
					t.Fatal(err)
				}
				p.In.Close()
				if got, err := io.ReadAll(p.Out); err != nil || string(got) != "hello" {
					t.Errorf("got %q, %v", got, err)
				}
			}
			if e := wait(t, p); e.Code != 0 || l.text() != c.log {
				t.Errorf("%v, log %q, want %q", e, l.text(), c.log)
			}
		})
	}
}

// TestWriteDeadline: a stopped worker takes what fits into the pipe, and then the
// write ends at its deadline.
func TestWriteDeadline(t *testing.T) {
	h := newHost(t, osproc.Options{})
	p, _ := shell(t, h, "kill -STOP $$", func(s *osproc.Spec) { s.Transport = osproc.Frames })
	eventually(t, "stopped", func() bool { s, err := p.Stat(); return err == nil && s.State == 'T' })
	if err := p.In.SetWriteDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.In.Write(make([]byte, 1<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want a deadline", err)
	}
}

// TestDescriptors: a process has what its Spec gives it and nothing that somebody
// has left open here, and we keep none of it.
func TestDescriptors(t *testing.T) {
	h := newHost(t, osproc.Options{})
	leak, err := unix.Dup(1) // not close-on-exec
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(leak) }()
	p := start(t, h, osproc.Spec{Command: []string{"sleep", "600"}, Transport: osproc.Frames})
	eventually(t, "0 to 4, and no shared library any more", func() bool {
		var got []string
		fds, err := os.ReadDir("/proc/" + strconv.Itoa(p.PID()) + "/fd")
		for _, fd := range fds {
			got = append(got, fd.Name())
		}
		return err == nil && slices.Equal(got, []string{"0", "1", "2", "3", "4"})
	})
	p.Kill()
	wait(t, p)

	count := func() int { fds, _ := os.ReadDir("/proc/self/fd"); return len(fds) }
	before := count()
	for range 50 {
		p, _ := shell(t, h, ":", func(s *osproc.Spec) { s.Transport, s.Stdin = osproc.Frames, true })
		wait(t, p)
		for _, f := range []*os.File{p.In, p.Out, p.Stdin} {
			f.Close()
		}
	}
	for range 5 {
		if _, err := h.Start(t.Context(), osproc.Spec{Command: []string{"/none"}, Transport: osproc.Frames}); err == nil {
			t.Fatal("no error")
		}
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors after 50 processes, %d before", after, before)
	}
}

func TestAttributes(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root for user, group and nice")
	}
	h := newHost(t, osproc.Options{})
	const script = `echo up; read x; echo $(id -u) $(id -g) $(ulimit -n) $(ulimit -Hc) $(nice) $(cat /proc/self/oom_score_adj) $PWD $A $UNSET
		echo reopened >/dev/stderr`
	dir, err := filepath.EvalSymlinks(os.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p, l := shell(t, h, script, func(s *osproc.Spec) {
		s.Env = append(s.Env, "A=b c")
		s.Dir, s.User, s.Group, s.Nice, s.OOMScoreAdj, s.Stdin = dir, "nobody", "daemon", 3, 123, true
		s.Rlimits = map[string]uint64{"nofile": 77}
	})
	l.wait(t, "up")
	if _, err := p.Stdin.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
	if e := wait(t, p); e.Code != 0 {
		t.Errorf("%v: %s", e, l.text())
	}
	ours, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := "stderr: reopened\nstdout: 65534 1 77 0 " + strconv.Itoa(min(19, 20-ours+3)) + " 123 " + dir + " b c\nstdout: up"
	if l.text() != want {
		t.Errorf("got %q, want %q", l.text(), want)
	}
}

func TestStartErrors(t *testing.T) {
	h := newHost(t, osproc.Options{})
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("no program"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		spec osproc.Spec
		want error
		text string
	}{
		{osproc.Spec{Command: []string{"no-such-program"}}, exec.ErrNotFound, `start "no-such-program"`},
		{osproc.Spec{Command: []string{"/no/such"}}, fs.ErrNotExist, `start "/no/such"`},
		{osproc.Spec{Command: []string{text}}, fs.ErrPermission, "it is not executable: permission denied"},
		{osproc.Spec{Command: []string{"/tmp"}}, fs.ErrPermission, "it is a directory: permission denied"},
		{osproc.Spec{Command: []string{"true"}, Dir: "/no/such"}, fs.ErrNotExist, "working directory"},
		{osproc.Spec{Command: []string{"true"}, User: "no-such-user"}, nil, `user "no-such-user": user: unknown user`},
		{osproc.Spec{Command: []string{"true"}, Group: "no-such-group"}, nil, `group "no-such-group": group: unknown group`},
		{osproc.Spec{Command: []string{"true"}, Scope: osproc.ScopeCgroup}, nil, "no cgroup"},
		{osproc.Spec{}, nil, "no command"},
	} {
		_, err := h.Start(t.Context(), c.spec)
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%+v: got %v, want %q", c.spec, err, c.text)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // the spawner may be quicker
		if _, err := h.Start(ctx, osproc.Spec{Command: []string{"true"}}); errors.Is(err, context.Canceled) {
			return
		}
	}
	t.Error("a Start whose context is done never fails")
}

func TestLadder(t *testing.T) {
	h := newHost(t, osproc.Options{})
	t.Run("TERM suffices", func(t *testing.T) {
		p, l := shell(t, h, "echo up; exec sleep 600")
		l.wait(t, "up")
		e := p.Stop(t.Context(), osproc.Ladder{Grace: patience})
		if e.Cause != osproc.Stopped || e.Signal != syscall.SIGTERM || e.Stopping <= 0 {
			t.Errorf("got %v (%v), stopping %v", e, e.Cause, e.Stopping)
		}
		t.Logf("idle stop took %v", e.Stopping)
	})
	t.Run("exit on TERM", func(t *testing.T) {
		p, l := shell(t, h, "trap 'exit 7' TERM; echo up; while :; do sleep 0.01; done")
		l.wait(t, "up")
		if e := p.Stop(t.Context(), osproc.Ladder{Grace: patience}); e.Cause != osproc.Stopped || e.Code != 7 {
			t.Errorf("got %v (%v)", e, e.Cause)
		}
	})
	t.Run("KILL after the grace", func(t *testing.T) {
		p, l := shell(t, h, "trap '' TERM; echo up; while :; do sleep 0.01; done")
		l.wait(t, "up")
		const grace = 50 * time.Millisecond
		if e := p.Stop(t.Context(), osproc.Ladder{Grace: grace}); e.Cause != osproc.Killed || e.Stopping < grace {
			t.Errorf("got %v (%v), stopping %v", e, e.Cause, e.Stopping)
		}
	})
	t.Run("at once", func(t *testing.T) {
		p, _ := shell(t, h, "exec sleep 600")
		if e := p.Stop(t.Context(), osproc.Ladder{Grace: -1}); e.Cause != osproc.Killed {
			t.Errorf("got %v (%v)", e, e.Cause)
		}
	})
	t.Run("the end of the context", func(t *testing.T) {
		p, l := shell(t, h, "trap '' TERM; echo up; while :; do sleep 0.01; done")
		l.wait(t, "up")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if e := p.Stop(ctx, osproc.Ladder{Grace: patience}); e.Cause != osproc.Killed {
			t.Errorf("got %v (%v)", e, e.Cause)
		}
	})
	t.Run("a stopped process", func(t *testing.T) {
		p, _ := shell(t, h, "kill -STOP $$; sleep 600")
		eventually(t, "stopped", func() bool { s, err := p.Stat(); return err == nil && s.State == 'T' })
		if e := p.Stop(t.Context(), osproc.Ladder{Grace: patience}); e.Cause != osproc.Stopped {
			t.Errorf("got %v (%v)", e, e.Cause)
		}
	})
}

func TestClose(t *testing.T) {
	h, err := osproc.New(osproc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var procs []*osproc.Proc
	for range 5 {
		p, l := shell(t, h, "echo up; trap '' TERM; setsid sleep 600 & sleep 600")
		l.wait(t, "up")
		procs = append(procs, p)
	}
	h.Close()
	for _, p := range procs {
		if e := p.Exit(); e.Cause != osproc.Killed {
			t.Errorf("got %v (%v)", e, e.Cause)
		}
	}
	if left := alive(mark(t)); len(left) > 0 {
		t.Errorf("alive after Close: %v", left)
	}
	if _, err := h.Start(t.Context(), osproc.Spec{Command: []string{"true"}}); !errors.Is(err, osproc.ErrClosed) {
		t.Errorf("Start after Close: %v", err)
	}
}

// TestLogPanic: a panic in Log.Func does not end us, nor stop the process.
func TestLogPanic(t *testing.T) {
	h := newHost(t, osproc.Options{})
	p := start(t, h, osproc.Spec{
		Command: []string{"sh", "-c", "yes | head -c 1000000; exit 5"}, Env: []string{"PATH=" + os.Getenv("PATH")},
		Log: osproc.Log{Func: func(osproc.Line) { panic("no") }},
	})
	if e := wait(t, p); e.Code != 5 {
		t.Errorf("got %v", e)
	}
}

func TestStat(t *testing.T) {
	h := newHost(t, osproc.Options{})
	p, l := shell(t, h, "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo up; sleep 600 & read x <&3", func(s *osproc.Spec) { s.Transport = osproc.Frames })
	l.wait(t, "up")
	var s osproc.Stat
	eventually(t, "asleep", func() bool {
		var err error
		if s, err = p.Stat(); err != nil {
			t.Fatal(err)
		}
		return s.State == 'S'
	})
	if s.CPU < 10*time.Millisecond || s.RSS < 100<<10 || s.Threads != 1 {
		t.Errorf("got %+v", s)
	}
	eventually(t, "a child", func() bool { tree, err := p.TreeRSS(); return err == nil && tree > s.RSS })
	if name := p.Wchan(); !strings.Contains(name, "pipe") && name != "" {
		t.Errorf("it sleeps in %q", name)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = p.Stat() }); n != 0 && !raceEnabled {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkStat(b *testing.B) {
	h := newHost(b, osproc.Options{})
	p, _ := shell(b, h, "exec sleep 600")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Stat(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStartWait(b *testing.B) {
	h := newHost(b, osproc.Options{})
	for b.Loop() {
		p, err := h.Start(b.Context(), osproc.Spec{Command: []string{"/bin/true"}})
		if err != nil {
			b.Fatal(err)
		}
		<-p.Done()
	}
}
