package osproc

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Proc is a process and its scope.
type Proc struct {
	// In is what the process reads, Out what it writes, by Spec.Transport; Stdin
	// is its standard input, by Spec.Stdin. Nil where it has none. Deadlines
	// work.
	In, Out, Stdin *os.File

	host        *Host
	mark        string // value of markName in all processes of the scope
	scope       Scope
	pid         int
	pidfd       *os.File
	pidfdNumber int
	stat        *os.File
	cgroup      *cgroup // nil without one
	logs        [2]*os.File
	pumps       sync.WaitGroup
	sink        *sink
	started     time.Time
	hostOOMs    uint64
	done        chan struct{} // closed by finish

	mu         sync.Mutex
	reaped     bool // its number may be somebody else's
	terminated bool
	killed     bool
	signalSent syscall.Signal
	asked      time.Time      // of the first Terminate or Kill
	kill       *time.Timer    // at the end of a ladder
	known      map[ident]bool // descendants, which may be orphans soon
	exit       Exit
}

// PID is the number of the process. It may be somebody else's after Done.
func (p *Proc) PID() int { return p.pid }

// Scope is what dies with the process; never ScopeAuto.
func (p *Proc) Scope() Scope { return p.scope }

// Done is closed when the scope is dead and the Exit known.
func (p *Proc) Done() <-chan struct{} { return p.done }

// Exit says how the process ended. It is the zero Exit before Done is closed.
func (p *Proc) Exit() Exit {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exit
}

// Tail returns the last lines of the log, the oldest first.
func (p *Proc) Tail() []Line { return p.sink.lines() }

// Dropped is how many lines of the log have exceeded the rate so far. It never blocks.
func (p *Proc) Dropped() int64 { return p.sink.total.Load() }

// Signal sends a signal to the process alone. The error wraps os.ErrProcessDone
// when it is dead.
func (p *Proc) Signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return fmt.Errorf("osproc: signal %v: %w", sig, os.ErrProcessDone)
	}
	if err := unix.PidfdSendSignal(p.pidfdNumber, sig, nil, 0); errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("osproc: signal %v: %w", sig, os.ErrProcessDone)
	} else if err != nil {
		return fmt.Errorf("osproc: signal %v: %w", sig, err)
	}
	return nil
}

// Terminate starts down the ladder: the signal to every process of the scope, and
// after the grace a Kill. Another Terminate starts again from its top. It does
// nothing to a dead process.
func (p *Proc) Terminate(l Ladder) {
	l = l.withDefaults()
	if l.Grace < 0 {
		p.Kill()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return
	}
	p.terminated, p.signalSent = true, l.Signal
	p.ask()
	p.remember()
	p.signalScope(l.Signal)
	p.signalScope(syscall.SIGCONT) // a stopped process gets the signal only when it runs
	if p.kill != nil {
		p.kill.Stop()
	}
	p.kill = time.AfterFunc(l.Grace, p.Kill)
}

// Kill kills the scope at once. It does nothing to a dead process.
func (p *Proc) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reaped {
		return
	}
	p.killed = true
	p.ask()
	p.remember()
	p.signalScope(unix.SIGKILL)
	for id := range p.known {
		id.kill(0)
	}
}

// ask notes the first request to stop. p.mu is held, as for the next ones.
func (p *Proc) ask() {
	if p.asked.IsZero() {
		p.asked = time.Now()
	}
}

// remember notes the descendants as long as one can tell that they are.
func (p *Proc) remember() {
	if p.scope != ScopeProcess {
		p.know(descendants(p.pid))
		p.know(p.cgroup.members())
	}
}

func (p *Proc) know(ids []ident) {
	if p.known == nil {
		p.known = map[ident]bool{}
	}
	for _, id := range ids {
		p.known[id] = true
	}
}

// signalScope needs the leader not to be reaped, so that the number of its group
// is its own.
func (p *Proc) signalScope(sig syscall.Signal) {
	switch p.scope {
	case ScopeProcess:
		_ = unix.PidfdSendSignal(p.pidfdNumber, sig, nil, 0) // it is dead, or it works
	case ScopeCgroup:
		p.cgroup.signal(sig)
	case ScopeAuto, ScopeGroup:
		_ = unix.Kill(-p.pid, sig)
	}
}

// run starts the goroutines of a process.
func (p *Proc) run() {
	for stream, f := range p.logs {
		if f != nil {
			p.pumps.Go(func() { p.pump(Stream(stream), f) })
		}
	}
	go p.wait()
}

// pump reads a log to its end, even when the function that gets the lines panics:
// a full pipe would stop the process.
func (p *Proc) pump(stream Stream, f *os.File) {
	defer func() {
		if r := recover(); r != nil {
			p.host.log.Error("Log.Func panicked; the rest of the log is lost", "pid", p.pid, "panic", r, "stack", string(debug.Stack()))
			_, _ = io.Copy(io.Discard, f)
		}
	}()
	p.sink.pump(stream, f)
}

// wait parks on the poller until the process has exited, and buries it.
func (p *Proc) wait() {
	conn, err := p.pidfd.SyscallConn()
	if err == nil {
		err = conn.Read(func(fd uintptr) bool {
			var info unix.Siginfo
			err := unix.Waitid(unix.P_PIDFD, int(fd), &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
			return err != nil && !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) || info.Signo != 0
		})
	}
	if err != nil {
		p.host.log.Error("cannot wait for a process", "pid", p.pid, "err", err)
		p.Kill()
	}
	p.finish()
}

// finish runs once, when the process is a zombie.
func (p *Proc) finish() {
	e := p.reap()
	e.Swept = p.sweep()
	p.cgroup.remove()
	for _, f := range p.logs { // all writers are dead: what is left is in the pipe
		if f != nil {
			_ = f.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		}
	}
	p.pumps.Wait()
	e.Tail, e.Dropped = p.sink.lines(), p.sink.left()
	p.mu.Lock()
	if !p.asked.IsZero() {
		e.Stopping = time.Since(p.asked)
	}
	p.exit = e
	p.mu.Unlock()
	for _, f := range []*os.File{p.logs[0], p.logs[1], p.pidfd, p.stat} {
		if f != nil {
			f.Close()
		}
	}
	close(p.done)
}

// reap kills what is left of the group, while its number is held by the zombie,
// and then reaps that.
func (p *Proc) reap() Exit {
	oom := p.cgroup.oomKills() > 0
	p.mu.Lock()
	if p.kill != nil {
		p.kill.Stop()
	}
	if p.scope != ScopeProcess {
		p.know(p.cgroup.members()) // a zombie of a cgroup does not say whose it was
		p.signalScope(unix.SIGKILL)
	}
	var usage unix.Rusage
	status, err := p.host.reapChild(p.pid, &usage)
	if err != nil {
		p.host.log.Error("cannot reap a process", "pid", p.pid, "err", err)
	}
	p.reaped = true
	e := p.describe(status, &usage, oom)
	p.mu.Unlock()
	p.host.forget(p)
	return e
}

func (p *Proc) describe(status unix.WaitStatus, usage *unix.Rusage, oom bool) Exit {
	e := Exit{
		PID: p.pid, Code: status.ExitStatus(), Core: status.CoreDump(), Started: p.started, Ended: time.Now(),
		MaxRSS: usage.Maxrss << 10, User: time.Duration(usage.Utime.Nano()), System: time.Duration(usage.Stime.Nano()),
	}
	if status.Signaled() {
		e.Signal = status.Signal()
	}
	c := circumstances{
		signal: e.Signal, exitedByOwn: e.Signal == 0,
		terminated: p.terminated, killed: p.killed, signalSent: p.signalSent, cgroupOOM: oom,
	}
	if e.Signal == syscall.SIGKILL && !p.killed {
		c.hostOOMs = hostOOMs() - p.hostOOMs
	}
	e.Cause = classify(c)
	return e
}

// Stat samples the process: a read of a file that is kept open, no allocation.
func (p *Proc) Stat() (Stat, error) {
	var buf [1024]byte
	n, err := p.stat.ReadAt(buf[:], 0)
	if n == 0 { // io.EOF comes with what was read
		return Stat{}, fmt.Errorf("osproc: stat: %w", err)
	}
	s, err := parseStat(buf[:n])
	if err != nil {
		return Stat{}, err
	}
	return s.stat(), nil
}

func (s *procStat) stat() Stat {
	return Stat{State: s.state, CPU: time.Duration(s.utime+s.stime) * tick, RSS: s.rss * pageSize(), Threads: s.threads}
}

// statSelf is the Stat of this program.
func statSelf() (Stat, error) {
	s, err := readStat(os.Getpid())
	return s.stat(), err
}

// TreeRSS is the memory of the process and its descendants in bytes; pages that
// they share count for each.
func (p *Proc) TreeRSS() (int64, error) {
	s, err := p.Stat()
	if err != nil {
		return 0, err
	}
	sum := s.RSS
	for _, id := range descendants(p.pid) {
		if s, err := readStat(id.pid); err == nil {
			sum += s.rss * pageSize()
		}
	}
	return sum, nil
}

// Wchan is the function of the kernel that the process sleeps in, for an autopsy;
// "" if it runs, is dead or the kernel does not say.
func (p *Proc) Wchan() string {
	data, err := os.ReadFile(procFile(p.pid, "wchan"))
	if name := strings.TrimSpace(string(data)); err == nil && name != "0" {
		return name
	}
	return ""
}

// Waited is how long the process was able to run and was kept waiting for a
// processor, or the one of its descendants that waited longest: it may be a script
// that waits for the program. It is of their first threads; 0 if the kernel does not
// say. The kernel counts a wait when it is over: one that is able to run at this
// moment has waited whenever it did not run, although it may have slept, too.
func (p *Proc) Waited() time.Duration {
	longest := p.waited(p.pid)
	for _, id := range descendants(p.pid) {
		longest = max(longest, p.waited(id.pid))
	}
	return longest
}

func (p *Proc) waited(pid int) time.Duration {
	data, err := os.ReadFile(procFile(pid, "schedstat"))
	if err != nil {
		return 0
	}
	ran, waited := parseSchedstat(data)
	if s, err := readStat(pid); err == nil && s.state == 'R' && ran > 0 {
		waited = max(waited, time.Since(p.started)-ran)
	}
	return waited
}

// tick is the unit of time in /proc: USER_HZ, which is 100 for every program.
const tick = 10 * time.Millisecond

func pageSize() int64 { return int64(os.Getpagesize()) }
