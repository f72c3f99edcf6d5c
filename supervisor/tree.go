package supervisor

import (
	"errors"
	"fmt"
	"sync"
)

// tree knows the nodes by id. Several supervisors may add children to it at the
// same time.
type tree struct{ nodes sync.Map } // string -> *node

// newTree makes the nodes of a tree and checks its specification.
func newTree(spec *Child) (*node, error) {
	if spec.Supervisor.OnExhausted == Park {
		return nil, fmt.Errorf("supervisor: child %q: the root cannot be parked", spec.ID)
	}
	n, err := new(tree).grow(nil, spec, 0)
	if err != nil {
		return nil, fmt.Errorf("supervisor: %w", err)
	}
	return n, nil
}

func (t *tree) find(id string) *node {
	if n, found := t.nodes.Load(id); found {
		return n.(*node)
	}
	return nil
}

// grow makes the node of a child and those below it. They are known by their ids
// at once, and have to be dropped if they do not become part of the tree.
func (t *tree) grow(parent *node, c *Child, slot int) (*node, error) {
	if err := c.check(parent); err != nil {
		return nil, fmt.Errorf("child %q: %w", c.ID, err)
	}
	n := &node{id: c.ID, kind: c.Kind, spec: c, tree: t, parent: parent, slot: slot}
	if n.kind == "" && c.Supervisor != nil {
		n.kind = "sup"
	}
	n.offspring.Store(&offspring{})
	if _, found := t.nodes.LoadOrStore(c.ID, n); found {
		return nil, fmt.Errorf("child %q: the id is not unique in the tree", c.ID)
	}
	kids, err := t.growAll(n)
	if err != nil {
		t.nodes.Delete(c.ID)
		return nil, fmt.Errorf("child %q: %w", c.ID, err)
	}
	n.offspring.Store(&offspring{kids: kids})
	return n, nil
}

func (t *tree) growAll(n *node) ([]*node, error) {
	if n.spec.Template != nil {
		slots := make([]int, n.spec.Size)
		for i := range slots {
			slots[i] = i + 1
		}
		return t.fill(n, slots)
	}
	kids := make([]*node, 0, len(n.spec.Children))
	for i := range n.spec.Children {
		kid, err := t.grow(n, &n.spec.Children[i], 0)
		if err != nil {
			t.drop(kids...)
			return nil, err
		}
		kids = append(kids, kid)
	}
	return kids, nil
}

// fill makes children of a dynamic supervisor.
func (t *tree) fill(n *node, slots []int) ([]*node, error) {
	kids := make([]*node, 0, len(slots))
	for _, slot := range slots {
		c, err := n.spec.instance(slot)
		if err == nil {
			var kid *node
			if kid, err = t.grow(n, c, slot); err == nil {
				kids = append(kids, kid)
				continue
			}
		}
		t.drop(kids...)
		return nil, err
	}
	return kids, nil
}

// instance is the n-th child of a template. A panic of the template is an error.
func (c *Child) instance(n int) (child *Child, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("template(%d): %w", n, caught(v))
		}
	}()
	made := c.Template(n)
	return &made, nil
}

// drop forgets nodes with all below them.
func (t *tree) drop(nodes ...*node) {
	for _, n := range nodes {
		t.nodes.CompareAndDelete(n.id, n)
		t.drop(n.kids()...)
	}
}

// maxIntensity bounds the memory of a supervisor, which remembers that many times.
const maxIntensity = 100_000

func (c *Child) check(parent *node) error {
	switch {
	case c.ID == "":
		return errors.New("has no id")
	case c.Shutdown < BrutalKill:
		return fmt.Errorf("shutdown of %v", c.Shutdown)
	case c.StartTimeout < 0:
		return fmt.Errorf("start timeout of %v", c.StartTimeout)
	case c.Restart > Temporary:
		return fmt.Errorf("unknown restart type %d", c.Restart)
	case c.Significant && c.Restart == Permanent:
		return errors.New("is significant and permanent")
	case c.Significant && (parent == nil || parent.spec.Supervisor.AutoShutdown == Never):
		return errors.New("is significant, and its supervisor never shuts down by itself")
	case c.Supervisor == nil && c.Producer == nil:
		return errors.New("has neither a producer nor a supervisor specification")
	case c.Supervisor == nil && (len(c.Children) > 0 || c.Template != nil):
		return errors.New("has children but no supervisor specification")
	case c.Supervisor != nil && c.Producer != nil:
		return errors.New("has both a producer and a supervisor specification")
	case c.Supervisor != nil && c.Kill != nil:
		return errors.New("is a supervisor, which cannot be killed")
	case c.Supervisor != nil:
		return c.checkSupervisor()
	}
	return nil
}

func (c *Child) checkSupervisor() error {
	s := c.Supervisor
	switch dynamic := s.Strategy == Dynamic; {
	case s.Strategy > Dynamic:
		return fmt.Errorf("unknown strategy %d", s.Strategy)
	case s.Period < 0:
		return fmt.Errorf("period of %v", s.Period)
	case s.Intensity > maxIntensity:
		return fmt.Errorf("intensity of %d is more than %d", s.Intensity, maxIntensity)
	case s.AutoShutdown > AllSignificant:
		return fmt.Errorf("unknown auto shutdown %d", s.AutoShutdown)
	case s.OnExhausted > EscalateAtOnce:
		return fmt.Errorf("unknown value %d for on exhausted", s.OnExhausted)
	case s.MaxStarting < 0:
		return fmt.Errorf("max starting of %d", s.MaxStarting)
	case dynamic && (c.Template == nil || len(c.Children) > 0):
		return errors.New("is dynamic: it needs a template, and no children")
	case !dynamic && c.Template != nil:
		return errors.New("has a template and is not dynamic")
	case c.Size < 0:
		return fmt.Errorf("size of %d", c.Size)
	}
	return nil
}
