package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/magne-actors/magne-actors/internal/control"
)

// instance is `magne-actors run`, as a user has it.
type instance struct {
	cmd    *exec.Cmd
	dir    string
	probes string // address of /readyz
	client control.Client
	http   http.Client
	log    *tail
	file   *os.File      // all of the log
	keep   bool          // the directory, for whoever looks into a problem
	exited chan struct{} // closed when it has ended
	wg     sync.WaitGroup
}

// Of the instance's configuration. Everything else is a default.
const (
	heartbeat = 2 * time.Second
	// noticed is when a peer that says nothing is taken for dead: after 1.5
	// heartbeats, with half a second for the timer.
	noticed      = 3*time.Second + 500*time.Millisecond
	reconnectMax = time.Second
	highMark     = 100
)

const configuration = `version: 1
broker: {url: %q, heartbeat: %v, reconnect: {initial: 50ms, max: %v}}
control: {socket: %s}
metrics: {listen: %q}
shutdown: 20s
pools:
  p:
    queue: %s
    codec: json
    workers: 2
    slots: 25
    watermarks: {high: %d}
    timeout: 90s
    retry: {initial: 100ms, max: 1s}
    tasks: {hook: {http: {url: %q}}}
`

// Build builds magne-actors into dir, with further flags of `go build`, and returns
// its path. It blocks for as long as the compiler takes.
func Build(ctx context.Context, dir string, flags ...string) (string, error) {
	path := filepath.Join(dir, "magne-actors")
	args := append([]string{"build", "-o", path}, flags...)
	out, err := exec.CommandContext(ctx, "go", append(args, "github.com/magne-actors/magne-actors/cmd/magne-actors")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("faults: build magne-actors: %w\n%s", err, out)
	}
	return path, nil
}

// startInstance starts the program. It need not come up; close ends it.
func startInstance(program, url, queue, hook string) (*instance, error) {
	dir, err := os.MkdirTemp("", "magne-fault-")
	if err != nil {
		return nil, fmt.Errorf("faults: instance: %w", err)
	}
	in := &instance{dir: dir, log: new(tail), exited: make(chan struct{}), http: http.Client{Timeout: 5 * time.Second}}
	in.client = control.Client{Socket: filepath.Join(dir, "magne.sock")}
	if in.probes, err = freeAddress(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	file := filepath.Join(dir, "magne.yaml")
	text := fmt.Sprintf(configuration, url, heartbeat, reconnectMax, in.client.Socket, in.probes, queue, highMark, hook)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("faults: instance: %w", err), os.RemoveAll(dir))
	}
	in.cmd = exec.Command(program, "run", "-c", file)
	in.cmd.Dir, in.cmd.Env = dir, environment()
	if in.file, err = os.Create(filepath.Join(dir, "log.txt")); err != nil {
		return nil, errors.Join(fmt.Errorf("faults: instance: %w", err), os.RemoveAll(dir))
	}
	out := io.MultiWriter(in.log, in.file)
	in.cmd.Stdout, in.cmd.Stderr, in.cmd.SysProcAttr = out, out, leash()
	if err := in.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("faults: instance: %w", err), os.RemoveAll(dir))
	}
	in.wg.Go(func() {
		defer close(in.exited)
		_ = in.cmd.Wait() // ProcessState says it
	})
	return in, nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("faults: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// environment is that of a user without any variable of ours.
func environment() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "MAGNE_") && !strings.HasPrefix(kv, "AMQP_URL=") {
			env = append(env, kv)
		}
	}
	return env
}

// ready asks /readyz. The text is its body, or why nobody answered.
func (in *instance) ready(ctx context.Context) (ok bool, text string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+in.probes+"/readyz", nil)
	if err != nil {
		return false, err.Error()
	}
	resp, err := in.http.Do(req)
	if err != nil {
		return false, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return false, err.Error()
	}
	return resp.StatusCode == http.StatusOK, strings.TrimSpace(string(body))
}

// alive returns an error with the end of the log when the process has ended.
func (in *instance) alive() error {
	select {
	case <-in.exited:
		return fmt.Errorf("faults: the instance has ended with %v:\n%s", in.cmd.ProcessState, in.log)
	default:
		return nil
	}
}

// stop asks the process to end, as a service manager does, and waits for its exit
// code 0.
func (in *instance) stop(ctx context.Context) error {
	if err := in.alive(); err != nil {
		return err
	}
	if err := in.cmd.Process.Signal(os.Interrupt); err != nil {
		return fmt.Errorf("faults: stop the instance: %w", err)
	}
	select {
	case <-in.exited:
	case <-ctx.Done():
		return fmt.Errorf("faults: the instance does not stop:\n%s", in.log)
	}
	if code := in.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("faults: the instance has stopped with exit code %d:\n%s", code, in.log)
	}
	return nil
}

// close ends the process whatever it does, and removes its directory unless that is to
// be kept.
func (in *instance) close() error {
	_ = in.cmd.Process.Kill() // it has ended, mostly
	in.wg.Wait()
	if err := in.file.Close(); err != nil {
		return fmt.Errorf("faults: instance: %w", err)
	}
	if in.keep {
		return nil
	}
	if err := os.RemoveAll(in.dir); err != nil {
		return fmt.Errorf("faults: instance: %w", err)
	}
	return nil
}

// tail keeps the end of what a process writes, and what it first wrote of a crash.
type tail struct {
	mu      sync.Mutex
	text    []byte
	crashes []byte // the first line of them
}

const tailSize = 16 << 10

// Write never fails.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for line := range bytes.Lines(b) {
		if t.crashes == nil && (bytes.Contains(line, []byte("panic: ")) || bytes.Contains(line, []byte("DATA RACE"))) {
			t.crashes = bytes.Clone(line)
		}
	}
	t.text = append(t.text, b...)
	if extra := len(t.text) - tailSize; extra > 0 {
		t.text = append(t.text[:0], t.text[extra:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

// crash is what was first said of a panic or a race; "" is none.
func (t *tail) crash() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.crashes)
}
