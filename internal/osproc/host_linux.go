package osproc

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// Host starts processes and is their parent.
type Host struct {
	opts     Options
	log      *slog.Logger
	id       string // random; the first half of every mark
	null     *os.File
	requests chan request
	sigchld  chan os.Signal // nil unless strays are reaped
	stop     chan struct{}  // closed by Close when no process is left
	stopped  chan struct{}  // closed by the spawner when it has ended

	mu     sync.Mutex // held from a fork until the process is in procs
	procs  map[int]*Proc
	count  uint64
	closed bool
	guard  *guard // nil without one

	sweeping sync.Mutex // one sweep at a time: it may hold an OS thread for a moment
	reaping  sync.Mutex // held while a child is reaped, and while they are listed
}

type request struct {
	spec  *Spec
	reply chan<- started // buffered
}

type started struct {
	proc *Proc
	err  error
}

// New returns a Host, which lives until Close. A program needs one.
func New(o Options) (*Host, error) {
	id := make([]byte, 8)
	_, _ = rand.Read(id) // it never fails
	h := &Host{
		opts: o, log: cmp.Or(o.Logger, slog.New(slog.DiscardHandler)), id: hex.EncodeToString(id),
		requests: make(chan request), stop: make(chan struct{}), stopped: make(chan struct{}), procs: map[int]*Proc{},
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("osproc: become a subreaper: %w", err)
	}
	if err := checkCgroup(o.Cgroup); err != nil {
		return nil, err
	}
	var err error
	if h.null, err = os.OpenFile(os.DevNull, os.O_RDWR, 0); err != nil {
		return nil, fmt.Errorf("osproc: %w", err)
	}
	if o.ReapStrays {
		h.sigchld = make(chan os.Signal, 1)
		signal.Notify(h.sigchld, unix.SIGCHLD)
	}
	go h.spawner()
	return h, nil
}

// spawner forks all processes from one OS thread, which it gives back only when
// none of them is left: their PDEATHSIG is about the thread that forked them.
func (h *Host) spawner() {
	defer close(h.stopped)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for {
		select {
		case r := <-h.requests:
			p, err := h.spawn(r.spec)
			r.reply <- started{p, err}
		case <-h.sigchld:
			h.reapStrays()
		case <-h.stop:
			return
		}
	}
}

// Start starts a process. It blocks until its program has been executed or has
// turned out not to be executable, a few milliseconds; ctx bounds the wait for
// other Starts, not the life of the process.
func (h *Host) Start(ctx context.Context, s Spec) (*Proc, error) {
	if err := s.validate(); err != nil {
		return nil, fmt.Errorf("osproc: %w", err)
	}
	reply := make(chan started, 1)
	select {
	case h.requests <- request{&s, reply}:
		r := <-reply
		if r.err != nil {
			return nil, fmt.Errorf("osproc: start %q: %w", s.Command[0], r.err)
		}
		return r.proc, nil
	case <-h.stopped:
		return nil, fmt.Errorf("osproc: start %q: %w", s.Command[0], ErrClosed)
	case <-ctx.Done():
		return nil, fmt.Errorf("osproc: start %q: %w", s.Command[0], context.Cause(ctx))
	}
}

// Close kills every process with its scope and waits until all are dead. Call it
// once.
func (h *Host) Close() {
	h.mu.Lock()
	h.closed = true
	procs := make([]*Proc, 0, len(h.procs))
	for _, p := range h.procs {
		procs = append(procs, p)
	}
	h.mu.Unlock()
	for _, p := range procs {
		p.Kill()
	}
	for _, p := range procs {
		<-p.Done()
	}
	h.sweep(h.strays)
	if h.sigchld != nil {
		signal.Stop(h.sigchld)
	}
	close(h.stop)
	<-h.stopped
	h.guard.quit()
	h.null.Close()
}

// registered says whether the child is one that we started, the guard included.
func (h *Host) registered(pid int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.procs[pid] != nil || h.guard != nil && h.guard.pid == pid
}

// forget removes a process that is reaped. Its number may be used again from now
// on.
func (h *Host) forget(p *Proc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.procs[p.pid] == p {
		delete(h.procs, p.pid)
		h.guard.tell("-", p.pid)
	}
}

// reapStrays reaps dead children that are nobody's.
func (h *Host) reapStrays() {
	for _, pid := range h.ourChildren() {
		if s, err := readStat(pid); err == nil && s.state == 'Z' && !h.registered(pid) {
			_, _ = h.reapChild(pid, nil) // what else could be done
		}
	}
}

// strays are the living processes that came from us and outlived their scope.
func (h *Host) strays() []ident {
	return h.orphans(func(id ident, _ procStat) bool {
		return h.opts.ReapStrays || marked(id.pid, markName+"="+h.id+".")
	})
}
