package child_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/internal/wire"
	"github.com/magne-actors/magne-actors/sdk/child"
	"github.com/magne-actors/magne-actors/task"
)

// roleVariable makes the test binary a worker.
const roleVariable = "CHILD_TEST_ROLE"

// patience is how long anything may take on a busy machine.
const patience = 60 * time.Second

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		if err := play(role); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// badError panics when somebody wants to know what it is.
type badError struct{}

func (*badError) Error() string { panic("no text") }

// play is a worker.
func play(role string) error {
	ctx, o := context.Background(), child.Options{}
	switch role {
	case "concurrent":
		o.Concurrency = 4
	case "boot":
		o.Boot = func(_ context.Context, step func(string)) error {
			step("importing models")
			return errors.New("no models")
		}
	case "signal":
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGTERM)
		defer stop()
	}
	return child.Serve(ctx, handlers(), o)
}

// handlers are what thread mode would have as well.
func handlers() *task.Mux {
	log := slog.New(child.NewLogHandler(nil))
	mux := task.NewMux()
	add := func(name string, f func(context.Context, *task.Message) error) { mux.Handle(name, task.HandlerFunc(f)) }
	add("nothing", func(context.Context, *task.Message) error { return nil })
	add("fail", func(context.Context, *task.Message) error { return fmt.Errorf("resize: %w", os.ErrNotExist) })
	add("type", func(context.Context, *task.Message) error {
		return fmt.Errorf("open: %w", &os.PathError{Op: "open", Path: "x", Err: os.ErrNotExist})
	})
	add("bad error", func(context.Context, *task.Message) error { return &badError{} })
	add("retry", func(context.Context, *task.Message) error {
		return task.Retry(errors.New("rate limited"), 5*time.Second)
	})
	add("discard", func(context.Context, *task.Message) error { return task.Discard(errors.New("no such user")) })
	add("panic", func(context.Context, *task.Message) error { panic("boom") })
	add("goexit", func(context.Context, *task.Message) error { runtime.Goexit(); return nil })
	add("hang", func(ctx context.Context, _ *task.Message) error {
		child.Progress(ctx, 1, "hanging")
		<-ctx.Done()
		return fmt.Errorf("hang: %w", ctx.Err())
	})
	add("stubborn", func(ctx context.Context, _ *task.Message) error {
		child.Progress(ctx, 1, "hanging")
		<-ctx.Done()
		return nil
	})
	add("talk", func(ctx context.Context, m *task.Message) error {
		fmt.Println(`{"t":"ok","id":1}`)
		child.Progress(ctx, 40, "page 4/10")
		child.Progress(ctx, 41, "too soon")
		log.WithGroup("g").With("n", 3).WarnContext(ctx, `say "hi"`, "f", strings.Repeat("x", len(m.Headers)))
		log.InfoContext(ctx, "huge", "f", strings.Repeat("x", 100<<10))
		log.DebugContext(ctx, "not enabled")
		log.Info("of no task")
		child.Bye(ctx, "memory")
		return nil
	})
	add("message", func(ctx context.Context, m *task.Message) error {
		left := time.Until(m.Deadline)
		return fmt.Errorf("%s %s %s %s %s %v %d %v %v", m.ID, m.Name, m.Queue, m.Args, m.Kwargs, m.Headers, m.Attempt, m.Redelivered, left > 50*time.Second && left <= time.Minute)
	})
	mux.Handle("bytes", task.Func(func(_ context.Context, b []byte) error { return fmt.Errorf("%d %x", len(b), b[len(b)-1]) }))
	add("fds", func(context.Context, *task.Message) error {
		out, err := exec.Command("ls", "-l", "/proc/self/fd").Output()
		return errors.Join(err, errors.New(string(out)))
	})
	return mux
}

// peer is a worker, and this process its supervisor.
type peer struct {
	*wire.Reader
	*wire.Writer
	t              *testing.T
	session        wire.Session
	in, out        *os.File
	cmd            *exec.Cmd
	inodes         []string
	stdout, stderr bytes.Buffer // to be read after exit
	exited         chan error   // cap 1
}

// start starts the test binary as a worker.
func start(t *testing.T, role string) *peer {
	t.Helper()
	theirIn, in := pipe(t)
	out, theirOut := pipe(t)
	p := &peer{
		t: t, Reader: wire.NewReader(out, wire.Limits{}), Writer: wire.NewWriter(in, wire.Limits{}), in: in, out: out,
		cmd: exec.Command(os.Args[0]), exited: make(chan error, 1), //nolint:gosec // ourselves
	}
	fds := []string{wire.EnvFdIn + "=3", wire.EnvFdOut + "=4"}
	if p.cmd.ExtraFiles = []*os.File{theirIn, theirOut}; role == "stdio" {
		fds = []string{wire.EnvFdIn + "=0", wire.EnvFdOut + "=1"}
		p.cmd.ExtraFiles, p.cmd.Stdin, p.cmd.Stdout = nil, theirIn, theirOut
	} else {
		p.cmd.Stdout = &p.stdout
	}
	p.cmd.Stderr = &p.stderr
	p.cmd.Env = append(fds, "PATH="+os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0", roleVariable+"="+role, wire.EnvProto+"=1", wire.EnvCookie+"=c0ffee")
	p.inodes = []string{inode(t, theirIn), inode(t, theirOut)}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirIn.Close()
	theirOut.Close()
	go func() { p.exited <- p.cmd.Wait() }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		in.Close()
		out.Close()
	})
	if err := errors.Join(out.SetReadDeadline(time.Now().Add(patience)), in.SetWriteDeadline(time.Now().Add(patience))); err != nil {
		t.Fatal(err)
	}
	return p
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

func inode(t *testing.T, f *os.File) string {
	t.Helper()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("pipe:[%d]", info.Sys().(*syscall.Stat_t).Ino)
}

// next returns the next frame, which must be a legal one.
func (p *peer) next() wire.Frame {
	p.t.Helper()
	f, err := p.Next()
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.session.Receive(&f); err != nil {
		p.t.Fatal(err)
	}
	return f
}

// want is next, which must be of a type.
func (p *peer) want(typ wire.Type) wire.Frame {
	p.t.Helper()
	f := p.next()
	if f.Type != typ {
		p.t.Fatalf("got %+v, want %s", f, typ)
	}
	return f
}

func (p *peer) write(f wire.Frame) {
	p.t.Helper()
	if err := p.Write(&f); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) hello() wire.Frame {
	p.t.Helper()
	f := p.want(wire.Hello)
	p.write(wire.Frame{Type: wire.Welcome, Proto: 1, Slot: "test/1", MaxHeader: 65536, MaxBody: 16 << 20, Concurrency: f.Concurrency})
	return f
}

// task sends a task and returns its id.
func (p *peer) task(name string) uint64 {
	p.t.Helper()
	f := wire.Frame{Type: wire.Task, ID: p.session.Issue(), Name: name, Attempt: 1, ContentType: "application/json", Body: []byte(`{}`)}
	p.write(f)
	return f.ID
}

// exit waits for the end of a worker that was told to, and wants a status.
func (p *peer) exit(want int) {
	p.t.Helper()
	select {
	case <-p.exited:
		if got := p.cmd.ProcessState.ExitCode(); got != want {
			p.t.Errorf("exit status %d, want %d; stderr: %s", got, want, &p.stderr)
		}
	case <-time.After(patience):
		p.t.Error("the worker does not exit")
	}
}
