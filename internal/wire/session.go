package wire

import (
	"fmt"
	"slices"
	"strings"
)

// Meaning is what a worker's frame is to its supervisor.
type Meaning uint8

const (
	Booting Meaning = iota // a step on the way to hello
	Ready                  // the hello; see CheckHello
	Settled                // the one reply to a task
	Late                   // about a task that is settled already: no harm, count it
	Note                   // progress, beat, log, pong, bye
	Unknown                // a type that this version does not know: count it
)

func (m Meaning) String() string {
	return [...]string{"booting", "ready", "settled", "late", "note", "unknown"}[m]
}

// Session holds the rules of the conversation with one incarnation of a worker:
// who speaks when, and that each task gets exactly one reply. The zero value is
// ready. It does no I/O.
type Session struct {
	ready     bool
	last      uint64              // the last id that was issued
	open      map[uint64]struct{} // issued, no reply yet
	abandoned map[uint64]struct{} // settled without a reply, which may still come
}

// Issue returns the id of the next task.
func (s *Session) Issue() uint64 {
	if s.open == nil {
		s.open, s.abandoned = map[uint64]struct{}{}, map[uint64]struct{}{}
	}
	s.last++
	s.open[s.last] = struct{}{}
	return s.last
}

// Abandon says that the task is settled without a reply of the worker, because
// it was cancelled or timed out. It reports whether the task was open.
func (s *Session) Abandon(id uint64) bool {
	if _, ok := s.open[id]; !ok {
		return false
	}
	delete(s.open, id)
	s.abandoned[id] = struct{}{}
	return true
}

// Open is the number of tasks that have been issued and not settled.
func (s *Session) Open() int { return len(s.open) }

// Receive judges a frame of the worker. The error is a *ProtocolError: the
// worker is to be killed.
func (s *Session) Receive(f *Frame) (Meaning, error) {
	if !s.ready {
		return s.boot(f)
	}
	switch f.Type {
	case Hello:
		return 0, &ProtocolError{What: "a second hello"}
	case OK, Error, Retry:
		return s.reply(f)
	case Progress:
		if _, ok := s.open[f.ID]; !ok {
			return Late, nil
		}
		return Note, nil
	case Step, Beat, Log, Pong, Bye:
		return Note, nil
	default:
		return Unknown, nil
	}
}

func (s *Session) boot(f *Frame) (Meaning, error) {
	switch f.Type {
	case Step:
		return Booting, nil
	case Hello:
		s.ready = true
		return Ready, nil
	default:
		return 0, &ProtocolError{What: fmt.Sprintf("%s before hello", word(string(f.Type)))}
	}
}

func (s *Session) reply(f *Frame) (Meaning, error) {
	if _, ok := s.open[f.ID]; ok {
		delete(s.open, f.ID)
		return Settled, nil
	}
	if _, ok := s.abandoned[f.ID]; ok {
		delete(s.abandoned, f.ID)
		return Late, nil
	}
	if f.ID > s.last {
		return 0, &ProtocolError{What: fmt.Sprintf("%s for task %d, which was never issued", f.Type, f.ID)}
	}
	return 0, &ProtocolError{What: fmt.Sprintf("%s is a second reply to task %d", f.Type, f.ID)}
}

// HelloError says why a worker that speaks MWP cannot be used. Starting it again
// would not help.
type HelloError struct{ What string }

func (e *HelloError) Error() string { return "wire: hello: " + e.What }

// CheckHello returns a *HelloError when the worker speaks another version of the
// protocol or does not know one of the tasks.
func CheckHello(hello *Frame, tasks []string) error {
	if hello.Proto != Proto {
		return &HelloError{fmt.Sprintf("the worker speaks version %d of the protocol, not %d", hello.Proto, Proto)}
	}
	var missing []string
	for _, name := range tasks {
		if !slices.Contains(hello.Tasks, name) {
			missing = append(missing, word(name))
		}
	}
	if missing != nil {
		return &HelloError{"the worker does not know the tasks " + strings.Join(missing, ", ")}
	}
	return nil
}

// word quotes and shortens a name for an error.
func word(name string) string {
	if len(name) > 64 {
		name = name[:64] + "..."
	}
	return fmt.Sprintf("%q", name)
}
