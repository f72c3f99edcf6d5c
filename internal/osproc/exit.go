package osproc

import (
	"fmt"
	"syscall"
	"time"
)

// Cause says who ended a process.
type Cause uint8

const (
	Exited    Cause = iota // it exited by itself
	Signaled               // a signal that we did not send
	Stopped                // we asked it to stop, and it did before the KILL
	Killed                 // our KILL
	OOMCgroup              // the kernel, because its cgroup was out of memory
	OOMHost                // probably the kernel: a KILL of unknown origin, and the machine was out of memory
)

func (c Cause) String() string {
	return [...]string{"exited", "signaled", "stopped", "killed", "oom (cgroup)", "oom (host)"}[c]
}

// Exit is how a process ended.
type Exit struct {
	PID    int
	Cause  Cause
	Code   int            // exit status; -1 when a signal ended it
	Signal syscall.Signal // that ended it, or 0
	Core   bool           // it left a core dump

	Started, Ended time.Time
	// Stopping is the time from the first Terminate or Kill until everything in
	// the scope was dead; 0 without one.
	Stopping time.Duration
	Swept    int // other processes of the scope that had to be killed after it

	MaxRSS       int64         // bytes, of the process itself
	User, System time.Duration // CPU time of it and of its children that it waited for

	Tail    []Line // the last lines of the log
	Dropped int    // lines that exceeded the rate after the last one that Log.Func got
}

// String says the exit in one line, such as "exit status 1 after 41ms".
func (e Exit) String() string {
	what := fmt.Sprintf("exit status %d", e.Code)
	switch {
	case e.Cause == OOMCgroup:
		what = fmt.Sprintf("out of memory (cgroup), rss %d MiB", e.MaxRSS>>20)
	case e.Cause == OOMHost:
		what = fmt.Sprintf("killed, probably out of memory (host), rss %d MiB", e.MaxRSS>>20)
	case e.Cause == Killed:
		what = "killed by us"
	case e.Cause == Stopped && e.Signal != 0:
		what = "stopped by " + signalName(e.Signal)
	case e.Signal != 0:
		what = "killed by " + signalName(e.Signal)
	}
	if e.Core {
		what += " (core dumped)"
	}
	return fmt.Sprintf("%s after %v", what, round(e.Ended.Sub(e.Started)))
}

// round keeps three digits or so.
func round(d time.Duration) time.Duration {
	for unit := time.Microsecond; ; unit *= 10 {
		if d < 1000*unit || unit > time.Hour {
			return d.Round(unit)
		}
	}
}

// circumstances are what classify looks at.
type circumstances struct {
	signal      syscall.Signal // that ended the process, or 0
	terminated  bool           // Terminate was called
	killed      bool           // our KILL was sent
	cgroupOOM   bool           // the kernel killed in its cgroup
	hostOOMs    uint64         // such kills on the machine during its life
	signalSent  syscall.Signal // by Terminate or Signal, or 0
	exitedByOwn bool           // an exit status and no signal
}

// classify says who ended a process.
func classify(c circumstances) Cause {
	switch {
	case c.signal == syscall.SIGKILL && c.cgroupOOM:
		return OOMCgroup
	case c.signal == syscall.SIGKILL && c.killed:
		return Killed
	case c.signal == syscall.SIGKILL && c.hostOOMs > 0:
		return OOMHost
	case c.terminated && (c.exitedByOwn || c.signal == c.signalSent):
		return Stopped
	case c.exitedByOwn:
		return Exited
	default:
		return Signaled
	}
}
