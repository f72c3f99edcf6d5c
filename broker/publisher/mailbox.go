package publisher

import "sync"

// mailbox is what the owner is told. To post never blocks: sessions and the spool are
// promised that.
type mailbox struct {
	wake chan struct{} // capacity 1

	mu     sync.Mutex
	list   []func()
	closed bool
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

// post has the owner call f. It returns false when there is no owner any more.
func (m *mailbox) post(f func()) bool {
	m.mu.Lock()
	open := !m.closed
	if open {
		m.list = append(m.list, f)
	}
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
	return open
}

// take returns what was posted, in its order; spare becomes the next list.
func (m *mailbox) take(spare []func()) []func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.list
	m.list = spare[:0]
	return list
}

// close takes the rest; nothing is posted any more.
func (m *mailbox) close() []func() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	list := m.list
	m.list = nil
	return list
}
