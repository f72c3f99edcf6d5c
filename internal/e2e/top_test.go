package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"
	"golang.org/x/term"

	"github.com/magne-actors/magne-actors/supervisor"
)

// stuck starts an instance with 1,000 workers that are all blocked in tasks.
func stuck(tb testing.TB) *app {
	tb.Helper()
	a := start(tb, setup{pools: "p:\n  queue: work\n  mode: thread\n  workers: 1000\n  tasks: {nap: {builtin: sleep}}\n"})
	magneIn(tb, a.dir, nil, nil, "publish", "-c", a.config, "-n", "1000", "nap", "3600").want(tb, 0)
	a.untilNode("router:p", "1000 run", func(n *supervisor.Node) bool { return number(n.Running) == 1000 })
	return a
}

// terminal is a command in a pseudo terminal.
type terminal struct {
	races    string // where the race detector writes
	t        *testing.T
	cmd      *exec.Cmd
	tty, own *os.File // of the command, and of whoever looks at it
	screen   vt10x.Terminal
	drawn    chan struct{} // something was written
	exited   chan error
	before   *term.State
}

// inTerminal starts a command in a terminal of 120x40.
func (a *app) inTerminal(t *testing.T, args ...string) *terminal {
	t.Helper()
	own, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	tm := &terminal{
		races: filepath.Join(t.TempDir(), "race"),
		t:     t, cmd: exec.Command(program(t), append(args, "--socket", a.socket)...), tty: tty, own: own,
		screen: vt10x.New(vt10x.WithSize(120, 40)), drawn: make(chan struct{}, 1), exited: make(chan error, 1),
	}
	tm.resize(120, 40)
	if tm.before, err = term.GetState(int(tty.Fd())); err != nil {
		t.Fatal(err)
	}
	cmd := tm.cmd
	cmd.Dir, cmd.Env = a.dir, environment(t, "TERM=xterm-256color", "GORACE=log_path="+tm.races)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = leash()
	cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty = true, true
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { tm.exited <- cmd.Wait() }()
	read := make(chan struct{})
	go tm.read(read)
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended already, mostly
		_ = tty.Close()
		_ = own.Close() // ends read
		<-read
	})
	return tm
}

func (tm *terminal) read(done chan<- struct{}) {
	defer close(done)
	buf := make([]byte, 32<<10)
	for {
		n, err := tm.own.Read(buf)
		if err != nil {
			return
		}
		_, _ = tm.screen.Write(buf[:n]) // it takes everything
		select {
		case tm.drawn <- struct{}{}:
		default:
		}
	}
}

func (tm *terminal) resize(cols, rows int) {
	tm.t.Helper()
	tm.screen.Resize(cols, rows)
	if err := pty.Setsize(tm.own, &pty.Winsize{Cols: uint16(cols), Rows: uint16(rows)}); err != nil {
		tm.t.Fatal(err)
	}
}

// press types keys.
func (tm *terminal) press(keys string) {
	tm.t.Helper()
	if _, err := tm.own.WriteString(keys); err != nil {
		tm.t.Fatal(err)
	}
}

// shows waits until all texts are on the screen, and returns how long that took.
func (tm *terminal) shows(texts ...string) time.Duration {
	tm.t.Helper()
	began := time.Now()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		screen := tm.screen.String()
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(screen, text) }) {
			return time.Since(began)
		}
		select {
		case <-tm.drawn:
		case <-deadline.C:
			tm.t.Fatalf("not all of %q are on the screen:\n%s", texts, screen)
		}
	}
}

// libraryRace reports whether the race detector has found what bubbletea's reader of
// the terminal does at its end, when the program is over, and nothing else.
func (tm *terminal) libraryRace() bool {
	files, _ := filepath.Glob(tm.races + ".*")
	found := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			tm.t.Fatal(err)
		}
		for _, report := range strings.Split(string(text), "WARNING: DATA RACE")[1:] {
			if found++; !strings.Contains(report, "cancelreader.(*epollCancelReader).Close()") {
				tm.t.Errorf("a race: %s", report)
				return false
			}
		}
	}
	return found > 0
}

// ended waits for the end of the command and holds that the terminal is as it was.
func (tm *terminal) ended() {
	tm.t.Helper()
	select {
	case err := <-tm.exited:
		if err != nil && !tm.libraryRace() {
			tm.t.Errorf("the command: %v", err)
		}
	case <-time.After(patience):
		tm.t.Fatalf("the command has not ended after %v:\n%s", patience, tm.screen.String())
	}
	after, err := term.GetState(int(tm.tty.Fd()))
	if err != nil {
		tm.t.Fatal(err)
	}
	if before, after := fmt.Sprintf("%+v", tm.before), fmt.Sprintf("%+v", after); before != after {
		tm.t.Errorf("the terminal was\n%s\nand is\n%s", before, after)
	}
	eventually(tm.t, "the cursor is shown and the screen is the old one", func() (bool, any) {
		screen := tm.screen.String()
		tm.screen.Lock()
		defer tm.screen.Unlock()
		return tm.screen.CursorVisible() && tm.screen.Mode()&vt10x.ModeAltScreen == 0, screen
	})
}

// TestTop: with 1,000 workers that are all blocked, top shows them, follows the
// keys and the size of the terminal, and leaves the terminal as it was.
func TestTop(t *testing.T) {
	t.Parallel()
	a := stuck(t)
	tm := a.inTerminal(t, "top", "--interval", "100ms")
	t.Logf("the first screen after %v", tm.shows("HEALTHY", "1000 run", "1000/1000", "settled/s", "lines 1-35 of 100"))
	tm.shows("0 settled/s")

	var took []time.Duration
	for range 20 {
		tm.press("G")
		took = append(took, tm.shows("p/1000 "))
		tm.press("g")
		took = append(took, tm.shows("lines 1-35", "|- router:p", "p/1 "))
	}
	slices.Sort(took)
	t.Logf("a key is on the screen after %v (median), %v (slowest of %d)", took[len(took)/2], took[len(took)-1], len(took))

	tm.press("/p/77\r")
	tm.shows("filter: p/77", "of 15", "p/770")
	tm.press("sj")
	tm.shows("order: name", "lines 1-11 of 11")
	tm.press("\r")
	tm.shows("-- p/770 ---", "is up since", "and busy: 1 run and 0 wait.", "handled")
	tm.press("r")
	tm.shows("restart p/770? y/n")
	tm.press("n")
	tm.shows("not done")
	tm.press("?")
	tm.shows("KEYS", "restart the node, after a question")
	tm.press("x\x1b")
	tm.resize(80, 24)
	tm.shows("order: name", "lines 1-11 of 11", "? help  q quit")
	tm.resize(20, 5)
	tm.shows("? help  q quit", "p/77")
	tm.resize(120, 40)
	tm.press("q")
	tm.ended()
	a.kill()
}

// TestTopRestarts: top restarts a node after a question, and goes on while the
// instance is away.
func TestTopRestarts(t *testing.T) {
	t.Parallel()
	s := setup{pools: "p:\n  queue: work\n  workers: 3\n  tasks: {nap: {builtin: sleep}}\n"}
	a := start(t, s)
	tm := a.inTerminal(t, "top", "--interval", "100ms", "--no-color")
	tm.shows("HEALTHY", "0 restarts")
	tm.press("/p/2\r")
	tm.shows("of 5", "p/2")
	tm.press("r")
	tm.shows("restart p/2? y/n")
	tm.press("y")
	tm.shows("restart p/2: done", "1 restarts")
	a.stop()
	tm.shows("UNREACHABLE", "since", "no instance answers")
	a.again(t, s)
	tm.shows("HEALTHY", "0 restarts")
	tm.press("\x03")
	tm.ended()
	a.stop()
}

// TestTopSignal: a signal ends top as q does.
func TestTopSignal(t *testing.T) {
	t.Parallel()
	a := (setup{pools: "p: {queue: work, tasks: {nap: {builtin: sleep}}}\n"}).write(t) // it need not run
	tm := a.inTerminal(t, "top")
	tm.shows("UNREACHABLE", "no instance answers")
	if err := tm.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	tm.ended()
}

// TestTopSamples: rates of -o json times their seconds are what was settled.
func TestTopSamples(t *testing.T) {
	t.Parallel()
	a := start(t, setup{pools: "p:\n  queue: work\n  workers: 3\n  tasks: {nap: {builtin: sleep}}\n"})
	w := spawn(t, a.dir, nil, nil, "top", "-o", "json", "-n", "50", "--interval", "50ms", "--socket", a.socket)
	magneIn(t, a.dir, nil, nil, "publish", "-c", a.config, "-n", "200", "nap", "0.01").want(t, 0)
	if code := w.wait(); code != 0 {
		t.Fatalf("exit code: got %d, want 0", code)
	}
	var settled float64
	lines := 0
	for line := range bytes.Lines([]byte(w.stdout.String())) {
		var s struct {
			Seconds float64
			Nodes   []struct {
				ID      string
				Kind    string
				Settled *float64 `json:"settled_per_s"`
			}
		}
		if err := json.Unmarshal(line, &s); err != nil || s.Seconds <= 0 || len(s.Nodes) < 8 {
			t.Fatalf("not a sample: %v\n%s", err, line)
		}
		lines++
		for _, n := range s.Nodes {
			if n.ID == "router:p" && n.Settled != nil {
				settled += *n.Settled * s.Seconds
			}
		}
	}
	if lines != 50 || settled < 199 || settled > 201 {
		t.Errorf("got %d samples with %.1f settled, want 50 with 200", lines, settled)
	}
	a.look(2, "top")
	a.stop()
	a.look(3, "top", "-o", "json")
}

// BenchmarkTree is the wall time of `tree -o json` with 1,000 workers that are all
// blocked, the start of its process included.
func BenchmarkTree(b *testing.B) {
	a := stuck(b)
	for b.Loop() {
		a.tree()
	}
	a.kill()
}
