package child

import (
	"errors"
	"io"
	"sync"

	"github.com/magne-actors/magne-actors/internal/wire"
)

// link is the pipe to the supervisor, for all goroutines.
type link struct {
	out io.Writer

	mu  sync.Mutex // held while a frame is written
	w   *wire.Writer
	err error // nothing can be written any more
}

func newLink(out io.Writer) *link {
	l := &link{out: out}
	l.limit(wire.Limits{})
	return l
}

// limit sets the limits that the supervisor has told; 0 is the default.
func (l *link) limit(limits wire.Limits) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.w = wire.NewWriter(l.out, limits)
}

// send writes a frame. It blocks while the pipe is full.
func (l *link) send(f *wire.Frame) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	err := l.w.Write(f)
	if err != nil && !errors.Is(err, wire.ErrTooLarge) {
		l.err = err
	}
	return err
}

// reply answers a task. Of an error too much may be said: the stack is left out
// then, and what remains fits into every limit.
func (l *link) reply(f *wire.Frame) {
	if errors.Is(l.send(f), wire.ErrTooLarge) {
		f.Body, f.Message = nil, ""
		_ = l.send(f) // loop sees the error
	}
}

// broken is the error of a pipe that can no longer be written to.
func (l *link) broken() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
