package supervisor_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/magne-actors/magne-actors/supervisor"
)

// process is the actor of an OS process, as short as it can be: it is up when
// the process has written a line, ends when the process has, and stops it with
// SIGTERM.
type process struct {
	script string
	pid    *atomic.Int64 // also for Kill, which may come while the actor is blocked
	cmd    *exec.Cmd
}

type (
	said  struct{}
	ended struct{ err error }
)

func (p *process) Starts() {}
func (p *process) Drains() {}

func (p *process) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		if err := p.start(ctx.ActorSystem().Root, ctx.Self()); err != nil {
			supervisor.Quit(ctx, err)
		}
	case said:
		supervisor.Ready(ctx)
	case *supervisor.Drain:
		p.cmd.Process.Signal(syscall.SIGTERM)
	case ended:
		supervisor.Quit(ctx, m.err)
	}
}

func (p *process) start(root *actor.RootContext, self *actor.PID) error {
	p.cmd = exec.Command("/bin/sh", "-c", p.script)
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.pid.Store(int64(p.cmd.Process.Pid))
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			root.Send(self, said{})
		}
		root.Send(self, ended{p.cmd.Wait()})
	}()
	return nil
}

// The same specification serves actors and OS processes.
func TestAnOSProcessAsAChild(t *testing.T) {
	up, down := make(chan int, 10), make(chan supervisor.Exit, 10)
	child := func(id, script string) supervisor.Child {
		pid := new(atomic.Int64)
		return supervisor.Child{
			ID: id, Kind: "slot", Shutdown: 100 * time.Millisecond, StartTimeout: time.Minute,
			Producer: func() actor.Actor { return &process{script: script, pid: pid} },
			Up:       func(*actor.PID, int) { up <- int(pid.Load()) },
			Down:     func(e supervisor.Exit) { down <- e },
			Kill:     func(*actor.PID, int) { syscall.Kill(int(pid.Load()), syscall.SIGKILL) },
		}
	}
	sys := supervisor.NewSystem(nil)
	defer sys.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- sys.Run(ctx, "root", supervisor.Spec{},
			child("stubborn", `trap "" TERM; echo ready; while :; do sleep 0.05; done`))
	}()

	// It dies by itself and is restarted.
	first := <-up
	syscall.Kill(first, syscall.SIGKILL)
	if e := <-down; e.Reason != supervisor.Abnormal || !strings.Contains(e.Err.Error(), "killed") {
		t.Errorf("exit: got %+v", e)
	}
	second := <-up
	if second == first {
		t.Error("it is the same process")
	}

	// One that fails at its start is not added.
	if err := sys.Add(t.Context(), "root", child("broken", "exit 3")); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("add: got %v", err)
	}
	if e := <-down; e.ID != "broken" {
		t.Errorf("exit: got %+v", e)
	}

	// It ignores SIGTERM, is killed after its shutdown time, and is waited for.
	cancel()
	if e := <-down; e.Reason != supervisor.Abnormal || e.Abandoned || !strings.Contains(e.Err.Error(), "killed") {
		t.Errorf("exit: got %+v", e)
	}
	if err := <-done; err != nil {
		t.Errorf("Run: got %v", err)
	}
	if p, err := os.FindProcess(second); err == nil && p.Signal(syscall.Signal(0)) == nil {
		t.Error("the process is still there")
	}
}
