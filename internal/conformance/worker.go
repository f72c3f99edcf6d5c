package conformance

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/magne-actors/magne-actors/internal/osproc"
	"github.com/magne-actors/magne-actors/internal/wire"
)

// worker is a process that has said hello, or is about to.
type worker struct {
	s       *script
	p       *osproc.Proc
	r       *wire.Reader
	w       *wire.Writer
	session wire.Session
	hello   wire.Frame
	took    time.Duration // until hello
	printed []string      // stdout; to be read when the process is dead
	pings   uint64
}

// start starts a worker and shakes its hand.
func (s *script) start() (*worker, error) {
	w := &worker{s: s}
	spec := s.spec()
	in, out := wire.FdIn, wire.FdOut
	if spec.Transport = osproc.Frames; s.o.Stdio {
		spec.Transport, in, out = osproc.Stdio, 0, 1
	}
	spec.Env = append(spec.Env,
		fmt.Sprintf("%s=%d", wire.EnvProto, wire.Proto), fmt.Sprintf("%s=%d", wire.EnvFdIn, in), fmt.Sprintf("%s=%d", wire.EnvFdOut, out),
		wire.EnvPool+"=check", wire.EnvSlot+"=check/1", wire.EnvGen+"=1", wire.EnvCookie+"=check")
	spec.Log = osproc.Log{Func: w.print}
	var err error
	began := time.Now()
	if w.p, err = s.host.Start(s.ctx, spec); err != nil {
		return nil, err
	}
	w.r, w.w = wire.NewReader(w.p.Out, wire.Limits{}), wire.NewWriter(w.p.In, wire.Limits{})
	if err := w.handshake(); err != nil {
		err = w.explainStart(err)
		w.end()
		return nil, err
	}
	w.took = time.Since(began)
	return w, nil
}

// spec is the worker as somebody would start it by hand.
func (s *script) spec() osproc.Spec {
	return osproc.Spec{Command: s.o.Command, Dir: s.o.Dir, Env: withoutOurs(s.o.Env)}
}

// withoutOurs drops the variables that tell a worker what it is.
func withoutOurs(env []string) []string {
	ours := []string{wire.EnvProto, wire.EnvFdIn, wire.EnvFdOut, wire.EnvPool, wire.EnvSlot, wire.EnvGen, wire.EnvCookie}
	return slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(ours, name)
	})
}

// print is called for one line at a time.
func (w *worker) print(line osproc.Line) {
	if line.Stream == osproc.Stdout && len(w.printed) < 1000 {
		w.printed = append(w.printed, line.Text)
	}
}

func (w *worker) handshake() error {
	until := w.deadline()
	f, err := w.next(until)
	for err == nil && f.Type == wire.Step {
		f, err = w.next(until)
	}
	if err != nil {
		return err
	}
	if err := wire.CheckHello(&f, nil); err != nil {
		return err
	}
	w.hello = f
	return w.write(&wire.Frame{
		Type: wire.Welcome, Proto: wire.Proto, Slot: "check/1", MaxHeader: 64 << 10, MaxBody: 16 << 20,
		Beat: time.Second, Concurrency: f.Concurrency,
	})
}

// next returns the next frame, which must come in time and be legal. The error is
// final for the worker. Who waits for one frame among others takes one deadline for
// all: beats come for as long as a worker lives.
func (w *worker) next(until time.Time) (wire.Frame, error) {
	if err := w.p.Out.SetReadDeadline(until); err != nil {
		return wire.Frame{}, err
	}
	f, err := w.r.Next()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return f, fmt.Errorf("nothing within %v", w.s.o.Timeout)
	case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return f, errEnd
	case err != nil:
		return f, err
	}
	_, err = w.session.Receive(&f)
	return f, err
}

// errEnd is the end of a pipe.
var errEnd = errors.New("the worker has closed its pipe")

func (w *worker) deadline() time.Time {
	end := time.Now().Add(w.s.o.Timeout)
	if d, ok := w.s.ctx.Deadline(); ok && d.Before(end) {
		return d
	}
	return end
}

func (w *worker) write(f *wire.Frame) error {
	return w.writing(func() error { return w.w.Write(f) })
}

// writeRaw writes what no Writer would.
func (w *worker) writeRaw(text string) error {
	return w.writing(func() error {
		_, err := io.WriteString(w.p.In, text)
		return err
	})
}

func (w *worker) writing(f func() error) error {
	if err := w.p.In.SetWriteDeadline(w.deadline()); err != nil {
		return err
	}
	err := f()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("the worker has not read for %v", w.s.o.Timeout)
	case errors.Is(err, syscall.EPIPE):
		return errEnd
	default:
		return err
	}
}

// send sends a task and returns its id.
func (w *worker) send(name, contentType string, body []byte) (uint64, error) {
	f := &wire.Frame{
		Type: wire.Task, ID: w.session.Issue(), Name: name, Attempt: 1, Deadline: w.s.o.Timeout, ContentType: contentType,
		Header: map[string]string{"id": "7", "len": "9", "name": "x", "t": "drain"}, Body: body, // for parsers that look for a word
	}
	return f.ID, w.write(f)
}

// sendTask sends the task of the check.
func (w *worker) sendTask() (uint64, error) {
	return w.send(w.s.task(), "application/json", w.s.body)
}

// reply returns the reply that comes next, skipping what may come before it.
func (w *worker) reply() (wire.Frame, error) {
	until := w.deadline()
	for others := 0; ; others++ {
		f, err := w.next(until)
		switch {
		case err != nil && others > 0 && !time.Now().Before(until):
			return f, fmt.Errorf("no reply within %v, only beats and the like; --task names another task, --timeout is how long it may take", w.s.o.Timeout)
		case err != nil:
			return f, err
		}
		switch f.Type {
		case wire.OK, wire.Error, wire.Retry:
			return f, nil
		default: // progress, a log and the like
		}
	}
}

// quiet makes sure that the worker has nothing more to say about what it was
// asked: it answers a ping, and before that nothing that would be a reply.
func (w *worker) quiet() error {
	if w.s.mute {
		return nil
	}
	w.pings++
	if err := w.write(&wire.Frame{Type: wire.Ping, N: w.pings}); err != nil {
		return err
	}
	until := w.deadline()
	for {
		f, err := w.next(until)
		switch {
		case err != nil:
			return fmt.Errorf("it should answer a ping: %w", err)
		case f.Type == wire.Pong && f.N == w.pings:
			return nil
		case f.Type == wire.Pong:
			return fmt.Errorf("a pong has n %d, the ping %d", f.N, w.pings)
		}
	}
}

// exit waits for the end of a worker that was told to finish.
func (w *worker) exit() (osproc.Exit, error) {
	timer := time.NewTimer(time.Until(w.deadline()))
	defer timer.Stop()
	select {
	case <-w.p.Done():
		return w.p.Exit(), nil
	case <-timer.C:
		return osproc.Exit{}, fmt.Errorf("it still runs after %v", w.s.o.Timeout)
	case <-w.s.ctx.Done():
		return osproc.Exit{}, w.s.ctx.Err()
	}
}

// end kills what is left of the worker.
func (w *worker) end() {
	w.p.Kill()
	<-w.p.Done()
	w.p.In.Close()
	w.p.Out.Close()
}
