package process

import (
	"errors"
	"fmt"
	"time"
)

// recycle replaces a worker that has had its time, unless a replacement is under
// way or has failed a moment ago.
func (m *machine) recycle(w *worker, why string) {
	if w != m.current || w.leaving || m.ending || m.next != nil || m.now.Before(m.retryAt) {
		return
	}
	m.succession(&replacement{why: why, opts: m.opts})
}

// succession starts the worker that will take over.
func (m *machine) succession(r *replacement) {
	m.replace = r
	m.next = m.spawn(r.opts)
}

// onRequest is an operator's wish for a new worker. A recycling joins one that is
// under way; new options supersede one, unless that has new options too.
func (m *machine) onRequest(r *request) {
	switch {
	case m.ending:
		m.do(effReply{r, errEnding})
		return
	case m.replace != nil && r.opts == nil:
		m.replace.requests = append(m.replace.requests, r)
		return
	case m.replace != nil:
		m.forgo(errSuperseded)
	}
	n := &replacement{why: "operator", opts: m.opts, requests: []*request{r}}
	if r.opts != nil {
		n.why, n.opts = "new options", r.opts
	}
	m.succession(n)
}

// onForgo ends a replacement that nobody waits for any more.
func (m *machine) onForgo(r *request) {
	if m.replace == nil || len(m.replace.requests) != 1 || m.replace.requests[0] != r {
		return
	}
	m.forgo(errForgone)
}

// forgo ends a replacement that is under way. The current worker stays.
func (m *machine) forgo(err error) {
	r, w := m.replace, m.next
	m.replace, m.next = nil, nil
	if w != nil {
		m.leave(w)
	}
	if r != nil {
		m.reply(r, err)
	}
}

// takeOver makes the next worker the current one.
func (m *machine) takeOver() {
	old := m.current
	m.current, m.next = m.next, nil
	m.do(effCurrent{m.current.key})
	m.leave(old)
	m.do(effReady{})
	m.completed(m.current)
}

// completed is called when the current worker is ready.
func (m *machine) completed(w *worker) {
	r := m.replace
	if r == nil || m.next != nil { // it is not the one that is waited for
		return
	}
	m.replace, m.retryAt = nil, time.Time{}
	if m.opts != w.opts {
		m.opts = w.opts
		m.do(effCommit{w.opts})
	}
	m.reply(r, nil)
}

// failed is called when the next worker has died. The current one stays.
func (m *machine) failed(err error) {
	r := m.replace
	m.replace, m.retryAt = nil, m.now.Add(retryPace)
	m.reply(r, fmt.Errorf("the new worker did not get ready, the old one stays: %w", err))
}

func (m *machine) reply(r *replacement, err error) {
	for _, req := range r.requests {
		m.do(effReply{req, err})
	}
}

var errEarlyBye = errors.New("it asked to be replaced before it had done a task")

// onBye lets a worker go that asks for it. Its successor starts at once; one that
// has been of no use counts as failed, or it would do so for ever.
func (m *machine) onBye(w *worker, reason string) {
	if w.leaving || w.phase != ready {
		return
	}
	m.leave(w)
	if w.done == 0 && len(w.tasks) == 0 {
		w.asked = false
		w.err = errEarlyBye
		return
	}
	if w == m.current && m.next == nil && !m.ending {
		m.succession(&replacement{why: "bye: " + reason, opts: m.opts})
	}
}

// onSampled looks at the memory of a worker. Its descendants are looked at less
// often, as long as it has room.
func (m *machine) onSampled(w *worker, rss int64) {
	r := &w.opts.Recycle
	limit := min(orMax(r.MaxRSS), orMax(r.MaxRSSHard))
	if limit == orMax(0) {
		return
	}
	if !w.treeWanted && (m.due(w.treeAt) || w.treeAt.IsZero() || rss+w.others > limit/5*4) {
		w.treeWanted, w.treeAt = true, m.now.Add(treePace)
		m.do(effTree{w.key})
	}
	m.memory(w, rss+w.others)
}

func (m *machine) onTree(w *worker, ev evTree) {
	w.treeWanted = false
	if ev.rss > 0 {
		w.others = max(ev.rss-ev.own, 0)
		m.memory(w, ev.rss)
	}
}

// memory replaces a worker that has too much, or kills it if it has far too much.
// One that had too much before its first task would always have.
func (m *machine) memory(w *worker, rss int64) {
	r := &w.opts.Recycle
	switch {
	case rss > orMax(r.MaxRSSHard) && w.phase < ended:
		m.kill(w, WhyMemory, fmt.Errorf("%d MiB, more than %d", rss>>20, r.MaxRSSHard>>20))
	case rss > orMax(r.MaxRSS) && w.phase == ready && w.done > 0:
		m.recycle(w, fmt.Sprintf("%d MiB", rss>>20))
	}
}

// orMax is the limit, or none.
func orMax(limit int64) int64 {
	if limit <= 0 {
		return 1<<63 - 1
	}
	return limit
}
