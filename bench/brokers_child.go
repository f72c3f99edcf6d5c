package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/magne-actors/magne-actors/broker/embedded"
	"github.com/magne-actors/magne-actors/internal/testenv"
)

// benchBroker is a broker in a process of its own, over TCP, with its files in
// the directory for temporary files.
type benchBroker interface {
	url() string
	rss() (int64, error) // resident memory in bytes
	// restart stops the broker and returns how long the next one took until a
	// client was connected.
	restart(ctx context.Context) (time.Duration, error)
	stop() error
}

// startBroker also returns how long that took.
func startBroker(ctx context.Context, system string) (benchBroker, time.Duration, error) {
	start := time.Now()
	if system == systemEmbedded {
		dir, err := os.MkdirTemp("", "magne-embedded-")
		if err != nil {
			return nil, 0, err
		}
		b := &embeddedBroker{dir: dir}
		took, err := b.start(ctx)
		if err != nil {
			return nil, 0, errors.Join(err, b.stop())
		}
		return b, took, nil
	}
	node, err := testenv.Start(ctx, testenv.Options{})
	if errors.Is(err, testenv.ErrNotInstalled) {
		return nil, 0, fmt.Errorf("%w: %w", errUnreachable, err)
	}
	if err != nil {
		return nil, 0, err
	}
	return rabbit{node}, time.Since(start), nil
}

type rabbit struct{ node *testenv.Node }

func (r rabbit) url() string         { return r.node.URL }
func (r rabbit) rss() (int64, error) { return r.node.RSS() }
func (r rabbit) stop() error         { return r.node.Stop() }

func (r rabbit) restart(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	err := r.node.Restart(ctx)
	return time.Since(start), err
}

// embeddedBroker is a child that runs broker/embedded.
type embeddedBroker struct {
	dir     string
	cmd     *exec.Cmd
	input   io.Closer // the child ends with it
	address string
}

func (b *embeddedBroker) url() string { return "amqp://guest:guest@" + b.address + "/" }

// start returns how long it took until a client was connected.
func (b *embeddedBroker) start(ctx context.Context) (time.Duration, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	cmd := exec.CommandContext(ctx, self, brokerChildArg, b.dir)
	cmd.Stderr = os.Stderr
	if b.input, err = cmd.StdinPipe(); err != nil {
		return 0, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	b.cmd = cmd
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("the embedded broker did not start: %w", err)
	}
	b.address = strings.TrimSpace(line)
	conn, err := amqp091.Dial(b.url())
	if err != nil {
		return 0, err
	}
	return time.Since(begin), conn.Close()
}

func (b *embeddedBroker) rss() (int64, error) { return testenv.RSS(b.cmd.Process.Pid) }

func (b *embeddedBroker) restart(ctx context.Context) (time.Duration, error) {
	if err := b.end(); err != nil {
		return 0, err
	}
	return b.start(ctx)
}

func (b *embeddedBroker) end() error {
	if b.cmd == nil {
		return nil
	}
	err := errors.Join(b.input.Close(), b.cmd.Wait())
	b.cmd = nil
	return err
}

func (b *embeddedBroker) stop() error { return errors.Join(b.end(), os.RemoveAll(b.dir)) }

// brokerChildArg, with a directory behind it, makes the program an embedded
// broker until its standard input ends.
const brokerChildArg = "broker-child"

func brokerChild(dir string, in io.Reader, out, errOut io.Writer) int {
	if err := serveBroker(dir, in, out); err != nil {
		fmt.Fprintln(errOut, "bench:", err)
		return exitError
	}
	return exitOK
}

func serveBroker(dir string, in io.Reader, out io.Writer) error {
	b, err := embedded.Open(embedded.Options{Dir: dir})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return errors.Join(err, b.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- b.Serve(ctx, l) }()
	fmt.Fprintln(out, l.Addr())
	_, err = io.Copy(io.Discard, in)
	cancel()
	if e := <-served; !errors.Is(e, context.Canceled) && !errors.Is(e, embedded.ErrClosed) {
		err = errors.Join(err, e)
	}
	return errors.Join(err, b.Close())
}
