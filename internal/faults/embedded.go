package faults

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/internal/testenv"
)

// broker is the process of a broker that the suite owns: a testenv.Node, or an
// embedded one.
type broker interface {
	Kill() error                       // as kill -9 does
	Restart(ctx context.Context) error // in good order, unless it is down; with its data
	Pause() error                      // SIGSTOP
	Resume() error                     // SIGCONT
	Stop() error
}

// embedded is `magne-actors broker`: the broker that an instance without broker.url
// has inside, alone.
type embedded struct {
	program, dir, addr string
	cmd                *exec.Cmd
	log                tail
}

// startEmbedded starts the broker with a directory of its own and returns when it
// answers.
func startEmbedded(ctx context.Context, program string) (*embedded, error) {
	dir, err := os.MkdirTemp("", "magne-embedded-")
	if err != nil {
		return nil, fmt.Errorf("faults: embedded broker: %w", err)
	}
	e := &embedded{program: program, dir: dir}
	if e.addr, err = freeAddress(); err == nil {
		err = e.start(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, e.Stop())
	}
	return e, nil
}

// url is that of the user that every embedded broker has, for this machine only.
func (e *embedded) url() string { return "amqp://guest:guest@" + e.addr + "/" }

func (e *embedded) start(ctx context.Context) error {
	e.cmd = exec.Command(e.program, "broker", "--dir", filepath.Join(e.dir, "data"), "--listen", e.addr)
	e.cmd.Dir, e.cmd.Env, e.cmd.SysProcAttr = e.dir, environment(), leash()
	e.cmd.Stdout, e.cmd.Stderr = &e.log, &e.log
	if err := e.cmd.Start(); err != nil {
		return fmt.Errorf("faults: embedded broker: %w", err)
	}
	for {
		conn, err := amqp091.DialConfig(e.url(), amqp091.Config{Dial: func(network, addr string) (net.Conn, error) {
			return net.DialTimeout(network, addr, time.Second)
		}})
		if err == nil {
			return conn.Close()
		}
		if !pause(ctx, 10*time.Millisecond) {
			return fmt.Errorf("faults: embedded broker: %w: %w: %s", context.Cause(ctx), err, &e.log)
		}
	}
}

func (e *embedded) Kill() error { return e.end(os.Kill) }

func (e *embedded) Restart(ctx context.Context) error {
	if err := e.end(syscall.SIGTERM); err != nil {
		return err
	}
	return e.start(ctx)
}

func (e *embedded) Pause() error  { return testenv.Freeze(e.cmd.Process) }
func (e *embedded) Resume() error { return testenv.Thaw(e.cmd.Process) }

// Stop ends the broker and removes its directory.
func (e *embedded) Stop() error { return errors.Join(e.end(os.Kill), os.RemoveAll(e.dir)) }

// end sends the signal and waits for the end; it does nothing when the process has
// ended.
func (e *embedded) end(sig os.Signal) error {
	if e.cmd == nil || e.cmd.Process == nil || e.cmd.ProcessState != nil {
		return nil
	}
	if err := e.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("faults: embedded broker: %w", err)
	}
	_ = e.cmd.Wait() // however it ends
	return nil
}
