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
	// Dynamic is OTP's simple_one_for_one: the children are equal, come from
	// Child.Template, and their number is changed by System.Scale. They are
	// started and stopped together. Only the failed child is restarted.
	Dynamic
)

// Restart says after which exits a child is started again.
type Restart uint8

const (
	Permanent Restart = iota // always
	Transient                // only after an abnormal exit
	Temporary                // never, not even when a sibling's failure would restart it
)

// AutoShutdown says when a supervisor stops by itself because its significant
// children have. An exit counts if it is not followed by a restart and was not
// asked for: not by an operator, and not because of a sibling.
type AutoShutdown uint8

const (
	Never          AutoShutdown = iota
	AnySignificant              // when one of them has ended
	AllSignificant              // when the last one that was active has ended
)

// OnExhausted says what becomes of a supervisor that gave up.
type OnExhausted uint8

const (
	// Escalate is OTP's way: it fails upwards, and that counts as a failure.
	Escalate OnExhausted = iota
	// Park leaves it failed until System.Restart or a restart of the supervisor
	// above. It counts as no failure, and its siblings run on.
	Park
	// EscalateAtOnce has the supervisor above give up as well, without a restart: with
	// Escalate each level tries as often as its intensity says, the tries multiply,
	// and with a backoff they may take longer than the period above allows for.
	EscalateAtOnce
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
	// order. Dynamic always does.
	Parallel bool

	AutoShutdown AutoShutdown
	OnExhausted  OnExhausted // not for the root

	// MaxStarting is how many children of a Dynamic supervisor may be starting at
	// the same time; zero is GOMAXPROCS. After three failed starts in a row it is
	// one, until a child is up.
	MaxStarting int
}

func (s Strategy) String() string {
	switch s {
	case OneForOne:
		return "one_for_one"
	case OneForAll:
		return "one_for_all"
	case RestForOne:
		return "rest_for_one"
	case Dynamic:
		return "dynamic"
	}
	return "strategy(" + strconv.Itoa(int(s)) + ")"
}

// Child is a child specification. What is supervised is an actor, whatever
// stands behind it: the actor of an OS process is a Drainer that ends its process
// when it is told to, is a Starter if that takes a while to be ready, and has a
// Kill. Functions in a Child are called on the supervisor's goroutine and must not
// block.
type Child struct {
	ID       string // unique in the whole tree: "router:mail", "mail/3"
	Kind     string // broker, router, pool, worker, slot, control, sup
	Producer func() actor.Actor
	Restart  Restart
	Shutdown time.Duration

	// StartTimeout is how long it may take to be up; longer is a failure. Zero is
	// no limit, as in OTP.
	StartTimeout time.Duration

	// Significant children are what AutoShutdown is about. They are transient or
	// temporary.
	Significant bool

	// Supervisor, when not nil, makes the child a supervisor of Children;
	// Producer is not used then.
	Supervisor *Spec
	Children   []Child

	// Template makes the n-th child of a Dynamic supervisor, counted from 1, with
	// an ID of its own: "mail/3". The supervisor starts with Size of them.
	Template func(n int) Child
	Size     int

	// Up is called each time the child is up: its Started message was handled
	// without a panic and, if it is a Starter, it called Ready. Generation counts
	// incarnations from 1.
	Up func(pid *actor.PID, generation int)
	// Down is called after each end of an incarnation that had been spawned,
	// before anything is done about a restart. It is called for an abandoned
	// incarnation as well.
	Down func(Exit)
	// Kill ends by force what has not stopped within its shutdown time, or with
	// BrutalKill at once. Nil is for what cannot be killed, which is every
	// goroutine. What has not ended 5 s after it is abandoned nevertheless.
	Kill func(pid *actor.PID, generation int)

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
	Parked     bool  // a supervisor with Park that gave up; it stays down
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
