package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/magne-actors/magne-actors/internal/osproc"
	"github.com/magne-actors/magne-actors/internal/wire"
)

// A process has three goroutines beside its actor: one waits for its end, one
// reads what it says, one writes. They tell the actor, and end with the process.

var (
	errFull   = errors.New("it does not read what it is told")
	errGoexit = errors.New("runtime.Goexit ended the goroutine")
)

// said is a frame on its way to the actor. It holds a place of the credit.
type said struct {
	from *child
	evFrame
}

// guard runs f on a goroutine of its own. If f fails, which would be a mistake in
// here, failed is called instead of taking down the program.
func guard(f func(), failed func(error)) {
	go func() {
		err := errGoexit
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
			}
			if err != nil {
				failed(err)
			}
		}()
		f()
		err = nil
	}()
}

// start starts the process, which the actor hears of.
func (c *child) start() {
	guard(c.live, func(err error) {
		c.cancel()
		if p := c.proc.Load(); p != nil {
			p.Kill()
		}
		c.in.tell(evUnborn{c.key, err})
	})
}

// live is the life of a process. Its last word to the actor is the last of all:
// what the process had said before comes before it.
func (c *child) live() {
	defer c.cancel()
	p, err := c.opts.Host.Start(c.ctx, c.spec())
	if err != nil {
		c.in.tell(evUnborn{c.key, err})
		return
	}
	c.lines.started(p.PID())
	c.proc.Store(p)
	stop := context.AfterFunc(c.ctx, p.Kill)
	defer stop()
	c.in.tell(evSpawned{c.key})
	read, written := make(chan struct{}), make(chan struct{})
	guard(func() { defer close(read); c.read(p.Out) }, func(err error) { c.in.tell(evClosed{c.key, err}) })
	guard(func() { defer close(written); c.write(p) }, func(err error) { c.in.tell(evBroken{key: c.key, err: err}) })
	<-p.Done()
	close(c.dead)
	// All that had the pipe are dead, unless Spec.Scope lets them live.
	_ = p.Out.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	<-read
	p.In.Close()
	<-written
	p.Out.Close()
	exit := c.redact.exit(p.Exit())
	c.lines.leftOut(exit.Dropped, int64(p.PID()))
	c.in.tell(evExited{c.key, exit})
}

// read passes on what the process says, until it says no more.
func (c *child) read(pipe io.Reader) {
	r := wire.NewReader(pipe, wire.Limits{MaxBody: c.opts.MaxBody})
	logs := c.newFrameLog()
	defer logs.leftOut()
	greeted := false
	for {
		f, err := r.Next()
		if err != nil {
			c.in.tell(evClosed{c.key, c.readError(err)})
			return
		}
		c.clean(&f)
		if f.Type == wire.Log && greeted {
			logs.write(&f)
		}
		greeted = greeted || f.Type == wire.Hello
		select {
		case c.credit <- struct{}{}:
			c.in.tell(said{c, evFrame{c.key, &f}})
		case <-c.in.gone:
			return
		}
	}
}

// readError is nil for a pipe that was closed between two frames.
func (c *child) readError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	if v, ok := errors.AsType[*wire.ProtocolError](err); ok {
		return &wire.ProtocolError{What: c.redact.text(v.What), Head: []byte(c.redact.text(string(v.Head))), Err: v.Err}
	}
	return err
}

// clean takes secrets out of what a process says for people.
func (c *child) clean(f *wire.Frame) {
	if len(c.redact.words) == 0 {
		return
	}
	f.Message, f.Kind, f.Reason = c.redact.text(f.Message), c.redact.text(f.Kind), c.redact.text(f.Reason)
	if f.Type == wire.Error {
		f.Body = []byte(c.redact.text(string(f.Body)))
	}
}

// write writes what is queued until the process is dead or reads no more.
func (c *child) write(p *osproc.Proc) {
	w := wire.NewWriter(p.In, wire.Limits{MaxBody: c.opts.MaxBody})
	for {
		select {
		case o := <-c.out:
			if !c.writeOne(p, w, o) {
				return
			}
		case <-c.dead:
			return
		}
	}
}

func (c *child) writeOne(p *osproc.Proc, w *wire.Writer, o outgoing) bool {
	_ = p.In.SetWriteDeadline(time.Now().Add(c.opts.WriteTimeout)) // a pipe has them
	err := w.Write(o.frame)
	id := uint64(0)
	if o.frame.Type == wire.Task {
		id = o.frame.ID
	}
	switch {
	case err == nil:
		if o.signal != 0 {
			_ = p.Signal(o.signal) // it is dead, or it works
		}
		return true
	case errors.Is(err, wire.ErrTooLarge):
		if id != 0 {
			c.in.tell(evRefused{c.key, id, err})
		}
		return true
	default:
		c.in.tell(evBroken{c.key, id, errors.Is(err, os.ErrDeadlineExceeded), err})
		return false
	}
}

// report logs the end of a process, unless the slot ends with it: then the error
// goes to the supervisor, who logs it.
func (c *child) report(a Autopsy, asked, fatal bool) {
	attrs := []slog.Attr{slog.Int("pid", a.Exit.PID), slog.Int64("generation", c.generation), slog.String("exit", a.line())}
	switch {
	case asked:
		c.log.LogAttrs(c.ctx, slog.LevelInfo, "worker process ended", attrs...)
	case !fatal:
		if a.Task != "" {
			attrs = append(attrs, slog.String("task_id", a.Task))
		}
		c.log.LogAttrs(c.ctx, slog.LevelWarn, "worker process lost", attrs...)
	}
}
