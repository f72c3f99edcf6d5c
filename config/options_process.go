package config

import (
	"cmp"
	"log/slog"
	"syscall"
	"time"

	"github.com/magne-actors/magne-actors/actors"
	"github.com/magne-actors/magne-actors/internal/osproc"
	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/supervisor/process"
)

// forever stands for infinity where a duration is added to.
const forever = 365 * 24 * time.Hour

// processPool adds what only a pool of the modes process and oneshot has. Its Host
// is the program's.
func (f *File) processPool(p *Pool, o *actors.Pool, log *slog.Logger) error {
	if !p.HasProcesses() {
		return nil
	}
	env, err := p.Process.environment(f.read.env)
	if err != nil {
		return err
	}
	drain := drainTime(p.Shutdown)
	o.Timeout = 0 // the process's own timeout ends it
	o.Process = &process.Options{
		Pool: p.Name, Spec: p.Process.spec(env), Secrets: p.Process.secretValues(),
		Concurrency: p.Concurrency, Pipeline: p.Pipeline,
		StartTimeout: p.StartTimeout, DrainTimeout: drain, Watchdog: p.Watchdog,
		Timeout: process.Timeout{
			Soft: p.Timeout.Soft, Hard: p.Timeout.Hard, KillAfter: p.Timeout.KillAfter, DumpSignal: dumpSignal(p.Timeout.DumpSignal),
		},
		Recycle: process.Recycle{
			MaxTasks: p.Recycle.MaxTasks, MaxRSS: int64(p.Recycle.MaxRSS), MaxRSSHard: int64(p.Recycle.MaxRSSHard),
			Lifetime: p.Recycle.Lifetime, Jitter: p.Recycle.Jitter,
		},
		MaxBody: max(defaultFrame, 2*p.MaxBody), MaxLost: p.MaxLost, Log: p.Logs.options(), Logger: log,
	}
	if p.Shutdown > 0 {
		// The supervisor's limit is for a worker's actor that hangs: the process
		// has been killed by then.
		o.WorkerShutdown = drain + p.Timeout.KillAfter + 5*time.Second
	}
	if p.Mode == modeProcess {
		o.Quarantine.Slots = cmp.Or(p.Quarantine.Slots, -1) // there, zero stands for a default
		o.Roll = actors.Roll{Surge: p.Reload.Surge, MaxUnready: p.Reload.MaxUnready}
	}
	if s := p.Size; s != nil {
		o.Supervise.MaxStarting = s.MaxStarting
		if s.Mode != "static" {
			o.Size = &actors.Size{Min: s.Min, Max: s.Max, Spare: s.Spare, IdleTTL: s.IdleTTL, ScaleUpAfter: s.ScaleUpAfter}
		}
	}
	return nil
}

// defaultFrame is the default of process.Options.MaxBody in bytes. A body may
// grow a little on its way into a frame.
const defaultFrame = 16 << 20

// drainTime is the time that a process has to finish its tasks.
func drainTime(shutdown time.Duration) time.Duration {
	switch shutdown {
	case supervisor.Infinity:
		return forever
	case supervisor.BrutalKill:
		return 1 // there, zero stands for a default
	default:
		return shutdown
	}
}

func (o *Process) spec(env []string) osproc.Spec {
	s := osproc.Spec{
		Command: o.Command, Dir: o.CWD, Env: env, Transport: osproc.Frames,
		User: o.User, Group: o.Group, Nice: o.Nice, OOMScoreAdj: o.OOMScoreAdj, Rlimits: o.Rlimits,
		Scope:  map[string]osproc.Scope{"cgroup": osproc.ScopeCgroup, "group": osproc.ScopeGroup, "process": osproc.ScopeProcess}[o.KillScope],
		Limits: osproc.CgroupLimits{Memory: int64(o.Cgroup.MemoryMax), PIDs: int64(o.Cgroup.PIDsMax), CPU: o.Cgroup.CPUMax},
	}
	if o.Transport == "stdio" {
		s.Transport = osproc.Stdio
	}
	return s
}

// secretValues are what must not be shown.
func (o *Process) secretValues() []string {
	var values []string
	for _, name := range sortedNames(o.Secrets) {
		values = append(values, o.Secrets[name].Value.Reveal())
	}
	return values
}

func (l Logs) options() process.Log {
	o := process.Log{MaxLine: l.MaxLine, Rate: l.Rate, Burst: l.Burst, Tail: l.Tail}
	if l.Rate == 0 {
		o.Rate = -1 // there, zero stands for a default
	}
	if l.Parse == "text" {
		o.Parse = process.ParseText
	}
	return o
}

// dumpSignal is the number of a signal; 0 for none.
func dumpSignal(name string) syscall.Signal { return dumpSignals()[name] }
