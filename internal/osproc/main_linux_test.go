package osproc_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/internal/osproc"
)

// roleVariable makes the test binary a program of a test instead.
const roleVariable = "OSPROC_TEST_ROLE"

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

// patience is how long anything may take on a busy machine.
const patience = 60 * time.Second

// mark is a variable in the environment of all processes of one test.
func mark(t testing.TB) string {
	return fmt.Sprintf("OSPROC_TEST=%s.%d", strings.ReplaceAll(t.Name(), "/", "."), os.Getpid())
}

// alive returns the living processes with a mark, and zombies that are our
// children.
func alive(text string) []string {
	var found []string
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		env, err := os.ReadFile(dir + "/environ")
		if err != nil || !slices.Contains(strings.Split(string(env), "\x00"), text) {
			continue
		}
		line, _ := os.ReadFile(dir + "/cmdline")
		found = append(found, filepath.Base(dir)+" "+strings.ReplaceAll(string(line), "\x00", " "))
	}
	return found
}

// children returns our children with their command lines; that of a zombie is
// empty.
func children() map[int]string {
	found := map[int]string{}
	files, _ := filepath.Glob("/proc/self/task/*/children")
	for _, file := range files {
		data, _ := os.ReadFile(file)
		for field := range strings.FieldsSeq(string(data)) {
			pid, _ := strconv.Atoi(field)
			line, _ := os.ReadFile("/proc/" + field + "/cmdline")
			found[pid] = strings.ReplaceAll(string(line), "\x00", " ")
		}
	}
	return found
}

// zombies returns our dead children that nobody has reaped.
func zombies() []int {
	var found []int
	for pid := range children() {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if i := bytes.LastIndexByte(stat, ')'); i > 0 && stat[i+2] == 'Z' {
			found = append(found, pid)
		}
	}
	return found
}

// eventually polls until ok, which has no event to wait for, says so.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func newHost(t testing.TB, o osproc.Options) *osproc.Host {
	t.Helper()
	h, err := osproc.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// log collects lines and lets a test wait for one.
type log struct {
	mu    sync.Mutex
	lines []osproc.Line
	more  chan struct{} // cap 1
}

func newLog() *log { return &log{more: make(chan struct{}, 1)} }

func (l *log) add(line osproc.Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	select {
	case l.more <- struct{}{}:
	default:
	}
}

// wait waits for a line with the text at its start and returns the rest of it.
func (l *log) wait(t testing.TB, start string) string {
	t.Helper()
	deadline := time.After(patience)
	for {
		l.mu.Lock()
		for _, line := range l.lines {
			if rest, ok := strings.CutPrefix(line.Text, start); ok {
				l.mu.Unlock()
				return rest
			}
		}
		l.mu.Unlock()
		select {
		case <-l.more:
		case <-deadline:
			t.Fatalf("no line %q in %v", start, l.lines)
		}
	}
}

func (l *log) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, line := range l.lines {
		out = append(out, line.Stream.String()+": "+line.Text)
	}
	slices.Sort(out) // of the two streams none is first
	return strings.Join(out, "\n")
}

func start(t testing.TB, h *osproc.Host, s osproc.Spec) *osproc.Proc {
	t.Helper()
	p, err := h.Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, f := range []*os.File{p.In, p.Out, p.Stdin} {
			if f != nil {
				f.Close()
			}
		}
	})
	return p
}

// shell starts a script whose lines the log gets.
func shell(t testing.TB, h *osproc.Host, script string, more ...func(*osproc.Spec)) (*osproc.Proc, *log) {
	t.Helper()
	l := newLog()
	s := osproc.Spec{
		Command: []string{"sh", "-c", script}, Env: []string{"PATH=" + os.Getenv("PATH"), mark(t)},
		Log: osproc.Log{Func: l.add},
	}
	for _, f := range more {
		f(&s)
	}
	return start(t, h, s), l
}

func wait(t testing.TB, p *osproc.Proc) osproc.Exit {
	t.Helper()
	select {
	case <-p.Done():
		return p.Exit()
	case <-time.After(patience):
		t.Fatal("the process does not end")
		return osproc.Exit{}
	}
}

// play is what the test binary does in a role: it is the program that is killed,
// or one that loses OS threads.
func play(role string) error {
	if role != "supervisor" {
		return fmt.Errorf("no role %q", role)
	}
	h, err := osproc.New(osproc.Options{})
	if err != nil {
		return err
	}
	scripts := []string{
		"sleep 600",
		"trap '' TERM; sleep 600 & echo up; wait",
		"setsid sleep 600 & exec sleep 600",
		"(setsid sleep 600 &) ; exec sleep 600",
		"setsid sh -c 'sleep 600 & sleep 600' & exec sleep 600",
	}
	for range 3 {
		for _, script := range scripts {
			l := newLog()
			if _, err := h.Start(context.Background(), osproc.Spec{
				Command: []string{"sh", "-c", "echo up; " + script}, Env: os.Environ(), Log: osproc.Log{Func: l.add},
			}); err != nil {
				return err
			}
			<-l.more
		}
	}
	fmt.Println("ready")
	<-make(chan struct{})
	return errors.New("not reached")
}
