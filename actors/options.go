package actors

import (
	"context"
	"log/slog"
	"time"

	"github.com/magne-actors/magne-actors/broker"
	"github.com/magne-actors/magne-actors/supervisor"
	"github.com/magne-actors/magne-actors/supervisor/process"
	"github.com/magne-actors/magne-actors/task"
)

// Options configures a System. Dialer and at least one pool are needed; the
// zero value of every other field is a usable default.
type Options struct {
	Dialer broker.Dialer
	Pools  []Pool

	// Shutdown is how long running tasks may go on after Run was told to stop;
	// 30 s by default.
	Shutdown time.Duration

	// Root is the specification of the root supervisor; by default
	// rest_for_one with 3 restarts in 60 s.
	Root *supervisor.Spec

	// PoolsSupervisor is the specification of the supervisor above all pools,
	// which a pool that gives up and does not park counts against; by default
	// one_for_one with 3 restarts in 60 s. When it gives up the root does, too,
	// whatever restarts Root has left.
	PoolsSupervisor *supervisor.Spec

	// Reconnect is the backoff between attempts to reach the broker; by default
	// 100 ms doubling to 30 s with jitter 0.5, reset after 10 s up. A lost
	// connection never counts as a crash.
	Reconnect supervisor.Backoff

	// AckTimeout is the broker's limit for the time from a delivery to its
	// settlement (RabbitMQ: consumer_timeout); by default DefaultAckTimeout, and none
	// if it is negative. A delivery that is unsettled for half of it is warned about,
	// and its consumer is kept apart: see docs/liveness.md.
	AckTimeout time.Duration

	// Burst, if not nil, has Run end with nil when all queues are empty and nothing
	// is in flight; or when the other pools are done and one has given up, with a
	// *supervisor.ExhaustedError that says why. A pool that is parked is waited for,
	// and so are retries, which do not wait on the broker then; those of a policy with
	// DelayDurable do, and are left there.
	// It tells how many messages of a queue are ready; it may block until its
	// context ends.
	Burst func(ctx context.Context, queue string) (ready int, err error)

	// Host starts the processes of the modes Process and Oneshot; by default the
	// System makes one and closes it at the end of Run.
	Host *process.Host

	// Spool, if not nil, takes the copies of failed tasks (retries, dead letters)
	// that the broker does not take: their deliveries are acked when the copies are
	// durable there, and the copies are published when the broker takes messages
	// again. At least once: a delivery whose ack is lost is delivered again beside
	// its copy. Close it after Run has returned.
	Spool broker.Spool

	// Services are started last and stopped first, each as a child of the root.
	Services []Service

	// Observe is called for each event of the supervision tree, on the goroutine
	// that it happens on, so it must not block; see supervisor.System.Observe.
	Observe func(supervisor.Event)

	Logger *slog.Logger // nil: silent
}

// Service is a blocking function that runs as a supervised actor.
type Service struct {
	ID, Kind string
	// Run blocks until ctx ends. Returning earlier is a failure, and the service
	// is restarted.
	Run func(ctx context.Context) error
}

// Mode says where the tasks of a pool run.
type Mode uint8

const (
	Coroutine Mode = iota // a goroutine for each running task, Slots at once in each worker
	Thread                // each worker owns an OS thread and runs one task at a time on it
	Process               // each worker is a slot that keeps one OS process, see Pool.Process
	Oneshot               // an OS process for each task, Slots at once in each worker
)

// Pool is one queue, the workers that serve it, and the window of deliveries
// that they may have at once.
type Pool struct {
	Name  string
	Queue broker.Queue
	Codec task.Codec
	Mux   *task.Mux // which tasks the pool knows; nil for Process and Oneshot
	Mode  Mode

	Workers int // worker actors; 1 by default
	Slots   int // tasks that one worker runs at once; 1 by default, always 1 for Thread

	// Process describes the processes of the modes Process and Oneshot. Slots is
	// its Pipeline then for Process.
	Process *process.Options
	// Quarantine says where the tasks run that a worker of mode Process has died under.
	Quarantine Quarantine
	// Size, if not nil, has the number of workers follow the load; Workers is not
	// used then. For Process only.
	Size *Size

	// High and Low are the watermarks: at High deliveries that are accepted and
	// not yet settled the pool stops taking more until they are down to Low.
	// High is the consumer's prefetch as well. Defaults: Workers*Slots, and half
	// of High rounded up.
	High, Low int

	// Timeout is how long a task may run before its context is cancelled; 0 is
	// no limit. A handler that has not returned AbandonAfter (5 s by default)
	// after that is abandoned: the task counts as failed, its slot is free
	// again, and its goroutine is counted until it ends, because a goroutine
	// cannot be killed.
	Timeout, AbandonAfter time.Duration

	// OnPanic is what a panic of a task means for its worker.
	OnPanic OnPanic

	// MaxBody is the largest body in bytes that is decoded; a larger one is
	// dead-lettered. 1 MiB by default.
	MaxBody int

	Retry Retry

	// Dedup says what happens to a message that the broker delivers again.
	Dedup Dedup

	// Supervise is the specification of the workers' supervisor; by default
	// one_for_one with 5 restarts in 60 s, 100 ms doubling to 30 s.
	Supervise *supervisor.Spec

	// WorkerRestart says after which ends a worker is started again, and
	// WorkerShutdown is the time that a worker has to stop, as in
	// supervisor.Child; there, zero is 5 s. For Process it bounds the worker's
	// whole stop, from the drain to the KILL.
	WorkerRestart  supervisor.Restart
	WorkerShutdown time.Duration

	// Roll says how the workers of Process are replaced by those of a new
	// configuration.
	Roll Roll
}

// Dedup says what happens to a message with a message-id that the broker delivers
// again although its task runs, or has run, in this process; see the package's
// guarantees. Messages without a message-id are always run again.
type Dedup uint8

const (
	DedupProcess Dedup = iota // it is settled with the result of the task
	DedupOff                  // it is run again
)

// OnPanic is what a panic of a task means for its worker, besides that the attempt
// has failed.
type OnPanic uint8

const (
	// KeepWorker is for handlers that share nothing with each other: a message that
	// makes one panic is its own trouble.
	KeepWorker OnPanic = iota
	// CrashWorker is Erlang's way: the worker fails as well, is restarted with
	// backoff, and counts for the intensity of its pool. Its other tasks run on.
	CrashWorker
)

// Quarantine bounds the workers in which suspects run alone: tasks under which a
// worker process has died. Of several that it ran any one may be to blame; with the
// next death it is known. For Process with a Concurrency above 1, since elsewhere
// every task is alone in its process.
type Quarantine struct {
	// Slots is how many workers may be kept for suspects while other tasks wait, and
	// never all that are up, if there are two; 1 by default, negative: suspects run
	// like all others. While nothing else waits all idle workers but one take them.
	Slots int
}

// Roll bounds a rolling replacement: each new worker is started and ready before
// an old one is drained.
type Roll struct {
	Surge      int // workers above the configured number; 1 by default
	MaxUnready int // new workers that fail to become ready before it is given up; 2 by default
}

// Size bounds the number of workers that follows the load.
type Size struct {
	Min, Max int
	Spare    int           // idle workers that are kept ready above Min
	IdleTTL  time.Duration // a worker above that is stopped after it; 60 s by default
	// ScaleUpAfter is how long deliveries must have waited before a worker is
	// added; 200 ms by default.
	ScaleUpAfter time.Duration
}
