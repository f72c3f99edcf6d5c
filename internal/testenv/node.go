package testenv

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// ErrNotInstalled is wrapped by the error of Start when the machine has no
// RabbitMQ.
var ErrNotInstalled = errors.New("RabbitMQ is not installed (Debian: apt-get install rabbitmq-server)")

// Options says how to start a node. The zero value is usable.
type Options struct {
	// Dir holds the node's data, logs and configuration, and stays after Stop.
	// Default: a temporary directory that Stop removes.
	Dir string
	// Config is appended to the node's rabbitmq.conf.
	Config string
	// Management starts the plugin rabbitmq_management with the node, which makes
	// its boot some seconds longer.
	Management bool
	// Plugins are enabled from the start.
	Plugins []string
	// Boot is how long a boot may take. Default: 2 minutes.
	Boot time.Duration
}

// Node is a private RabbitMQ node. Its methods are for one goroutine at a time.
type Node struct {
	URL  string // amqp URL with the user guest; the same after a Restart
	Dir  string // data, logs and configuration
	Name string // Erlang node name

	// Management is the address of the management API, with the user guest; empty
	// without Options.Management.
	Management string

	opts  Options
	sbin  string
	temp  bool // Dir is ours to remove
	ports ports
	run   *run         // nil while the node is down
	calls atomic.Int64 // of erl_call so far
}

type ports struct{ amqp, dist, epmd, management int }

// Start boots a node and returns when it accepts AMQP connections, or with an
// error when ctx ends or the boot fails; nothing is left behind then. The end of
// ctx after Start does not stop the node.
func Start(ctx context.Context, o Options) (*Node, error) {
	o.Boot = cmp.Or(o.Boot, 2*time.Minute)
	sbin, err := findScripts()
	if err != nil {
		return nil, err
	}
	n := &Node{Dir: o.Dir, opts: o, sbin: sbin, temp: o.Dir == ""}
	if n.temp {
		if n.Dir, err = os.MkdirTemp("", "magne-rabbitmq-"); err != nil {
			return nil, fmt.Errorf("testenv: %w", err)
		}
	}
	// A port that was free a moment ago may be taken by now: try others.
	for range 3 {
		if err = n.configure(); err != nil {
			break
		}
		if err = n.boot(ctx); err == nil || ctx.Err() != nil || !errors.Is(err, errDied) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("testenv: start RabbitMQ: %w", err), n.Stop())
	}
	return n, nil
}

// findScripts returns the directory of RabbitMQ's own scripts. The ones in
// /usr/sbin are wrappers of Debian that insist on the user rabbitmq.
func findScripts() (string, error) {
	for _, pattern := range []string{
		"/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin",
		"/usr/local/lib/rabbitmq/lib/rabbitmq_server-*/sbin",
		"/opt/rabbitmq*/sbin",
		"/opt/homebrew/opt/rabbitmq/sbin",
	} {
		found, err := filepath.Glob(pattern)
		if err == nil && len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	return "", ErrNotInstalled
}

// configure chooses ports and writes the node's configuration.
func (n *Node) configure() error {
	var err error
	if n.ports, err = freePorts(); err != nil {
		return err
	}
	n.URL = fmt.Sprintf("amqp://guest:guest@127.0.0.1:%d/", n.ports.amqp)
	n.Name = fmt.Sprintf("magne-%d-%d@localhost", os.Getpid(), n.ports.amqp)
	plugins, conf := slices.Clone(n.opts.Plugins), ""
	if n.opts.Management {
		plugins = append(plugins, "rabbitmq_management")
		conf = fmt.Sprintf("management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = %d\n", n.ports.management)
		n.Management = fmt.Sprintf("http://guest:guest@127.0.0.1:%d/", n.ports.management)
	}
	for name, text := range map[string]string{
		"rabbitmq.conf": fmt.Sprintf("listeners.tcp.1 = 127.0.0.1:%d\n", n.ports.amqp) +
			"disk_free_limit.absolute = 64MB\nlog.file.level = info\nlog.console = false\n" + conf + n.opts.Config + "\n",
		// At boot the dead-letter workers may run before the exchanges are
		// recovered; they try again after this time, by default only after 3 min.
		"advanced.config": "[{rabbit,[{dead_letter_worker_publisher_confirm_timeout,10000}]}].\n",
		"enabled_plugins": "[" + strings.Join(plugins, ",") + "].\n",
	} {
		if err := os.WriteFile(filepath.Join(n.Dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func freePorts() (ports, error) {
	var p ports
	for _, port := range []*int{&p.amqp, &p.dist, &p.epmd, &p.management} {
		var err error
		if *port, err = FreePort(); err != nil {
			return p, err
		}
	}
	return p, nil
}

// env is the whole environment of the node and of rabbitmqctl: nothing of a
// system-wide installation applies.
func (n *Node) env() []string {
	in := func(name string) string { return filepath.Join(n.Dir, name) }
	return []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + n.Dir, // of the Erlang cookie
		"LANG=C.UTF-8",
		"detached=1", // the script becomes the Erlang VM instead of watching it
		"ERL_EPMD_PORT=" + strconv.Itoa(n.ports.epmd),
		"ERL_EPMD_ADDRESS=127.0.0.1",
		"ERL_CRASH_DUMP=" + in("erl_crash.dump"),
		"RABBITMQ_NODENAME=" + n.Name,
		"RABBITMQ_DIST_PORT=" + strconv.Itoa(n.ports.dist),
		"RABBITMQ_CONF_ENV_FILE=" + in("no-rabbitmq-env.conf"),
		"RABBITMQ_CONFIG_FILE=" + in("rabbitmq.conf"),
		"RABBITMQ_ADVANCED_CONFIG_FILE=" + in("advanced.config"),
		"RABBITMQ_GENERATED_CONFIG_DIR=" + in("generated"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + in("enabled_plugins"),
		"RABBITMQ_FEATURE_FLAGS_FILE=" + in("feature_flags"),
		"RABBITMQ_MNESIA_BASE=" + in("data"),
		"RABBITMQ_LOG_BASE=" + in("log"),
		"RABBITMQ_PID_FILE=" + in("rabbitmq.pid"),
	}
}

// boot starts the node and waits until it speaks AMQP.
func (n *Node) boot(ctx context.Context) error {
	r, err := launch(n)
	if err != nil {
		return err
	}
	n.run = r
	ctx, cancel := context.WithTimeout(ctx, n.opts.Boot)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if n.answers() {
			return nil
		}
		select {
		case <-tick.C:
		case <-r.exited:
			n.run = nil
			return fmt.Errorf("%w: %s", errDied, n.lastOutput())
		case <-ctx.Done():
			return fmt.Errorf("%w: %s", context.Cause(ctx), n.lastOutput())
		}
	}
}

// answers says whether the node greets an AMQP client. Its listeners are opened
// at the end of the boot.
func (n *Node) answers() bool {
	c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(n.ports.amqp)))
	if err != nil {
		return false
	}
	defer c.Close()
	greeting := make([]byte, 1)
	const methodFrame = 1
	if c.SetDeadline(time.Now().Add(5*time.Second)) != nil {
		return false
	}
	if _, err := c.Write([]byte("AMQP\x00\x00\x09\x01")); err != nil {
		return false
	}
	_, err = io.ReadFull(c, greeting)
	return err == nil && greeting[0] == methodFrame
}

func (n *Node) lastOutput() string {
	out, err := os.ReadFile(n.outputFile())
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(out[max(0, len(out)-2000):]))
}

func (n *Node) outputFile() string { return filepath.Join(n.Dir, "output.txt") }

// Ctl runs rabbitmqctl with args against the node and returns what it printed.
// It takes a second or two and blocks until it is done or ctx ends.
func (n *Node) Ctl(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(n.sbin, "rabbitmqctl"), append([]string{"--quiet"}, args...)...)
	cmd.Env, cmd.Dir = n.env(), n.Dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("testenv: rabbitmqctl %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return string(out), nil
}

// Kill ends the node at once, as kill -9 does, and waits until it is gone. Its
// data stays for a Restart. It does nothing when the node is down.
func (n *Node) Kill() error { return n.halt(syscall.SIGKILL) }

// Restart stops the node in good order, unless it is down, and boots it again
// with the same data and address. It blocks until the node accepts AMQP
// connections or ctx ends.
func (n *Node) Restart(ctx context.Context) error {
	if err := n.halt(syscall.SIGTERM); err != nil {
		return err
	}
	if err := n.boot(ctx); err != nil {
		return fmt.Errorf("testenv: restart RabbitMQ: %w", err)
	}
	return nil
}

// Stop ends the node, in good order when it has data to keep, and removes its
// directory when that was a temporary one. It blocks for at most some 20
// seconds. The node cannot be used afterwards.
func (n *Node) Stop() error {
	sig := syscall.SIGTERM
	if n.temp {
		sig = syscall.SIGKILL // nobody will read the data
	}
	err := n.halt(sig)
	if n.temp {
		err = errors.Join(err, os.RemoveAll(n.Dir))
	}
	return err
}

func (n *Node) halt(sig syscall.Signal) error {
	if n.run == nil {
		return nil
	}
	err := n.run.stop(sig)
	n.run = nil
	return err
}

// CPU returns the processor time that the node has used since it was booted.
func (n *Node) CPU() (time.Duration, error) {
	if n.run == nil {
		return 0, errors.New("testenv: the node is down")
	}
	return cpuTime(n.run.beam)
}

// RSS returns the resident memory of the node, in bytes.
func (n *Node) RSS() (int64, error) {
	if n.run == nil {
		return 0, errors.New("testenv: the node is down")
	}
	return RSS(n.run.beam)
}
