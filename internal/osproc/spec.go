package osproc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

var (
	// ErrNotSupported is wrapped by the error of New on systems other than Linux.
	ErrNotSupported = errors.New("processes are supervised on Linux only")
	// ErrClosed is wrapped by the error of a Start after Close.
	ErrClosed = errors.New("the host is closed")
)

// Options configure a Host. The zero value is usable.
type Options struct {
	Logger *slog.Logger // default: none
	// Cgroup is a directory of a cgroup v2 hierarchy in which the Host may make
	// one cgroup for each process; see DelegatedCgroup. Default: no cgroups.
	Cgroup string
	// ReapStrays reaps every child that the Host did not start. A program that
	// sets it must not start processes in another way, or it loses their status.
	ReapStrays bool
	// NoGuard starts no guard: when the program is killed, the processes die with
	// it, but not what they have started.
	NoGuard bool
}

// Scope says what is killed with a process.
type Scope uint8

const (
	ScopeAuto    Scope = iota // ScopeCgroup if the Host has a directory for it, else ScopeGroup
	ScopeCgroup               // its cgroup; needs Options.Cgroup
	ScopeGroup                // its process group and its descendants
	ScopeProcess              // itself only; its descendants live on
)

func (s Scope) String() string {
	return [...]string{"auto", "cgroup", "group", "process"}[s]
}

// Transport says which pipes a process gets for talking to us.
type Transport uint8

const (
	NoTransport Transport = iota
	Frames                // In at fd 3, Out at fd 4
	Stdio                 // In at fd 0, Out at fd 1; the log is stderr alone
)

// Spec describes a process. Only Command is required.
type Spec struct {
	Command []string // program, looked up in our PATH, and arguments
	Dir     string   // working directory; default: ours
	Env     []string // all of its environment, KEY=value; see Env. One variable, the mark, is added

	Transport Transport
	Stdin     bool // a pipe at fd 0; else it is /dev/null. Not with Stdio

	User  string // name or number; needs root. Default: ours
	Group string // name or number; default: that of User
	Nice  int    // added to ours, -20..19
	// OOMScoreAdj is -1000..1000; 0 leaves ours.
	OOMScoreAdj int
	// Rlimits are soft and hard limits by name: nofile, core, as, ... Default for
	// core: 0. They apply from a moment after the start of the program on.
	Rlimits map[string]uint64

	Scope  Scope
	Limits CgroupLimits

	Log Log
}

// CgroupLimits are the limits of the cgroup of a process; 0 is none. Those whose
// controller the hierarchy does not have are left out and logged.
type CgroupLimits struct {
	Memory int64   // bytes
	PIDs   int64   // processes and threads
	CPU    float64 // CPUs
}

// Ladder is how a process is stopped. The zero value is TERM, and KILL after 2
// seconds.
type Ladder struct {
	Signal syscall.Signal // default TERM
	Grace  time.Duration  // from Signal to KILL; default 2 s; negative: KILL at once
}

func (l Ladder) withDefaults() Ladder {
	return Ladder{Signal: cmp.Or(l.Signal, syscall.SIGTERM), Grace: cmp.Or(l.Grace, 2*time.Second)}
}

// validate checks what the kernel would refuse without a word about the cause.
func (s *Spec) validate() error {
	switch {
	case len(s.Command) == 0 || s.Command[0] == "":
		return errors.New("no command")
	case s.Stdin && s.Transport == Stdio:
		return errors.New("stdin is taken by the transport stdio")
	case s.Nice < -20 || s.Nice > 19:
		return fmt.Errorf("nice %d, want -20..19", s.Nice)
	case s.OOMScoreAdj < -1000 || s.OOMScoreAdj > 1000:
		return fmt.Errorf("oom_score_adj %d, want -1000..1000", s.OOMScoreAdj)
	}
	for _, arg := range s.Command {
		if strings.ContainsRune(arg, 0) {
			return errors.New("a NUL byte in the command")
		}
	}
	for name := range s.Rlimits {
		if _, ok := rlimitNumber(name); !ok {
			return fmt.Errorf("no resource limit is called %q", name)
		}
	}
	return nil
}

// program returns the path to execute. One with a slash is relative to the
// working directory of the process, as a shell has it.
func (s *Spec) program() (string, error) {
	if strings.Contains(s.Command[0], "/") {
		return s.Command[0], nil
	}
	return exec.LookPath(s.Command[0])
}

// Stop ends the scope of the process by the ladder and waits until it is dead.
// The end of ctx is a KILL at once.
func (p *Proc) Stop(ctx context.Context, l Ladder) Exit {
	p.Terminate(l)
	select {
	case <-p.Done():
	case <-ctx.Done():
		p.Kill()
		<-p.Done()
	}
	return p.Exit()
}
