package process

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/magne-actors/magne-actors/internal/osproc"
	"github.com/magne-actors/magne-actors/internal/wire"
)

// child is one process of a slot: what its actor and the goroutines around the
// process share. The actor calls the methods in here, none of which blocks; the
// goroutines are in child_run.go.
type child struct {
	in         *incarnation
	key        int
	generation int64
	opts       *Options
	began      time.Time // when it was asked for
	redact     *redactor
	lines      *lineLog
	log        *slog.Logger

	ctx    context.Context // its end is a KILL, also before there is a process
	cancel context.CancelFunc
	out    chan outgoing // to the writer; never closed
	credit chan struct{} // a place for each frame that is in the actor's mailbox
	dead   chan struct{} // closed when the process is: the writer has nothing left to do

	proc     atomic.Pointer[osproc.Proc]
	head     atomic.Pointer[call] // the oldest task that runs; nil: none
	tasks    []atomic.Pointer[call]
	step     atomic.Pointer[string]
	progress atomic.Pointer[wire.Frame]
	wchan    atomic.Pointer[string]
	phase    atomic.Int32 // childBooting, ...
	rss      atomic.Int64
	cpu      atomic.Int64 // in tenths of a percent
	unlogged atomic.Int64 // log frames over the rate

	// The actor's own.
	sampled time.Time // when the last sample was taken
	used    time.Duration
}

// What a child shows of its life.
const (
	childBooting int32 = iota
	childReady
	childDraining
	childStopping
)

// outgoing is a frame for a process, and a signal to follow it.
type outgoing struct {
	frame  *wire.Frame
	signal syscall.Signal
}

// mailboxShare is how many frames of a process may wait in the actor's mailbox.
// Then nothing more is read, and a process that floods us waits in its write.
const mailboxShare = 64

// newChild makes a child without a process.
func newChild(in *incarnation, key int, o *Options) *child {
	s := in.slot
	c := &child{
		in: in, key: key, generation: s.generation.Add(1), opts: o, began: time.Now(), redact: newRedactor(o.Secrets),
		log:    o.Logger.With("pool", o.Pool, "slot", s.id),
		out:    make(chan outgoing, 2*o.Pipeline+16),
		credit: make(chan struct{}, mailboxShare),
		dead:   make(chan struct{}),
		tasks:  make([]atomic.Pointer[call], o.Pipeline),
	}
	c.lines = newLineLog(c.log, c.redact, o.Log.Parse)
	if o.Concurrency == 1 {
		c.lines.task = c.task
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// task is the id of the task that runs, if one does.
func (c *child) task() string {
	if t := c.head.Load(); t != nil {
		return t.id
	}
	return ""
}

// spec is the process with what the protocol needs.
func (c *child) spec() osproc.Spec {
	s := c.opts.Spec
	in, out := wire.FdIn, wire.FdOut
	if s.Transport == osproc.Stdio {
		in, out = 0, 1
	}
	cookie := make([]byte, 16)
	_, _ = rand.Read(cookie) // it never fails
	ours := []string{
		wire.EnvProto + "=" + strconv.Itoa(wire.Proto), wire.EnvFdIn + "=" + strconv.Itoa(in), wire.EnvFdOut + "=" + strconv.Itoa(out),
		wire.EnvPool + "=" + c.opts.Pool, wire.EnvSlot + "=" + c.in.slot.id,
		wire.EnvGen + "=" + strconv.FormatInt(c.generation, 10), wire.EnvCookie + "=" + hex.EncodeToString(cookie),
	}
	env := make([]string, 0, len(s.Env)+len(ours))
	for _, v := range s.Env {
		if !reserved(v) {
			env = append(env, v)
		}
	}
	s.Env = append(env, ours...)
	s.Log = c.opts.Log.limits(c.lines.add)
	return s
}

// reserved says that a variable is one that the protocol sets: programs differ in
// which of two with the same name they see.
func reserved(v string) bool {
	name, _, _ := strings.Cut(v, "=")
	switch name {
	case wire.EnvProto, wire.EnvFdIn, wire.EnvFdOut, wire.EnvPool, wire.EnvSlot, wire.EnvGen, wire.EnvCookie:
		return true
	}
	return false
}

// send queues a frame. A process that reads so little that there is no room left
// hangs.
func (c *child) send(o outgoing) {
	select {
	case c.out <- o:
	default:
		c.in.tell(evBroken{key: c.key, hung: true, err: errFull})
	}
}

func (c *child) welcome(concurrency int) {
	c.phase.Store(childReady)
	c.send(outgoing{frame: &wire.Frame{
		Type: wire.Welcome, Proto: wire.Proto, Slot: c.in.slot.id, MaxHeader: 64 << 10, MaxBody: c.opts.MaxBody,
		Concurrency: concurrency, Beat: c.opts.Watchdog / 3,
	}})
}

func (c *child) sendTask(e effTask) {
	e.call.frame.Deadline = e.left
	c.tasks[e.call.place].Store(e.call)
	c.send(outgoing{frame: &e.call.frame})
}

func (c *child) sendCancel(e effCancel) {
	o := outgoing{frame: &wire.Frame{Type: wire.Cancel, ID: e.call.frame.ID, Reason: e.reason}}
	if e.signal {
		o.signal = wire.CancelSignal
	}
	c.send(o)
}

func (c *child) ping(n uint64) { c.send(outgoing{frame: &wire.Frame{Type: wire.Ping, N: n}}) }

func (c *child) drain(left time.Duration) {
	c.phase.Store(childDraining)
	c.send(outgoing{frame: &wire.Frame{Type: wire.Drain, Deadline: left}})
}

// dump notes where the process hangs and has it write its stacks.
func (c *child) dump(sig syscall.Signal) {
	p := c.proc.Load()
	if p == nil {
		return
	}
	guard(func() {
		where := p.Wchan()
		c.wchan.Store(&where)
	}, func(error) {})
	if sig != 0 {
		_ = p.Signal(sig) // it is dead, or it works
	}
}

// term ends the process by TERM and, after a while, KILL.
func (c *child) term() {
	c.phase.Store(childStopping)
	if p := c.proc.Load(); p != nil {
		p.Terminate(osproc.Ladder{Grace: c.opts.Timeout.KillAfter})
		return
	}
	c.cancel()
}

func (c *child) kill() {
	c.phase.Store(childStopping)
	c.cancel()
}

// abandon ends the process without the actor, which is ending itself.
func (c *child) abandon() { c.cancel() }

// sample reads what the process uses: one read, no allocation.
func (c *child) sample(now time.Time) event {
	p := c.proc.Load()
	if p == nil {
		return nil
	}
	stat, err := p.Stat()
	if err != nil {
		return nil // it is dead
	}
	if !c.sampled.IsZero() && now.After(c.sampled) {
		c.cpu.Store(int64((stat.CPU - c.used) * 1000 / now.Sub(c.sampled)))
	}
	c.sampled, c.used = now, stat.CPU
	c.rss.Store(stat.RSS)
	if c.opts.Recycle.MaxRSS <= 0 && c.opts.Recycle.MaxRSSHard <= 0 {
		return nil
	}
	return evSampled{c.key, stat.RSS}
}

// waited is how long the process has waited for a processor; 0 if nobody knows.
func (c *child) waited() time.Duration {
	if p := c.proc.Load(); p != nil {
		return p.Waited()
	}
	return 0
}

// tree looks at the memory of the process and its descendants, which takes a
// while if there are many.
func (c *child) tree() {
	p := c.proc.Load()
	if p == nil {
		return
	}
	guard(func() {
		own, err := p.Stat()
		all, err2 := p.TreeRSS()
		if err != nil || err2 != nil {
			all = 0
		}
		c.in.tell(evTree{c.key, all, own.RSS})
	}, func(error) { c.in.tell(evTree{key: c.key}) })
}
