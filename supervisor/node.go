package supervisor

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// state is what a node shows of its child.
type state uint8

const (
	stateDown     state = iota // not started yet, stopped, or ended and not to be started again
	stateStarting              // spawned; a supervisor: not all of its children are up yet
	stateUp
	stateStopping
	stateBackoff // down until it is restarted
	stateFailed  // ended abnormally or gave up
	stateAbandoned
)

func (s state) String() string {
	return [...]string{"down", "starting", "up", "stopping", "backoff", "failed", "abandoned"}[s]
}

// node is the record of one child specification. It lives as long as the tree,
// over all incarnations of the child and of its supervisors. The tree itself
// never changes; what does change is atomic, so that a snapshot needs nobody's
// cooperation.
type node struct {
	id, kind string
	spec     *Child
	children []*node // in specification order

	word      atomic.Uint64 // generation<<8 | state: written together, so that an old incarnation cannot speak for a new one
	since     atomic.Int64  // of the state, in Unix nanoseconds; 0: never started
	handled   atomic.Int64
	abandoned atomic.Int64 // incarnations that may still run
	failure   atomic.Pointer[failure]
	box       atomic.Pointer[mailbox]
}

// failure keeps the last error with the line that a snapshot shows of it.
type failure struct {
	line string
	err  error
}

// newTree makes the nodes of a tree and checks its specification.
func newTree(spec *Child) (*node, error) {
	seen := make(map[string]bool)
	n, err := newNode(spec, seen)
	if err != nil {
		return nil, fmt.Errorf("supervisor: child %q: %w", spec.ID, err)
	}
	return n, nil
}

func newNode(c *Child, seen map[string]bool) (*node, error) {
	if err := c.check(seen); err != nil {
		return nil, err
	}
	seen[c.ID] = true
	n := &node{id: c.ID, kind: c.Kind, spec: c, children: make([]*node, len(c.Children))}
	if n.kind == "" && c.Supervisor != nil {
		n.kind = "sup"
	}
	for i := range c.Children {
		child, err := newNode(&c.Children[i], seen)
		if err != nil {
			return nil, fmt.Errorf("child %q: %w", c.Children[i].ID, err)
		}
		n.children[i] = child
	}
	return n, nil
}

// maxIntensity bounds the memory of a supervisor, which remembers that many times.
const maxIntensity = 100_000

func (c *Child) check(seen map[string]bool) error {
	switch {
	case c.ID == "":
		return errors.New("has no id")
	case seen[c.ID]:
		return errors.New("the id is not unique in the tree")
	case c.Shutdown < BrutalKill:
		return fmt.Errorf("shutdown of %v", c.Shutdown)
	case c.Supervisor == nil && c.Producer == nil:
		return errors.New("has neither a producer nor a supervisor specification")
	case c.Supervisor == nil && len(c.Children) > 0:
		return errors.New("has children but no supervisor specification")
	case c.Supervisor != nil && c.Producer != nil:
		return errors.New("has both a producer and a supervisor specification")
	case c.Restart > Temporary:
		return fmt.Errorf("unknown restart type %d", c.Restart)
	case c.Supervisor != nil && c.Supervisor.Strategy > RestForOne:
		return fmt.Errorf("unknown strategy %d", c.Supervisor.Strategy)
	case c.Supervisor != nil && c.Supervisor.Period < 0:
		return fmt.Errorf("period of %v", c.Supervisor.Period)
	case c.Supervisor != nil && c.Supervisor.Intensity > maxIntensity:
		return fmt.Errorf("intensity of %d is more than %d", c.Supervisor.Intensity, maxIntensity)
	}
	return nil
}

func (n *node) generation() int { return int(n.word.Load() >> 8) }

// set shows generation gen in state s, unless a newer one is shown already.
func (n *node) set(gen int, s state) {
	word := uint64(gen)<<8 | uint64(s)
	for {
		old := n.word.Load()
		if old == word || old>>8 > uint64(gen) {
			return
		}
		if n.word.CompareAndSwap(old, word) {
			n.since.Store(time.Now().UnixNano())
			return
		}
	}
}

// ended is called when an abandoned incarnation has ended after all.
func (n *node) ended(gen int) {
	n.abandoned.Add(-1)
	if n.word.CompareAndSwap(uint64(gen)<<8|uint64(stateAbandoned), uint64(gen)<<8|uint64(stateDown)) {
		n.since.Store(time.Now().UnixNano())
	}
}

func (n *node) fail(err error) {
	n.failure.Store(&failure{line: firstLine(err.Error()), err: err})
}

// gauges are the numbers of one snapshot node, in one allocation.
type gauges struct {
	mailbox, restarts, handled, abandoned int64
	since                                 time.Time
}

// snapshot reads atomics only, here and in Inspect.
func (n *node) snapshot() *Node {
	word := n.word.Load()
	s := &Node{ID: n.id, Kind: n.kind, State: state(word & 0xff).String(), Children: make([]*Node, len(n.children))}
	if n.spec.Supervisor != nil {
		s.Detail = n.spec.Supervisor.Strategy.String()
	}
	g := &gauges{restarts: max(int64(word>>8)-1, 0), handled: n.handled.Load(), abandoned: n.abandoned.Load()}
	s.Restarts = &g.restarts
	s.Handled = &g.handled
	if g.abandoned > 0 {
		s.Abandoned = &g.abandoned
	}
	if box := n.box.Load(); box != nil {
		g.mailbox = int64(box.UserMessageCount())
		s.Mailbox = &g.mailbox
	}
	if ns := n.since.Load(); ns != 0 {
		g.since = time.Unix(0, ns)
		s.Since = &g.since
	}
	if f := n.failure.Load(); f != nil {
		s.LastError = f.line
	}
	n.inspect(s)
	for i, c := range n.children {
		s.Children[i] = c.snapshot()
	}
	return s
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
