package supervisor

import (
	"strconv"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Strategy says which children are restarted when one of them fails.
type Strategy uint8

const (
	OneForOne  Strategy = iota // only the failed child
	OneForAll                  // all children
	RestForOne                 // the failed child and those started after it
)

// Restart says after which exits a child is started again.
type Restart uint8

const (
	Permanent Restart = iota // always
	Transient                // only after an abnormal exit
	Temporary                // never, not even when a sibling's failure would restart it
)

// Values of Child.Shutdown with a meaning of their own. Zero means 5 s, and
// Infinity for a supervisor.
const (
	Infinity   time.Duration = -1 // wait for ever
	BrutalKill time.Duration = -2 // do not wait: an actor is abandoned at once
)

// Backoff is how long a supervisor waits before it restarts a child.
// The n-th restart in a row waits min(Max, Initial*Factor^(n-1)), moved by up to
// Jitter of itself to either side; a child that was up for ResetAfter starts over.
// The zero value restarts at once, as OTP does. If Initial is not zero, a zero
// Factor is 2, a zero ResetAfter 30 s, and a zero Max no limit.
type Backoff struct {
	Initial    time.Duration
	Factor     float64
	Max        time.Duration
	Jitter     float64 // 0..1
	ResetAfter time.Duration
}

// Spec configures a supervisor: OTP's supervisor flags plus a backoff.
// When more than Intensity restarts happen within Period the supervisor stops
// its children in reverse order and then itself with reason shutdown; its own
// supervisor counts that as one failure of a child. The zero Intensity and
// Period are 1 and 5 s, OTP's defaults; a negative Intensity is none at all.
type Spec struct {
	Strategy  Strategy
	Intensity int
	Period    time.Duration
	Backoff   Backoff
	// Parallel stops the children together instead of one by one in reverse
	// order (simple_one_for_one).
	Parallel bool
}

func (s Strategy) String() string {
	switch s {
	case OneForOne:
		return "one_for_one"
	case OneForAll:
		return "one_for_all"
	case RestForOne:
		return "rest_for_one"
	}
	return "strategy(" + strconv.Itoa(int(s)) + ")"
}

// Child is a child specification. Functions in it are called on the
// supervisor's goroutine and must not block.
type Child struct {
	ID       string // unique in the whole tree: "router:mail", "mail/3"
	Kind     string // broker, router, pool, worker, slot, control, sup
	Producer func() actor.Actor
	Restart  Restart
	Shutdown time.Duration

	// Supervisor, when not nil, makes the child a supervisor of Children;
	// Producer is not used then.
	Supervisor *Spec
	Children   []Child

	// Up is called each time the child has started: its Started message was
	// handled without a panic. Generation counts incarnations from 1.
	Up func(pid *actor.PID, generation int)
	// Down is called after each end of an incarnation that had been spawned,
	// before anything is decided about a restart. It is called for an abandoned
	// incarnation as well.
	Down func(Exit)

	// Inspect adds to the child's node what only it knows. It is called on the
	// goroutine that takes a snapshot, also while the child is blocked or
	// restarting: it may only read atomics.
	Inspect func(*Node)
}

// Exit says how an incarnation of a child ended.
type Exit struct {
	ID         string
	Generation int
	Reason     Reason
	Err        error // why, for Abnormal; a *PanicError with the stack for a panic
	Message    any   // the message that was in Receive at a panic
	Abandoned  bool  // it did not stop within its shutdown time and may still run
}

// Reason classifies an exit.
type Reason uint8

const (
	Normal   Reason = iota // it stopped by itself, having nothing more to do
	Shutdown               // we asked for it
	Abnormal               // panic, failure, failed start
)

func (r Reason) String() string {
	switch r {
	case Normal:
		return "normal"
	case Shutdown:
		return "shutdown"
	case Abnormal:
		return "abnormal"
	}
	return "reason(" + strconv.Itoa(int(r)) + ")"
}

// Node is a snapshot of one node of the supervision tree. Its JSON form is
// the one that `magne-actors tree -o json` prints; fields that do not apply to a
// kind are absent.
type Node struct {
	ID        string     `json:"id"`
	Kind      string     `json:"kind"`
	State     string     `json:"state"`
	Detail    string     `json:"detail,omitempty"` // a word for people: "rest_for_one", the broker's address
	Queued    *int64     `json:"queued,omitempty"`
	Running   *int64     `json:"running,omitempty"`
	InFlight  *int64     `json:"in_flight,omitempty"`
	Peak      *int64     `json:"peak,omitempty"` // the largest in_flight since the router started
	High      *int64     `json:"high,omitempty"`
	Low       *int64     `json:"low,omitempty"`
	Paused    *bool      `json:"paused,omitempty"`
	Pauses    *int64     `json:"pauses,omitempty"`
	Settled   *int64     `json:"settled,omitempty"`
	Abandoned *int64     `json:"abandoned,omitempty"`
	Mailbox   *int64     `json:"mailbox,omitempty"`
	Handled   *int64     `json:"handled,omitempty"` // messages
	Restarts  *int64     `json:"restarts,omitempty"`
	Since     *time.Time `json:"since,omitempty"`
	LastError string     `json:"last_error,omitempty"`
	PID       *int       `json:"pid,omitempty"`
	Children  []*Node    `json:"children"`
}
