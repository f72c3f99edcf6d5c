package process

import (
	"log/slog"
	"syscall"
	"time"

	"github.com/magne-actors/magne-actors/internal/osproc"
)

// Options describe the worker processes of a pool. Command and Host are
// required; the zero value of every other field is a usable default.
type Options struct {
	Pool string       // its name, for the environment and the logs
	Host *osproc.Host // starts the processes; shared by all pools

	// Spec is the process: command, directory, environment, user, limits, scope.
	// Its Transport is Frames unless it says Stdio. What the protocol needs is
	// added to its Env.
	Spec osproc.Spec
	// Secrets are the values in Spec.Env that must not be shown: they are replaced
	// in log lines, autopsies and inspections.
	Secrets []string

	// Tasks are the names that a worker must know; one that does not is not
	// started again. Empty: whatever it says it knows.
	Tasks []string

	// Concurrency is how many tasks a worker runs at once; 1 by default. Pipeline
	// is how many it may hold, those that wait in its pipe included; by default
	// as many as it runs.
	Concurrency, Pipeline int

	StartTimeout time.Duration // from the spawn to the hello; 10 s by default
	DrainTimeout time.Duration // for a worker that is told to finish; 30 s by default
	PingInterval time.Duration // of an idle worker, two misses and it is hung; 30 s by default
	WriteTimeout time.Duration // for one frame to a worker that does not read; 5 s by default
	Watchdog     time.Duration // a busy worker that can beat must say something so often; 0: no limit
	Timeout      Timeout
	Recycle      Recycle
	MaxBody      int // of a frame in bytes; 16 MiB by default
	// MaxLost is after how many deaths of a worker under it a task is
	// dead-lettered; 3 by default.
	MaxLost int

	Log Log

	Logger *slog.Logger // nil: silent
}

// Timeout is how long one task may run in a worker, counted from when it is sent
// or, in a pipeline, from when it is at its head.
type Timeout struct {
	Soft time.Duration // then the task is cancelled by a frame; 0: never
	Hard time.Duration // then the worker is stopped; 0: never
	// KillAfter is how long after TERM the KILL follows; 2 s by default.
	KillAfter time.Duration
	// DumpSignal, if not 0, is sent before TERM so that the worker writes its
	// stacks to its log: SIGQUIT for Go and Java, SIGABRT for Python's faulthandler.
	DumpSignal syscall.Signal
}

// Recycle says when a worker is replaced: the new one is started first, and the
// old one takes no more tasks once that is ready. It counts as no restart. Zero is
// no limit.
type Recycle struct {
	MaxTasks int
	MaxRSS   int64 // bytes, of the worker and its descendants; looked at between tasks
	// MaxRSSHard kills the worker in the middle of its task.
	MaxRSSHard int64
	Lifetime   time.Duration
	Jitter     float64 // 0..1: moves MaxTasks and Lifetime, so that not all are replaced at once
}

// Log says what becomes of what a worker prints.
type Log struct {
	MaxLine int     // bytes; 16 KiB by default
	Rate    float64 // lines a second; 500 by default, negative: no limit
	Burst   int     // 1000 by default
	Tail    int     // lines kept for an autopsy; 64 by default
	// Parse says how a line is read: ParseAuto takes a JSON object apart into
	// level, message and attributes.
	Parse Parse
}

// Parse is how a log line is read.
type Parse uint8

const (
	ParseAuto Parse = iota // a JSON object is taken apart, another line is text
	ParseText              // a line is text
)

type (
	// Host starts processes; see package osproc, as for the next ones.
	Host = osproc.Host
	// HostOptions configure a Host.
	HostOptions = osproc.Options
	// Spec describes a process.
	Spec = osproc.Spec
	// CgroupLimits are the limits of the cgroup of a process.
	CgroupLimits = osproc.CgroupLimits
)

// NewHost makes what starts processes; a program needs one. Close it when the
// program ends. The error wraps osproc.ErrNotSupported except on Linux.
func NewHost(o HostOptions) (*Host, error) { return osproc.New(o) }
