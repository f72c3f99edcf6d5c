package osproc_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/internal/osproc"
)

// families are ways to get out of a process group.
func families() map[string]string {
	return map[string]string{
		"children":             "sleep 600 & sleep 600 & echo up; wait",
		"setsid":               "setsid sleep 600 & setsid sleep 600 & echo up; wait",
		"double fork":          "(setsid sh -c 'sleep 600 & sleep 600' &); echo up; exec sleep 600",
		"setsid without mark":  "env -i PATH=$PATH setsid sh -c 'echo up; exec sleep 600' & wait",
		"orphan without mark":  "(env -i PATH=$PATH sh -c 'echo up; exec sleep 600' &); exec sleep 600",
		"ignores every signal": "trap '' TERM HUP INT; (trap '' TERM HUP INT; setsid sh -c 'while :; do sleep 1; done') & echo up; wait",
		"leader gone":          "setsid sleep 600 & sleep 600 & echo up; sleep 0.05",
	}
}

// TestTree: after a kill nothing of a process is left, whatever it has started:
// RoadRunner and go-plugin leave the grandchildren.
func TestTree(t *testing.T) {
	for _, scope := range []osproc.Scope{osproc.ScopeGroup, osproc.ScopeCgroup} {
		o := osproc.Options{}
		if scope == osproc.ScopeCgroup {
			o.Cgroup = cgroupDir(t)
			if o.Cgroup == "" {
				continue
			}
		}
		h := newHost(t, o)
		for name, script := range families() {
			t.Run(scope.String()+"/"+name, func(t *testing.T) {
				p, l := shell(t, h, script)
				if p.Scope() != scope {
					t.Errorf("scope %v, want %v", p.Scope(), scope)
				}
				l.wait(t, "up")
				if name != "leader gone" {
					p.Terminate(osproc.Ladder{Grace: 20 * time.Millisecond})
				}
				e := wait(t, p)
				if left := alive(mark(t)); len(left) > 0 {
					t.Errorf("%v; alive: %v", e, left)
				}
				if left := unmarked(t, p.PID()); len(left) > 0 {
					t.Errorf("%v; alive without a mark: %v", e, left)
				}
				t.Logf("%v; swept %d, stopping took %v", e, e.Swept, e.Stopping)
			})
		}
	}
	if z := zombies(); len(z) > 0 {
		t.Errorf("zombies: %v", z)
	}
}

// unmarked finds children of ours in the group of a dead leader, and sleeps that
// are orphans of it: no other test of this binary starts one without a mark.
func unmarked(t *testing.T, pgrp int) []string {
	t.Helper()
	var found []string
	for pid, line := range children() {
		env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if strings.HasPrefix(line, "sleep") && !strings.Contains(string(env), "OSPROC_TEST=") {
			found = append(found, fmt.Sprintf("%d of %d", pid, pgrp))
		}
	}
	return found
}

// TestChains: processes that are killed while each of them starts the next one leave
// no zombie, though one may become ours at the moment that we look.
func TestChains(t *testing.T) {
	h := newHost(t, osproc.Options{NoGuard: true})
	const chain = `sh -c 'sh -c "(sh -c \"true; true\"; true); (true); true"; (true); true'; true`
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 25 {
				p, err := h.Start(t.Context(), osproc.Spec{Command: []string{"sh", "-c", "while true; do " + chain + "; done"}, Env: []string{mark(t), "PATH=" + os.Getenv("PATH")}})
				if err != nil {
					t.Error(err)
					return
				}
				eventually(t, "it is at work", func() bool { return rand.IntN(4) == 0 })
				if err := p.Signal(syscall.SIGKILL); err != nil { // alone: the others follow while they are looked for
					t.Error(err)
				}
				<-p.Done()
			}
		})
	}
	all.Wait()
	if left := children(); len(left) > 0 {
		t.Errorf("children: %v", left)
	}
}

// cgroupDir returns a cgroup v2 directory that this test may use, "" if there is
// none.
func cgroupDir(t *testing.T) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^\S+ \S+ \S+ \S+ (\S+) .* - cgroup2 `).FindSubmatch(mounts)
	if m == nil {
		t.Log("no cgroup v2 here: the scope cgroup is not tested")
		return ""
	}
	dir := filepath.Join(string(m[1]), "magne-test-"+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Logf("no cgroup: the scope cgroup is not tested: %v", err)
		return ""
	}
	t.Cleanup(func() {
		if err := syscall.Rmdir(dir); err != nil {
			t.Errorf("a cgroup is left: %v", err)
		}
	})
	return dir
}

func TestScopeProcess(t *testing.T) {
	h := newHost(t, osproc.Options{})
	p, l := shell(t, h, "sleep 600 & echo child $!; wait", func(s *osproc.Spec) { s.Scope = osproc.ScopeProcess })
	pid, err := strconv.Atoi(l.wait(t, "child "))
	if err != nil {
		t.Fatal(err)
	}
	p.Kill()
	wait(t, p)
	if left := alive(mark(t)); len(left) != 1 {
		t.Errorf("alive: %v, want the child", left)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	if _, err := syscall.Wait4(pid, nil, 0, nil); err != nil { // we are its subreaper
		t.Error(err)
	}
}

// TestKilledSupervisor: kill -9 of the program leaves nothing of its processes
// after a second, neither children nor setsid grandchildren.
func TestKilledSupervisor(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVariable+"=supervisor", mark(t))
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	before := len(alive(mark(t)))
	if before < 15 {
		t.Fatalf("%d processes, want at least 15", before)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	_ = cmd.Wait()
	eventually(t, "all dead", func() bool { return len(alive(mark(t))) == 0 })
	took := time.Since(killed)
	eventually(t, "the guard to end", func() bool {
		for _, pid := range zombies() { // we are the subreaper of all that
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		}
		return len(children()) == 0
	})
	t.Logf("%d processes were gone after %v", before, took)
	if took > time.Second {
		t.Errorf("it took %v, want at most 1 s", took)
	}
}

// TestThreads: 200 processes do not take 200 OS threads, three goroutines each,
// and leave nothing of either.
func TestThreads(t *testing.T) {
	h := newHost(t, osproc.Options{})
	goroutines := runtime.NumGoroutine()
	var procs []*osproc.Proc
	for range 200 {
		procs = append(procs, start(t, h, osproc.Spec{Command: []string{"sleep", "600"}, Transport: osproc.Frames, Env: []string{mark(t)}}))
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^Threads:\s+(\d+)$`).FindSubmatch(status)
	threads, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("200 processes: %d OS threads, %d goroutines", threads, runtime.NumGoroutine()-goroutines)
	if threads >= 20 {
		t.Errorf("%d OS threads, want fewer than 20", threads)
	}
	if n := runtime.NumGoroutine() - goroutines; n > 600 {
		t.Errorf("%d goroutines, want 3 for each", n)
	}
	begin := time.Now()
	for _, p := range procs {
		p.Terminate(osproc.Ladder{Grace: patience})
	}
	for _, p := range procs {
		wait(t, p)
	}
	t.Logf("stopping 200 processes took %v", time.Since(begin))
	eventually(t, "no goroutine left", func() bool { return runtime.NumGoroutine() <= goroutines })
	if z := zombies(); len(z) > 0 {
		t.Errorf("zombies: %v", z)
	}
}

// TestThreadChurn: processes survive the end of OS threads, which is what
// PDEATHSIG is about. Goroutines that end with a locked thread end the thread.
func TestThreadChurn(t *testing.T) {
	h := newHost(t, osproc.Options{})
	var procs []*osproc.Proc
	for range 10 {
		done := make(chan *osproc.Proc)
		go func() {
			runtime.LockOSThread() // and never unlocked
			p, err := h.Start(t.Context(), osproc.Spec{Command: []string{"sleep", "600"}, Env: []string{mark(t)}})
			if err != nil {
				t.Error(err)
			}
			done <- p
		}()
		procs = append(procs, <-done)
	}
	for range 50 {
		done := make(chan struct{})
		go func() {
			defer close(done)
			runtime.LockOSThread()
		}()
		<-done
	}
	for _, p := range procs {
		if p == nil {
			continue
		}
		select {
		case <-p.Done():
			t.Errorf("%v", p.Exit())
		default:
		}
		if e := p.Stop(t.Context(), osproc.Ladder{}); e.Cause != osproc.Stopped {
			t.Errorf("%v (%v)", e, e.Cause)
		}
	}
}

// guards are our children that are guards.
func guards() []int {
	var found []int
	for pid, line := range children() {
		if strings.HasPrefix(line, "magne-guard ") {
			found = append(found, pid)
		}
	}
	return found
}

func TestNoGuard(t *testing.T) {
	h := newHost(t, osproc.Options{NoGuard: true})
	p, _ := shell(t, h, "exec sleep 600")
	if found := guards(); len(found) > 0 {
		t.Errorf("guards: %v", found)
	}
	p.Kill()
	wait(t, p)
}

// TestGuardReplaced: a guard that was killed is replaced at the next start.
func TestGuardReplaced(t *testing.T) {
	h := newHost(t, osproc.Options{})
	p, _ := shell(t, h, "exec sleep 600")
	var first []int
	eventually(t, "a guard", func() bool { first = guards(); return len(first) == 1 }) // its exec may go on
	if err := syscall.Kill(first[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its end", func() bool { return len(guards()) == 0 }) // a zombie has no command line
	q, _ := shell(t, h, "exec sleep 600")
	eventually(t, "another guard", func() bool { second := guards(); return len(second) == 1 && second[0] != first[0] })
	p.Kill()
	q.Kill()
	wait(t, p)
	wait(t, q)
}

// TestStrays: with ReapStrays a daemon of a process that lives on is reaped when
// it dies.
func TestStrays(t *testing.T) {
	h := newHost(t, osproc.Options{ReapStrays: true})
	p, l := shell(t, h, "(setsid sh -c 'echo stray $$; read x <&3' &) ; exec sleep 600", func(s *osproc.Spec) { s.Transport = osproc.Frames })
	pid := l.wait(t, "stray ")
	if _, err := p.In.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the stray to be reaped", func() bool {
		_, err := os.Stat("/proc/" + pid)
		return os.IsNotExist(err)
	})
	p.Kill()
	wait(t, p)
}
