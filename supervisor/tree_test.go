package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/google/go-cmp/cmp"

	"github.com/magne-actors/magne-actors/supervisor"
)

// tree is a running system in a synctest bubble, and the diary of its children:
// "+a" when a has started, "-a" when it has stopped, "a: reason" for each exit.
type tree struct {
	t      *testing.T
	sys    *supervisor.System
	logs   *logs
	cancel context.CancelFunc
	done   chan error

	mu    sync.Mutex
	diary []string
	pids  map[string]*actor.PID
	exits []supervisor.Exit
	held  chan struct{} // closed by release
}

// inBubble runs fn with a system that has not been started, and checks that all
// goroutines end once it is closed: synctest fails otherwise.
func inBubble(t *testing.T, fn func(tr *tree)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		tr := &tree{t: t, logs: &logs{}, pids: map[string]*actor.PID{}, held: make(chan struct{}), done: make(chan error, 1)}
		tr.sys = supervisor.NewSystem(slog.New(tr.logs))
		fn(tr)
		tr.release()
		if tr.cancel != nil {
			tr.cancel()
			synctest.Wait()
		}
		tr.sys.Close()
	})
}

func (tr *tree) release() {
	select {
	case <-tr.held:
	default:
		close(tr.held)
	}
}

// run starts the tree, waits until it has come to rest and returns what the
// diary says.
func (tr *tree) run(spec supervisor.Spec, children ...supervisor.Child) []string {
	ctx, cancel := context.WithCancel(tr.t.Context())
	tr.cancel = cancel
	go func() { tr.done <- tr.sys.Run(ctx, "root", spec, children...) }()
	return tr.rest()
}

// rest waits until nothing moves and returns the diary since the last call.
func (tr *tree) rest() []string {
	synctest.Wait()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	d := tr.diary
	tr.diary = nil
	return d
}

func (tr *tree) note(format string, args ...any) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.diary = append(tr.diary, fmt.Sprintf(format, args...))
}

// tell sends to a child, waits and returns the diary.
func (tr *tree) tell(id string, msg any) []string {
	tr.sys.Send(tr.pid(id), msg)
	return tr.rest()
}

func (tr *tree) pid(id string) *actor.PID {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.pids[id]
}

func (tr *tree) lastExit() supervisor.Exit {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.exits[len(tr.exits)-1]
}

// stop asks the tree to stop and returns the diary and what Run returned, if it
// has.
func (tr *tree) stop() ([]string, error) {
	tr.cancel()
	d := tr.rest()
	select {
	case err := <-tr.done:
		return d, err
	default:
		return d, errors.New("still running")
	}
}

// state is a child's state in a snapshot.
func (tr *tree) state(id string) string { return tr.node(id).State }

func (tr *tree) node(id string) *supervisor.Node {
	var find func(n *supervisor.Node) *supervisor.Node
	find = func(n *supervisor.Node) *supervisor.Node {
		if n.ID == id {
			return n
		}
		for _, c := range n.Children {
			if f := find(c); f != nil {
				return f
			}
		}
		return nil
	}
	n := find(tr.sys.Snapshot())
	if n == nil {
		tr.t.Fatalf("no node %s", id)
	}
	return n
}

// child is a probe with an id; change may alter its specification.
func (tr *tree) child(id string, change ...func(*supervisor.Child)) supervisor.Child {
	c := supervisor.Child{
		ID:       id,
		Producer: func() actor.Actor { return &probe{tr: tr, id: id} },
	}
	tr.watch(&c)
	for _, f := range change {
		f(&c)
	}
	return c
}

func (tr *tree) watch(c *supervisor.Child) {
	id := c.ID
	c.Up = func(pid *actor.PID, _ int) {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		tr.pids[id] = pid
	}
	c.Down = func(e supervisor.Exit) {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		tr.exits = append(tr.exits, e)
		tr.diary = append(tr.diary, id+": "+e.Reason.String())
	}
}

// sup is a supervisor child.
func (tr *tree) sup(id string, spec supervisor.Spec, children ...supervisor.Child) supervisor.Child {
	c := supervisor.Child{ID: id, Supervisor: &spec, Children: children}
	tr.watch(&c)
	return c
}

// Messages that a probe understands.
type (
	crash  struct{ value any }
	goexit struct{}
	quit   struct{ err error }
	block  struct{} // until tree.release
	call   func(ctx actor.Context)
)

type probe struct {
	tr *tree
	id string
}

func (p *probe) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		p.tr.note("+%s", p.id)
	case *actor.Stopped:
		p.tr.note("-%s", p.id)
	case crash:
		panic(m.value)
	case goexit:
		runtime.Goexit()
	case quit:
		supervisor.Quit(ctx, m.err)
	case block:
		<-p.tr.held
	case call:
		m(ctx)
	case string:
		p.tr.note("%s got %s", p.id, m)
	case *actor.Terminated:
		if m.Why == actor.TerminatedReason_NotFound {
			p.tr.note("%s watched the dead", p.id)
		}
	}
}

func restartType(r supervisor.Restart) func(*supervisor.Child) {
	return func(c *supervisor.Child) { c.Restart = r }
}

// want compares the diary, which is written as one line.
func want(t *testing.T, got []string, line string) {
	t.Helper()
	if d := cmp.Diff(line, strings.Join(got, ", ")); d != "" {
		t.Errorf("diary (-want +got):\n%s", d)
	}
}

// logs keeps the records of a logger as "LEVEL message key=value ...".
type logs struct {
	mu      sync.Mutex
	records []slog.Record
}

func (l *logs) Enabled(context.Context, slog.Level) bool { return true }
func (l *logs) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logs) WithGroup(string) slog.Handler            { return l }

func (l *logs) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = append(l.records, r)
	return nil
}

// lines are the records without the attributes named, whose values vary.
func (l *logs) lines(without ...string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, r := range l.records {
		var line strings.Builder
		line.WriteString(r.Level.String() + " " + r.Message)
		r.Attrs(func(a slog.Attr) bool {
			if slices.Contains(without, a.Key) {
				line.WriteString(" " + a.Key)
				return true
			}
			line.WriteString(" " + a.String())
			return true
		})
		out = append(out, line.String())
	}
	return out
}

// failingProducer notes "!id" and panics in Started the first n times.
func failingProducer(tr *tree, id string, n int) func() actor.Actor {
	return func() actor.Actor {
		n--
		if n < 0 {
			return &probe{tr: tr, id: id}
		}
		return actor.ReceiveFunc(func(ctx actor.Context) {
			if _, ok := ctx.Message().(*actor.Started); ok {
				tr.note("!%s", id)
				panic("cannot start")
			}
		})
	}
}
