package testenv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var errDied = errors.New("the node died while it booted")

// watchdog runs epmd and the node, and kills both when its standard input, a
// pipe from us, is closed: that is, when we are dead, however we died. Erlang
// would start an epmd that outlives everybody, so it gets ours, which listens before it
// is started.
// Arguments: directory, "temp" or "keep", rabbitmq-server.
const watchdog = `
exec 3<&0 </dev/null
epmd -port "$ERL_EPMD_PORT" -address 127.0.0.1 3<&- & epmd=$!
until epmd -port "$ERL_EPMD_PORT" -names 3<&- >/dev/null 2>&1 || ! kill -0 $epmd 2>/dev/null; do sleep 0.02; done
"$3" 3<&- & node=$!
echo $node >"$1/node.pid.new" && mv "$1/node.pid.new" "$1/node.pid"
( read -r _ <&3; : >"$1/orphaned"; kill -KILL $node ) & dog=$!
wait $node
code=$?
kill -KILL $epmd $dog 2>/dev/null
if [ -e "$1/orphaned" ] && [ "$2" = temp ]; then rm -rf "$1"; fi
exit $code
`

// run is one life of a node.
type run struct {
	cmd    *exec.Cmd
	beam   int           // process id of the Erlang VM
	exited chan struct{} // closed by the waiter when all processes are gone
	leash  *os.File      // its end kills the node
}

// launch starts the processes of n and returns when the VM has a process id.
func launch(n *Node) (*run, error) {
	out, err := os.Create(n.outputFile())
	if err != nil {
		return nil, err
	}
	defer out.Close()
	hold, leash, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer hold.Close()
	pidFile := filepath.Join(n.Dir, "node.pid")
	if err := os.Remove(pidFile); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	keep := "keep"
	if n.temp {
		keep = "temp"
	}
	cmd := exec.Command("/bin/sh", "-c", watchdog, "watchdog", n.Dir, keep, filepath.Join(n.sbin, "rabbitmq-server"))
	cmd.Env, cmd.Dir = n.env(), n.Dir
	cmd.Stdin, cmd.Stdout, cmd.Stderr = hold, out, out
	cmd.SysProcAttr = ownGroup() // a Ctrl-C is for us, not for the node
	if err := cmd.Start(); err != nil {
		leash.Close()
		return nil, err
	}
	r := &run{cmd: cmd, exited: make(chan struct{}), leash: leash}
	go func() {
		defer close(r.exited)
		_ = cmd.Wait() // the exit code of a killed VM says nothing
	}()
	if r.beam, err = r.readPID(pidFile); err != nil {
		return nil, errors.Join(err, r.stop(syscall.SIGKILL))
	}
	return r, nil
}

// readPID waits until the watchdog has written the file.
func (r *run) readPID(file string) (int, error) {
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		text, err := os.ReadFile(file)
		if err == nil {
			return strconv.Atoi(strings.TrimSpace(string(text)))
		}
		select {
		case <-tick.C:
		case <-r.exited:
			return 0, errDied
		case <-deadline:
			return 0, fmt.Errorf("no process id: %w", err)
		}
	}
}

// stop sends sig to the VM and waits for the end of everything that was started.
// What has not gone 15 seconds later is killed.
func (r *run) stop(sig syscall.Signal) error {
	defer r.leash.Close()
	if r.beam > 0 {
		select {
		case <-r.exited: // the number may belong to somebody else by now
			return nil
		default:
		}
		if err := kill(r.beam, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("testenv: signal the node: %w", err)
		}
		select {
		case <-r.exited:
			return nil
		case <-time.After(15 * time.Second):
		}
	}
	if err := kill(-r.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("testenv: kill the node: %w", err)
	}
	<-r.exited
	return nil
}

// cpuTime reads the user and system time of a process from /proc.
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("testenv: CPU time: %w", err)
	}
	// The name in parentheses may hold blanks; utime and stime are the 12th and
	// 13th field after it.
	text := string(stat)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("testenv: CPU time: unexpected %q", text)
	}
	var ticks int64
	for _, f := range fields[11:13] {
		v, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("testenv: CPU time: %w", err)
		}
		ticks += v
	}
	const ticksPerSecond = 100 // USER_HZ of every Linux
	return time.Duration(ticks) * time.Second / ticksPerSecond, nil
}

// RSS reads the resident memory of a process from /proc, in bytes.
func RSS(pid int) (int64, error) {
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, fmt.Errorf("testenv: memory: %w", err)
	}
	fields := strings.Fields(string(statm))
	if len(fields) < 2 {
		return 0, fmt.Errorf("testenv: memory: unexpected %q", statm)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("testenv: memory: %w", err)
	}
	return pages * int64(os.Getpagesize()), nil
}
