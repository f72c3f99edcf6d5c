package supervisor

import (
	"errors"
	"fmt"
	"time"
)

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
	Mailbox   *int64     `json:"mailbox,omitempty"`    // messages that wait
	Handled   *int64     `json:"handled,omitempty"`    // messages
	BusySince *time.Time `json:"busy_since,omitempty"` // of the message in Receive, up to 10 ms too early
	Failures  *int64     `json:"failures,omitempty"`   // exits with an error
	Restarts  *int64     `json:"restarts,omitempty"`
	Since     *time.Time `json:"since,omitempty"`
	Until     *time.Time `json:"backoff_until,omitempty"`
	LastError string     `json:"last_error,omitempty"`
	Stack     string     `json:"stack,omitempty"` // of the panic in LastError; only from System.Inspect
	PID       *int       `json:"pid,omitempty"`
	Window    *Window    `json:"window,omitempty"`

	Consumer   *Consumer   `json:"consumer,omitempty"`   // of a router
	Quarantine *Quarantine `json:"quarantine,omitempty"` // of a router, or a slot

	// Of the worker process of a slot, and of those before it; RSS and CPU of the root,
	// too: of the program itself.
	Task        string        `json:"task,omitempty"` // the id of the oldest that runs
	TaskSince   *time.Time    `json:"task_since,omitempty"`
	RSS         int64         `json:"rss_bytes,omitempty"`
	CPU         float64       `json:"cpu_percent,omitempty"` // 100 is one CPU
	TasksDone   *int64        `json:"tasks_done,omitempty"`
	TasksFailed *int64        `json:"tasks_failed,omitempty"`
	Generation  int64         `json:"generation,omitempty"`  // how many processes there have been
	LogDropped  int64         `json:"log_dropped,omitempty"` // lines and frames of the present process over logs.rate
	Step        string        `json:"step,omitempty"`        // of its start, the last one that it told
	LastExit    string        `json:"last_exit,omitempty"`   // in one line
	Exits       []ProcessExit `json:"exits,omitempty"`       // the newest first; only from System.Inspect

	Spool *Spool `json:"spool,omitempty"` // of the node that has the connection to a broker

	Children []*Node `json:"children"`

	// InDetail is for Child.Inspect: it may add what would be too much in a tree.
	// It is set by System.Inspect.
	InDetail bool `json:"-"`
}

// Consumer is the state of a router's consumer and the evidence for it, by which
// one that works is told from one that only believes so.
type Consumer struct {
	State string    `json:"state"` // one of the words in docs/liveness.md
	Since time.Time `json:"since"`
	Tag   string    `json:"tag,omitempty"` // by which the broker's tools know it

	LastDelivery time.Time `json:"last_delivery,omitzero"`
	LastProbe    time.Time `json:"last_probe,omitzero"` // when the broker was last asked what waits
	Probe        string    `json:"probe,omitempty"`     // what it has answered
	Starved      bool      `json:"starved,omitempty"`   // messages wait, there is room, and none comes

	Old      int64     `json:"old,omitempty"`            // deliveries unsettled for half of the broker's ack timeout
	Oldest   time.Time `json:"oldest_delivery,omitzero"` // of Old
	Isolated int64     `json:"isolated,omitempty"`       // consumers that are kept apart for such deliveries

	Cause   string    `json:"cause,omitempty"` // why it is not consuming
	Fault   string    `json:"fault,omitempty"` // the same in a word, see broker.Fault
	Code    int       `json:"code,omitempty"`  // AMQP's reply code
	NextTry time.Time `json:"next_try,omitzero"`
	Tries   int       `json:"tries,omitempty"` // that failed since it was consuming
}

// Quarantine is about suspects: tasks under which a worker process has died, and
// which run alone.
type Quarantine struct {
	// Of a router: how many there are.
	Waiting int64 `json:"waiting,omitempty"`
	Running int64 `json:"running,omitempty"`

	// Of a slot: it gets no other tasks. With Lost it runs a suspect (Node.Task), under
	// which as many processes have died; without, it ends what it has first.
	Kept  bool       `json:"kept,omitempty"`
	Lost  int        `json:"lost,omitempty"`
	Since *time.Time `json:"since,omitempty"`
}

// Spool is what waits on the disk for a broker that takes nothing.
type Spool struct {
	Messages  int        `json:"messages"` // of this process, not confirmed yet
	Held      int        `json:"held,omitempty"`
	Retrying  int        `json:"retrying,omitempty"` // that the broker has refused or returned
	Oldest    *time.Time `json:"oldest,omitempty"`
	Bytes     int64      `json:"bytes"` // on the disk, of all processes
	MaxBytes  int64      `json:"max_bytes"`
	Published int64      `json:"published"` // since the start
	Refused   int64      `json:"refused,omitempty"`
	Damaged   int64      `json:"damaged_bytes,omitempty"`
	LastError string     `json:"last_error,omitempty"`
}

// ProcessExit is how one process has ended.
type ProcessExit struct {
	Time   time.Time     `json:"time"`
	PID    int           `json:"pid,omitempty"` // absent if it could not be started
	Text   string        `json:"text"`          // such as "exit status 1 after 41ms"
	Why    string        `json:"why,omitempty"` // as in process.LostError; absent if it was asked for
	Error  string        `json:"error,omitempty"`
	Code   int           `json:"code"` // -1 if a signal ended it
	Signal string        `json:"signal,omitempty"`
	Core   bool          `json:"core,omitempty"`  // there is a core dump
	Swept  int           `json:"swept,omitempty"` // processes that it left behind, and that were killed
	Task   string        `json:"task,omitempty"`  // that it ran
	For    time.Duration `json:"task_ns,omitempty"`
	Step   string        `json:"step,omitempty"`  // of its start, if it did not get ready
	Wchan  string        `json:"wchan,omitempty"` // where in the kernel it hung
	MaxRSS int64         `json:"max_rss_bytes,omitempty"`
	User   time.Duration `json:"user_ns"`
	System time.Duration `json:"system_ns"`
	Log    []string      `json:"log,omitempty"` // its last lines
}

// Window is how close a supervisor is to giving up: Restarts within the last
// Period, of Intensity that are allowed.
type Window struct {
	Restarts  int64         `json:"restarts"`
	Intensity int64         `json:"intensity"`
	Period    time.Duration `json:"period_ns"`
}

// Snapshot is the tree as it is now, or nil before Run. It reads atomics only
// and asks no actor, so it answers while all of them are blocked. Nodes are read
// one after the other: two of them may show different moments.
func (s *System) Snapshot() *Node {
	root := s.root.Load()
	if root == nil {
		return nil
	}
	return root.snapshot(time.Now(), false)
}

// Inspect is the part of a Snapshot below the node with that id, with stacks, or
// nil if there is none.
func (s *System) Inspect(id string) *Node {
	root := s.root.Load()
	if root == nil {
		return nil
	}
	n := root.tree.find(id)
	if n == nil {
		return nil
	}
	return n.snapshot(time.Now(), true)
}

// gauges are the numbers of one snapshot node, in one allocation.
type gauges struct {
	mailbox, restarts, handled, failures, abandoned int64
	since                                           time.Time
}

// snapshot reads atomics only, here and in Inspect.
func (n *node) snapshot(now time.Time, stacks bool) *Node {
	word := n.word.Load()
	state := state(word & 0xff)
	o := n.offspring.Load()
	s := &Node{ID: n.id, Kind: n.kind, State: state.String(), Children: make([]*Node, len(o.kids)), InDetail: stacks}
	g := &gauges{restarts: max(int64(word>>8)-1, 0), failures: n.failures.Load(), abandoned: n.abandoned.Load()}
	s.Restarts, s.Handled = &g.restarts, &g.handled
	for _, l := range o.lost {
		g.abandoned += l.abandoned.Load()
	}
	if g.abandoned > 0 {
		s.Abandoned = &g.abandoned
	}
	if g.failures > 0 {
		s.Failures = &g.failures
	}
	if ns := n.since.Load(); ns != 0 {
		g.since = time.Unix(0, ns)
		s.Since = &g.since
	}
	if ns := n.until.Load(); ns != 0 && state == stateBackoff {
		s.Until = new(time.Unix(0, ns))
	}
	n.readMailbox(s, g)
	n.readSupervisor(s, now)
	n.readFailure(s, stacks)
	n.inspect(s)
	for i, c := range o.kids {
		s.Children[i] = c.snapshot(now, stacks)
	}
	return s
}

func (n *node) readMailbox(s *Node, g *gauges) {
	box := n.box.Load()
	if box == nil {
		return
	}
	g.mailbox, g.handled = int64(box.UserMessageCount()), box.total()
	s.Mailbox = &g.mailbox
	if since, busy := box.busySince(); busy {
		s.BusySince = new(since)
	}
}

func (n *node) readSupervisor(s *Node, now time.Time) {
	if n.spec.Supervisor == nil {
		return
	}
	s.Detail = n.spec.Supervisor.Strategy.String()
	if n.parked.Load() {
		s.Detail = "parked"
	}
	spec := n.spec.Supervisor.withDefaults()
	s.Window = &Window{Intensity: int64(spec.Intensity), Period: spec.Period}
	if r := n.restarts.Load(); r != nil {
		s.Window.Restarts = r.count(now, spec.Period)
	}
}

func (n *node) readFailure(s *Node, stacks bool) {
	f := n.failure.Load()
	if f == nil {
		return
	}
	s.LastError = f.line
	if p, ok := errors.AsType[*PanicError](f.err); ok && stacks {
		s.Stack = string(p.Stack)
	}
}

// inspect lets the child add to its node. A panic in there must not take down
// whoever looks at the tree.
func (n *node) inspect(s *Node) {
	if n.spec.Inspect == nil {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			s.LastError = firstLine(fmt.Sprintf("inspect: panic: %v", v))
		}
	}()
	n.spec.Inspect(s)
}
