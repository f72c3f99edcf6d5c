package copies

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/internal/osproc"
)

const (
	// coldTime is how long a copy has that was told to stop at once.
	coldTime = 3 * time.Second
	// rest is between two tries of a copy for which a restart is of little use.
	rest = 30 * time.Second

	maxLine  = 256 << 10 // bytes of a line of its log, which may have a stack in it
	maxExits = 5         // that are remembered
)

// member is one copy over all its processes.
type member struct {
	g      *Group
	number int
	id     string
	client control.Client

	proc    atomic.Pointer[osproc.Proc]   // nil while there is none
	up      atomic.Bool                   // the process has come to consume
	ever    atomic.Bool                   // one of them has
	tree    atomic.Pointer[seen]          // what the process showed last
	exits   atomic.Pointer[[]osproc.Exit] // the last ones, oldest first
	spawned atomic.Int64                  // processes
	bad     atomic.Pointer[error]         // why its last stop was none
	wishes  wishes

	gaveUp int // how often in a row; of run
}

func newMember(g *Group, number int) *member {
	m := &member{g: g, number: number, id: nodeID(number)}
	m.client = control.Client{Socket: socketPath(g.o.Dir, number)}
	m.exits.Store(new([]osproc.Exit))
	return m
}

// run is one process from its start to its end: what is supervised.
func (m *member) run(ctx context.Context) error {
	if isDone(m.g.draining) {
		<-ctx.Done()
		return nil
	}
	p, err := m.start(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", m.id, err)
	}
	life, over := context.WithCancel(context.WithoutCancel(ctx))
	following := m.follow(life)
	asked := m.await(ctx, p)
	over()
	following.Wait()
	exit := p.Exit()
	m.ended(exit)
	if !asked {
		return m.judge(ctx, exit)
	}
	m.stopped(exit)
	<-ctx.Done() // the end of run is a failure before
	return nil
}

func (m *member) start(ctx context.Context) (*osproc.Proc, error) {
	m.up.Store(false)
	m.bad.Store(nil)
	p, err := m.g.o.Host.Start(ctx, osproc.Spec{
		Command: m.g.o.Command,
		Env:     Environ(m.g.o.Environ, m.number, m.client.Socket),
		Log:     osproc.Log{Func: m.line, MaxLine: maxLine},
	})
	if err != nil {
		return nil, err
	}
	m.proc.Store(p)
	m.spawned.Add(1)
	m.g.log.Info("copy started", "copy", m.number, "pid", p.PID())
	return p, nil
}

// await blocks until the process is dead, and reports whether it was told to.
func (m *member) await(ctx context.Context, p *osproc.Proc) (asked bool) {
	select {
	case <-p.Done():
		return false
	case <-ctx.Done():
	case <-m.g.draining:
	case <-m.g.aborted:
	}
	m.stop(p)
	return true
}

// stop goes down the ladder: TERM, the signal of Abort, KILL of all it has started.
// The signals are for the copy alone, whose workers are its own business.
func (m *member) stop(p *osproc.Proc) {
	grace := m.g.o.Grace
	if !isDone(m.g.aborted) {
		_ = p.Signal(syscall.SIGTERM) // it may have ended
		if ends(p, grace, m.g.aborted) {
			return
		}
	}
	if isDone(m.g.aborted) {
		_ = p.Signal(syscall.Signal(m.g.signal.Load()))
		if ends(p, coldTime, nil) {
			return
		}
	}
	p.Kill()
	<-p.Done()
}

// ends waits for the end of the process, for some time or until somebody is in a
// hurry.
func ends(p *osproc.Proc, limit time.Duration, hurry <-chan struct{}) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.Done():
		return true
	case <-timer.C:
	case <-hurry:
	}
	return false
}

// ended remembers the end of a process.
func (m *member) ended(exit osproc.Exit) {
	old := *m.exits.Load()
	list := append(append([]osproc.Exit{}, old[max(0, len(old)-maxExits+1):]...), exit)
	m.exits.Store(&list)
	m.up.Store(false)
	m.tree.Store(nil)
	m.proc.Store(nil)
}

// stopped notes how a process has followed the order to stop.
func (m *member) stopped(exit osproc.Exit) {
	if exit.Code == 0 && exit.Signal == 0 || isDone(m.g.aborted) {
		m.g.log.Info("copy stopped", "copy", m.number, "pid", exit.PID, "exit", exit.String())
		return
	}
	err := fmt.Errorf("%s was told to stop: %s; what it ran returns to its queue", m.id, exit)
	m.g.log.Warn("copy did not stop as it should", "copy", m.number, "pid", exit.PID, "exit", exit.String())
	m.bad.Store(&err)
}

// judge says what is to be done after an end that nobody asked for: an error has the
// copy restarted.
func (m *member) judge(ctx context.Context, exit osproc.Exit) error {
	message, hint := lastWords(exit.Tail)
	if m.g.o.Burst && exit.Code == 0 {
		if m.g.undone.Add(-1) == 0 {
			close(m.g.finished)
		}
		<-ctx.Done()
		return nil
	}
	spec := &m.g.o.Copies
	m.gaveUp = countGaveUp(m.gaveUp, exit, sinceGaveUp*spec.Period)
	err := fmt.Errorf("%s: %s", m.id, exit)
	if message != "" {
		err = fmt.Errorf("%w; the last error that it logged: %s", err, message)
	}
	switch decide(exit.Code, m.ever.Load(), m.gaveUp > max(spec.Intensity, 0)) {
	case giveUp:
		if message == "" {
			message = exit.String()
		}
		m.g.fail(&ExitError{Copy: m.number, Code: exit.Code, Message: message, Hint: hint})
		<-ctx.Done()
		return nil
	case pause:
		m.g.log.Error("copy cannot start again; it is tried from time to time", "copy", m.number, "err", err, "every", rest)
		if pass(ctx, rest); ctx.Err() != nil {
			return nil
		}
	case restart:
	}
	return err
}

// countGaveUp is how often in a row the copy's own supervisor gave up.
func countGaveUp(before int, exit osproc.Exit, long time.Duration) int {
	switch {
	case exit.Code != exitGaveUp || exit.Signal != 0:
		return 0
	case exit.Ended.Sub(exit.Started) > long:
		return 1
	}
	return before + 1
}

// decision is what becomes of a copy that has ended.
type decision uint8

const (
	restart decision = iota // at once, as its supervisor does it
	pause                   // later: the others run on
	giveUp                  // the instance ends
)

// decide is pure. ever says that the copy has once come to consume, tooOften that
// its own supervisor has given up too often.
func decide(code int, ever, tooOften bool) decision {
	switch {
	case code == exitGaveUp && tooOften:
		return giveUp
	case code != exitConfig && code != exitDenied:
		return restart
	case ever:
		return pause
	}
	return giveUp
}

// follow watches the process beside run, until life ends.
func (m *member) follow(life context.Context) *sync.WaitGroup {
	all := new(sync.WaitGroup)
	for _, work := range []func(context.Context){m.awaitUp, m.events} {
		all.Add(1)
		guard(func() { work(life); all.Done() }, func(err error) {
			m.g.log.Error("copy is not followed", "copy", m.number, "err", err)
			all.Done()
		})
	}
	return all
}

// awaitUp looks at the tree of the process until it is up, and as operators want it.
func (m *member) awaitUp(life context.Context) {
	wished := false
	for wait := lookEvery; life.Err() == nil; wait = min(2*wait, time.Second) {
		tree, err := m.look(life)
		if err == nil && !wished {
			wished = m.wished(life) == nil
		}
		if err == nil && wished && Started(tree) {
			m.up.Store(true)
			m.ever.Store(true)
			return
		}
		pass(life, wait)
	}
}

// lookEvery is between two looks at a copy that starts, at first.
const lookEvery = 25 * time.Millisecond

// events hands the events of the process on.
func (m *member) events(life context.Context) {
	const wait = 20 * time.Second
	for after := uint64(0); life.Err() == nil; {
		list, err := m.client.EventsOf(life, control.Query{After: after, Wait: wait})
		for _, e := range list {
			after = e.Seq
			e.ID = control.At(e.ID, m.number)
			if m.g.o.Events != nil {
				m.g.o.Events.Add(e.Event)
			}
		}
		if err != nil {
			pass(life, 4*lookEvery)
		}
	}
}

// pass blocks for d, or until ctx ends.
func pass(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
