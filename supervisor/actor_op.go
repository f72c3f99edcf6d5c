package supervisor

import "slices"

// requested takes up what an operator asks for. Until it is answered its asker
// waits, or has given up.
func (s *supervisor) requested(r *request) {
	if !r.taken.CompareAndSwap(false, true) {
		return
	}
	s.asked++
	s.requests[s.asked] = r
	switch ev := r.event(s.asked).(type) {
	case scale:
		s.scale(ev)
	case onChild:
		for key, k := range s.kids {
			if k.node == ev.node {
				s.handle(ev.ev(ev.req, key))
				return
			}
		}
		s.reply(ev.req, errNoChild)
	case evAdd:
		s.add(ev)
	case ping:
		s.reply(int(ev), nil)
	}
}

// scale makes the nodes that are missing, or has those go that are too many.
func (s *supervisor) scale(ev scale) {
	missing := ev.size - len(s.m.slots())
	if missing <= 0 {
		s.handle(evShrink(ev))
		return
	}
	n := s.inc.node
	kids, err := n.tree.fill(n, s.m.free(missing))
	if err != nil {
		s.reply(ev.req, err)
		return
	}
	s.add(evAdd{ev.req, kids})
}

// add has the machine take in nodes, which it refuses when it is ending.
func (s *supervisor) add(ev evAdd) {
	if s.m.ending {
		s.inc.node.tree.drop(ev.kids...)
	}
	s.handle(ev)
}

func (s *supervisor) reply(req int, err error) {
	s.requests[req].reply <- err
	delete(s.requests, req)
}

// remove forgets a child that is down. If an incarnation may still run, it is
// counted for the supervisor from now on.
func (s *supervisor) remove(key int) {
	k := s.kids[key]
	if k.timer != nil {
		k.timer.Stop()
	}
	k.node.tree.drop(k.node)
	if k.node.abandoned.Load() > 0 {
		s.lost = append(s.lost, k.node)
	}
	delete(s.kids, key)
	s.changed = true
	s.report(k.node, Event{Type: EventRemoved, Generation: k.node.generation()})
}

// show makes the children known to snapshots. An incarnation of the supervisor
// that was abandoned, and has a successor, does so no more.
func (s *supervisor) show() {
	if !s.changed {
		return
	}
	s.changed = false
	s.lost = slices.DeleteFunc(slices.Clone(s.lost), func(n *node) bool { return n.abandoned.Load() == 0 })
	o := &offspring{kids: make([]*node, len(s.m.kids)), lost: s.lost}
	for i, k := range s.m.kids {
		o.kids[i] = s.kids[k.key].node
	}
	if s.inc.node.offspring.CompareAndSwap(s.shown, o) {
		s.shown = o
	}
}
