package conformance

import (
	"errors"
	"fmt"

	"github.com/magne-actors/magne-actors/internal/wire"
)

// drain sends a task, a drain and a task that comes too late.
func (s *script) drain() (string, error) {
	w := s.worker
	before, err := w.sendTask()
	if err == nil {
		err = w.write(&wire.Frame{Type: wire.Drain, Deadline: s.o.Timeout})
	}
	if err != nil {
		return "", err
	}
	late, err := w.sendTask()
	if err != nil && !errors.Is(err, errEnd) {
		return "", err
	}
	f, err := w.reply()
	if err != nil {
		return "", fmt.Errorf("the task before the drain has no reply: %w", err)
	}
	if f.ID != before {
		return "", fmt.Errorf("a reply to task %d, not to %d", f.ID, before)
	}
	for until := w.deadline(); err == nil; {
		if f, err = w.next(until); err == nil && f.ID == late && f.Type != wire.Log && f.Type != wire.Progress {
			return "", errors.New("it has run a task that came after the drain")
		}
	}
	if !errors.Is(err, errEnd) {
		return "", err
	}
	return s.exited()
}

// eof closes fd 3, as the end of the supervisor does.
func (s *script) eof() (string, error) {
	if err := s.worker.p.In.Close(); err != nil {
		return "", err
	}
	for until := s.worker.deadline(); ; {
		_, err := s.worker.next(until) // it may say that it goes
		if errors.Is(err, errEnd) {
			return s.exited()
		}
		if err != nil {
			return "", fmt.Errorf("%w: a worker whose fd 3 is closed should exit", err)
		}
	}
}

// exited waits for the end of the worker and wants status 0.
func (s *script) exited() (string, error) {
	exit, err := s.worker.exit()
	if err != nil {
		return "", err
	}
	if exit.Code != 0 {
		return "", fmt.Errorf("%s; want status 0", death(exit))
	}
	s.discard()
	return "", nil
}

// stdout looks at what the workers before it have printed.
func (s *script) stdout() (string, error) {
	if s.dumb != "" {
		return "", skip("%s", s.dumb)
	}
	if line := frameLike(s.printed); line != "" {
		return "", warn("%.80q looks like a frame: stdout is a log", line)
	}
	return fmt.Sprintf("%d lines", len(s.printed)), nil
}
