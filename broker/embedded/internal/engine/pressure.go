package engine

import (
	"sync"
	"sync/atomic"
)

// cause is why publishers should stop; several may hold at once.
type cause uint32

const (
	lowMemory cause = 1 << iota
	lowDisk
	diskFailed
)

// String is what connection.blocked gives for the reason, in RabbitMQ's words where
// it has some.
func (c cause) String() string {
	switch {
	case c&diskFailed != 0:
		return "disk failed"
	case c == lowMemory|lowDisk:
		return "low on memory & disk"
	case c == lowMemory:
		return "low on memory"
	case c == lowDisk:
		return "low on disk"
	}
	return ""
}

// pressure tells when publishers should stop.
type pressure struct {
	tell func(reason string) // nil: nobody

	now atomic.Uint32 // cause; changed under mu
	mu  sync.Mutex    // so that the changes are told in order
}

// update sets or clears c as decide says, which is asked under the lock, so that
// the last to change something decides by what all have changed.
func (p *pressure) update(c cause, decide func(was bool) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := cause(p.now.Load())
	now := was &^ c
	if decide(was&c != 0) {
		now |= c
	}
	p.now.Store(uint32(now))
	if p.tell != nil && now.String() != was.String() {
		p.tell(now.String())
	}
}

func (p *pressure) set(c cause, on bool) {
	p.update(c, func(bool) bool { return on })
}

func (p *pressure) has(c cause) bool { return cause(p.now.Load())&c != 0 }

func (p *pressure) reason() string { return cause(p.now.Load()).String() }
