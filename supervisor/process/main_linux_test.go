package process_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.uber.org/goleak"

	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/supervisor/process"
	"github.com/magne-actors/magne-actors/task"
)

// roleVariable makes the test binary a worker of a test instead; see roles.
const roleVariable = "PROCESS_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		if err := play(role); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// patience is how long anything may take on a busy machine.
const patience = 60 * time.Second

// rig is a pool of slots below a supervisor, without the rest of a program.
type rig struct {
	t     testing.TB
	sys   *supervisor.System
	host  *process.Host
	slots []*process.Slot
	able  []atomic.Bool
	note  chan struct{} // something changed: ask again
	stop  func() error  // and wait; may be called twice
}

type rigOptions struct {
	slots   int
	spec    supervisor.Spec
	options process.Options
}

// options are those of a pool whose workers play a role.
func options(role string, args ...string) process.Options {
	return process.Options{
		Pool: "mail",
		Spec: process.Spec{
			Command: append([]string{os.Args[0]}, args...),
			Env:     []string{roleVariable + "=" + role, "PATH=" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0"},
		},
		Timeout: process.Timeout{KillAfter: 200 * time.Millisecond},
	}
}

func newRig(t testing.TB, r rigOptions) *rig {
	t.Helper()
	host, err := process.NewHost(process.HostOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r.slots = max(r.slots, 1)
	r.options.Host = host
	g := &rig{t: t, sys: supervisor.NewSystem(nil), host: host, able: make([]atomic.Bool, r.slots), note: make(chan struct{}, 1)}
	for i := range r.slots {
		s := process.NewSlot("mail/"+strconv.Itoa(i+1), r.options)
		s.Available(func(able bool) {
			g.able[i].Store(able)
			g.changed()
		})
		g.slots = append(g.slots, s)
	}
	r.spec.Strategy = supervisor.Dynamic
	if r.spec.Intensity == 0 {
		r.spec.Intensity, r.spec.Period = 1000, time.Minute
	}
	g.sys.Observe(func(supervisor.Event) { g.changed() })
	g.run(r.spec)
	return g
}

func (g *rig) run(spec supervisor.Spec) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- g.sys.Run(ctx, "root", supervisor.Spec{}, supervisor.Child{
			ID: "pool:mail", Kind: "pool", Supervisor: &spec, Size: len(g.slots),
			Template: func(n int) supervisor.Child {
				s := g.slots[n-1]
				return supervisor.Child{
					ID: "mail/" + strconv.Itoa(n), Kind: "slot", Shutdown: patience,
					Producer: func() actor.Actor { return s.Actor() },
					Kill:     func(*actor.PID, int) { _ = s.Kill() },
					Inspect:  s.Inspect,
				}
			},
		})
	}()
	stopped := false
	g.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		err := <-done
		g.sys.Close()
		g.host.Close()
		return err
	}
	g.t.Cleanup(func() {
		if err := g.stop(); err != nil {
			g.t.Errorf("Run: %v", err)
		}
	})
}

func (g *rig) changed() {
	select {
	case g.note <- struct{}{}:
	default:
	}
}

// await blocks until something is so. It is asked at every event, and now and
// then for what no event tells of.
func (g *rig) await(what string, so func() bool) {
	g.t.Helper()
	late := time.After(patience)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !so() {
		select {
		case <-g.note:
		case <-again.C:
		case <-late:
			g.t.Fatalf("not within %v: %s; last exit: %s", patience, what, g.node(0).LastExit)
		}
	}
}

func (g *rig) ready() {
	g.t.Helper()
	g.await("all slots able", func() bool {
		for i := range g.able {
			if !g.able[i].Load() {
				return false
			}
		}
		return true
	})
}

func (g *rig) node(i int) *supervisor.Node {
	n := g.sys.Inspect("mail/" + strconv.Itoa(i+1))
	if n == nil {
		return &supervisor.Node{}
	}
	return n
}

func (g *rig) pid() int {
	g.t.Helper()
	n := g.node(0)
	if n.PID == nil {
		g.t.Fatal("the slot has no process")
	}
	return *n.PID
}

// do runs a task in the first slot.
func (g *rig) do(name string, args ...string) error {
	return g.slots[0].Run(context.Background(), message(name, args...))
}

// persist runs a task in the first slot when that can take one.
func (g *rig) persist(name string, args ...string) error {
	g.t.Helper()
	for {
		g.ready()
		err := g.do(name, args...)
		if !errors.Is(err, process.ErrNotStarted) {
			return err
		}
	}
}

func message(name string, args ...string) *task.Message {
	m := &task.Message{ID: "id-" + name, Name: name, Attempt: 1}
	if len(args) > 0 {
		m.Args = []byte("[" + strings.Join(args, ",") + "]")
	}
	return m
}
