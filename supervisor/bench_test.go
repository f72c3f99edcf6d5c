package supervisor

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// sink counts down and tells when it is through.
type sink struct {
	left int
	done chan<- struct{}
}

func (s *sink) Receive(ctx actor.Context) {
	if _, ok := ctx.Message().(int); !ok {
		return
	}
	if s.left--; s.left == 0 {
		s.done <- struct{}{}
	}
}

// BenchmarkSend is a message to an actor, sent and handled, with and without
// the instrumented mailbox.
func BenchmarkSend(b *testing.B) {
	msg := any(1)
	b.Run("plain", func(b *testing.B) {
		sys := NewSystem(nil)
		defer sys.Close()
		done := make(chan struct{})
		props := actor.PropsFromProducer(func() actor.Actor { return &sink{b.N, done} }, actor.WithDispatcher(sys.dispatcher))
		pid := sys.actors.Root.Spawn(props)
		b.ReportAllocs()
		b.ResetTimer()
		for range b.N {
			sys.actors.Root.Send(pid, msg)
		}
		<-done
	})
	b.Run("instrumented", func(b *testing.B) {
		done, pids := make(chan struct{}), make(chan *actor.PID, 1)
		sys := benchRun(b, Spec{}, Child{
			ID:       "a",
			Producer: func() actor.Actor { return &sink{b.N, done} },
			Up:       func(pid *actor.PID, _ int) { pids <- pid },
		})
		pid := <-pids
		b.ReportAllocs()
		b.ResetTimer()
		for range b.N {
			sys.Send(pid, msg)
		}
		<-done
	})
}

// counter is the least that an actor can do.
type counter struct{ n int }

func (c *counter) InvokeUserMessage(any)    { c.n++ }
func (c *counter) InvokeSystemMessage(any)  {}
func (c *counter) EscalateFailure(any, any) {}

// BenchmarkHook is what the instrumentation adds to each message, without the
// noise of a queue and its goroutines.
func BenchmarkHook(b *testing.B) {
	msg := any(1)
	run := func(b *testing.B, invoker actor.MessageInvoker) {
		b.ReportAllocs()
		for b.Loop() {
			invoker.InvokeUserMessage(msg)
		}
	}
	b.Run("without", func(b *testing.B) { run(b, &counter{}) })
	b.Run("with", func(b *testing.B) {
		sys := NewSystem(nil)
		defer sys.Close()
		inc := &incarnation{node: &node{}}
		box := &mailbox{Mailbox: actor.Unbounded()(), system: sys.actors, inc: inc, clock: sys.clock}
		run(b, &hook{inner: &counter{}, system: sys.actors, inc: inc, box: box})
	})
}

// BenchmarkRestart is from the message at which an actor panics until its
// successor is up.
func BenchmarkRestart(b *testing.B) {
	pids := make(chan *actor.PID, 1)
	sys := benchRun(b, Spec{Intensity: 1 << 10, Period: time.Nanosecond}, Child{
		ID: "a",
		Producer: func() actor.Actor {
			return actor.ReceiveFunc(func(ctx actor.Context) {
				if _, ok := ctx.Message().(int); ok {
					panic("x")
				}
			})
		},
		Up: func(pid *actor.PID, _ int) { pids <- pid },
	})
	b.ReportAllocs()
	for b.Loop() {
		sys.Send(<-pids, 1)
	}
	<-pids
}

// BenchmarkSnapshot is a tree of 10,000 actors.
func BenchmarkSnapshot(b *testing.B) {
	up := make(chan struct{}, 1)
	var pools []Child
	for p := range 100 {
		pool := Child{ID: fmt.Sprintf("pool:%d", p), Supervisor: &Spec{}}
		for w := range 100 {
			pool.Children = append(pool.Children, Child{ID: fmt.Sprintf("pool:%d/%d", p, w), Producer: func() actor.Actor { return &sink{} }})
		}
		pools = append(pools, pool)
	}
	pools[99].Up = func(*actor.PID, int) { up <- struct{}{} }
	sys := benchRun(b, Spec{}, pools...)
	<-up
	b.ReportAllocs()
	for b.Loop() {
		sys.Snapshot()
	}
}

func benchRun(b *testing.B, spec Spec, children ...Child) *System {
	b.Helper()
	sys := NewSystem(nil)
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- sys.Run(ctx, "root", spec, children...) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
		sys.Close()
	})
	return sys
}
