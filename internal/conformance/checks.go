package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/magne-actors/magne-actors/internal/wire"
)

// check is one row. Its run returns what there is to say about a success, or what
// is wrong.
type check struct {
	name   string
	about  string
	worker bool // it needs one that has said hello
	run    func(*script) (string, error)
}

// checks are all rows. Those after hello use one worker as long as that behaves.
func checks() []check {
	return []check{
		{"by-hand", "without MAGNE_PROTO it says what it is and exits with an error", false, (*script).byHand},
		{"hello", "it says hello on fd 4, in time and with its tasks", false, (*script).hello},
		{"ping", "it answers a ping while idle", true, (*script).ping},
		{"task", "a task gets exactly one reply", true, (*script).oneTask},
		{"order", "tasks that are sent at once each get one reply, in order with concurrency 1", true, (*script).order},
		{"binary-body", "a body of 300,000 bytes that is no JSON does not confuse it", true, (*script).binaryBody},
		{"unknown-frame", "it skips a frame of a type that it does not know, with its body", true, (*script).unknownFrame},
		{"unknown-task", "a task that it does not have gets a permanent error", true, (*script).unknownTask},
		{"cancel", "a cancelled task gets one reply, and a cancel for no task none", true, (*script).cancel},
		{"descriptors", "fd 3 and 4 are close-on-exec", true, (*script).descriptors},
		{"drain", "after a drain it finishes what it has, takes nothing more, and exits with 0", true, (*script).drain},
		{"eof", "at the end of fd 3 it exits with 0", true, (*script).eof},
		{"stdout", "what it prints is no frame", false, (*script).stdout},
	}
}

func (s *script) byHand() (string, error) {
	p, err := s.host.Start(s.ctx, s.spec())
	if err != nil {
		return "", err
	}
	w := &worker{s: s, p: p}
	exit, err := w.exit()
	p.Kill()
	<-p.Done()
	switch {
	case err != nil:
		return "", fmt.Errorf("%w: look at MAGNE_PROTO first, and say that `magne-actors run` starts this program", err)
	case exit.Code == 0:
		return "", warn("it exits with 0, as if all were well")
	case lastWords(exit) == "":
		return "", warn("%v, and nothing on stderr that says why", exit)
	}
	return fmt.Sprintf("exit status %d, %s", exit.Code, lastWords(exit)), nil
}

func (s *script) hello() (string, error) {
	w, err := s.start()
	if err != nil {
		s.dumb = "there is no hello"
		return "", err
	}
	s.worker = w
	h := &w.hello
	s.report.SDK, s.report.Tasks, s.report.Concurrency, s.report.Caps = h.SDK, h.Tasks, h.Concurrency, h.Caps
	switch {
	case len(h.Tasks) == 0:
		return "", errors.New("tasks is empty: a worker names what it can do")
	case s.o.Task != "" && !slices.Contains(h.Tasks, s.o.Task):
		return "", fmt.Errorf("it does not know the task %q, but %s", s.o.Task, strings.Join(h.Tasks, ", "))
	case h.PID == 0:
		return "", warn("pid is missing: it helps to find the process")
	}
	return fmt.Sprintf("after %v", w.took.Round(100_000)), nil
}

func (s *script) ping() (string, error) {
	err := s.worker.quiet()
	s.mute = err != nil
	return "", err
}

func (s *script) oneTask() (string, error) {
	id, err := s.worker.sendTask()
	if err != nil {
		return "", err
	}
	f, err := s.worker.reply()
	if err != nil {
		return "", fmt.Errorf("task %q: %w", s.task(), err)
	}
	if f.ID != id {
		return "", fmt.Errorf("a reply to task %d, not to %d", f.ID, id)
	}
	return fmt.Sprintf("%q: %s", s.task(), describe(&f)), s.worker.quiet()
}

// describe says in a few words what a reply is.
func describe(f *wire.Frame) string {
	switch f.Type {
	case wire.Error:
		text := fmt.Sprintf("error %s: %.100q", f.Kind, f.Message)
		if f.Permanent {
			text += " (permanent)"
		}
		return text
	case wire.Retry:
		return fmt.Sprintf("retry after %v: %.100q", f.After, f.Message)
	default:
		return fmt.Sprintf("%s with %d bytes", f.Type, len(f.Body))
	}
}

func (s *script) order() (string, error) {
	const n = 5
	var sent, answered []uint64
	for range n {
		id, err := s.worker.sendTask()
		if err != nil {
			return "", err
		}
		sent = append(sent, id)
	}
	for range n {
		f, err := s.worker.reply()
		if err != nil {
			return "", fmt.Errorf("%d of %d tasks have their reply: %w", len(answered), n, err)
		}
		answered = append(answered, f.ID)
	}
	if s.worker.hello.Concurrency == 1 && !slices.Equal(sent, answered) {
		return "", fmt.Errorf("with concurrency 1 the tasks %v have their replies in the order %v", sent, answered)
	}
	return "", s.worker.quiet()
}

func (s *script) binaryBody() (string, error) {
	body := make([]byte, 300_000)
	for i := range body {
		body[i] = byte(i * 7 / 3) // LF and all other bytes
	}
	if _, err := s.worker.send(s.task(), "application/octet-stream", body); err != nil {
		return "", err
	}
	f, err := s.worker.reply()
	if err != nil {
		return "", err
	}
	if f.Type == wire.OK && len(f.Body) > 0 && len(f.Body) < len(body) && bytes.HasPrefix(body, f.Body) {
		return "", fmt.Errorf("the result is the first %d bytes of the %d of the body", len(f.Body), len(body))
	}
	return describe(&f), s.worker.quiet()
}

func (s *script) unknownFrame() (string, error) {
	if err := s.worker.writeRaw(`{"t":"shiny","id":"x","len":11}` + "\n" + `{"t":"drain`); err != nil {
		return "", err
	}
	if s.mute {
		return "", skip("it does not answer pings")
	}
	return "", s.worker.quiet()
}

func (s *script) unknownTask() (string, error) {
	if _, err := s.worker.send("magne-actors.no-such-task", "application/json", []byte("{}")); err != nil {
		return "", err
	}
	f, err := s.worker.reply()
	if err != nil {
		return "", err
	}
	if f.Type != wire.Error || !f.Permanent {
		return "", fmt.Errorf("%s: want an error with permanent true, or the task is tried again in vain", describe(&f))
	}
	return "", s.worker.quiet()
}

func (s *script) cancel() (string, error) {
	w := s.worker
	if !slices.Contains(w.hello.Caps, wire.CapCancel) {
		return "", skip("it does not say that it can (caps), so that it is not asked to")
	}
	for _, id := range []uint64{1, 1 << 40} { // one that has its reply, one that never was
		if err := w.write(&wire.Frame{Type: wire.Cancel, ID: id, Reason: "revoked"}); err != nil {
			return "", err
		}
	}
	id, err := w.sendTask()
	if err == nil {
		err = w.write(&wire.Frame{Type: wire.Cancel, ID: id, Reason: "timeout"})
	}
	if err == nil && slices.Contains(w.hello.Caps, wire.CapCancelSignal) {
		err = w.p.Signal(wire.CancelSignal)
	}
	if err != nil {
		return "", err
	}
	f, err := w.reply()
	if err != nil {
		return "", err
	}
	return describe(&f), w.quiet()
}

// descriptors looks at the flags. A runtime without close-on-exec may close them in
// other ways.
func (s *script) descriptors() (string, error) {
	if s.o.Stdio {
		return "", skip("with the transport stdio their numbers are the worker's affair")
	}
	for _, fd := range []int{wire.FdIn, wire.FdOut} {
		info, err := os.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", s.worker.p.PID(), fd))
		if err != nil {
			return "", skip("cannot look: %v", err)
		}
		if !closeOnExec(string(info)) {
			return "", warn("fd %d is not close-on-exec: what a task starts may hold it open, unless the runtime closes it there", fd)
		}
	}
	return "", nil
}

// closeOnExec reads /proc/PID/fdinfo/FD.
func closeOnExec(info string) bool {
	for line := range strings.Lines(info) {
		var flags int
		if n, _ := fmt.Sscanf(line, "flags: %o", &flags); n == 1 {
			return flags&0o2000000 != 0 // O_CLOEXEC of Linux
		}
	}
	return false
}
