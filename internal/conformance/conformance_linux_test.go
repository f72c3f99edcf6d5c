package conformance_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/internal/conformance"
	"github.com/magne-actors/magne-actors/internal/testenv"
	"github.com/magne-actors/magne-actors/sdk/child"
	"github.com/magne-actors/magne-actors/task"
)

// roleVariable makes the test binary a worker.
const roleVariable = "CONFORMANCE_TEST_ROLE"

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

const hello = `{"t":"hello","proto":1,"tasks":["x"],"concurrency":1,"caps":["cancel"],"sdk":"bad/0","pid":1}`

// play is a worker: a good one, or one with a single fault.
func play(role string) error {
	if role == "good" {
		mux := task.NewMux()
		mux.Handle("x", task.HandlerFunc(func(context.Context, *task.Message) error { return nil }))
		return child.Serve(context.Background(), mux, child.Options{})
	}
	byHand := os.Getenv("MAGNE_PROTO") == ""
	switch {
	case byHand && role == "hang by hand":
		select {}
	case byHand && role == "ok by hand":
		return nil
	case byHand:
		return errors.New("run me with magne-actors run")
	}
	syscall.CloseOnExec(3)
	if role != "leaky" {
		syscall.CloseOnExec(4)
	}
	b := &bad{role: role, in: bufio.NewReader(os.NewFile(3, "in")), out: os.NewFile(4, "out")}
	return b.run()
}

// bad is a worker without an SDK, as one that somebody has written in a hurry.
type bad struct {
	role string
	in   *bufio.Reader
	out  *os.File
	held []uint64
}

func (b *bad) say(format string, args ...any) { fmt.Fprintf(b.out, format+"\n", args...) }

func (b *bad) run() error {
	switch b.role {
	case "crash at start":
		return errors.New("no module named resize")
	case "silent":
		select {}
	case "stdout":
		b.out = os.Stdout
	case "old":
		b.say(`{"t":"hello","proto":0,"tasks":["x"]}`)
	case "no tasks":
		b.say(`{"t":"hello","proto":1,"pid":1}`)
	case "chatty":
		b.say("loading")
	}
	if b.role != "no tasks" {
		b.say("%s", hello)
	}
	for {
		line, err := b.in.ReadString('\n')
		if err != nil {
			if b.role == "immortal" {
				select {}
			}
			return nil
		}
		var f struct {
			T, Name string
			ID      any // of an unknown frame it may be anything
			N, Len  int
		}
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			return err
		}
		if b.role != "blind" && f.Len > 0 {
			if _, err := b.in.Discard(f.Len); err != nil {
				return err
			}
		}
		if stop, err := b.frame(f.T, f.Name, number(f.ID), f.N); stop {
			return err
		}
	}
}

func number(id any) uint64 {
	n, _ := id.(float64)
	return uint64(n)
}

// frame does what the role does with a frame; stop ends the worker.
func (b *bad) frame(typ, name string, id uint64, n int) (stop bool, err error) {
	switch typ {
	case "task":
		b.task(name, id)
	case "ping":
		if b.role != "deaf" {
			b.say(`{"t":"pong","n":%d}`, n)
		}
	case "cancel":
		if b.role == "double cancel" {
			b.say(`{"t":"error","id":%d,"kind":"Cancelled"}`, id)
		}
	case "drain":
		switch b.role {
		case "drain with 3":
			os.Exit(3)
		case "no drain":
		default:
			return true, nil
		}
	case "welcome":
	default:
		if b.role == "strict" {
			return true, fmt.Errorf("unknown frame %q", typ)
		}
	}
	return false, nil
}

func (b *bad) task(name string, id uint64) {
	reply := func(id uint64) { b.say(`{"t":"ok","id":%d}`, id) }
	switch {
	case name != "x" && b.role == "knows all":
		reply(id)
	case name != "x":
		b.say(`{"t":"error","id":%d,"kind":"Unknown","msg":"no such task","permanent":true}`, id)
	case b.role == "twice":
		reply(id)
		reply(id)
	case b.role == "wrong id":
		reply(id + 1000)
	case b.role == "mute":
	case b.role == "only beats":
		go func() {
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for range tick.C {
				b.say(`{"t":"beat"}`)
			}
		}()
	case b.role == "print":
		fmt.Fprintln(b.out, "working on it")
		reply(id)
	case b.role == "echo to stdout":
		fmt.Printf("{\"t\":\"ok\",\"id\":%d}\n", id)
		reply(id)
	case b.role == "reverse" && id > 1 && len(b.held) < 4: // the five of the row order
		b.held = append(b.held, id)
	case b.role == "reverse" && id > 1:
		reply(id)
		for _, id := range slices.Backward(b.held) {
			reply(id)
		}
		b.held = make([]uint64, 0, 100)
		b.role = "good from now on"
	default:
		reply(id)
	}
}

// options are those of the test binary in a role. Waits for what does not come are
// short.
func options(role string) conformance.Options {
	return conformance.Options{
		Command: []string{os.Args[0]}, Env: []string{roleVariable + "=" + role, "PATH=" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0"},
		Timeout: 2 * time.Second,
	}
}

func run(t *testing.T, o conformance.Options) *conformance.Report {
	t.Helper()
	r, err := conformance.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestBadWorkers: the row of each fault fails and says what it is.
func TestBadWorkers(t *testing.T) {
	for _, tt := range []struct{ role, row, detail string }{
		{"hang by hand", "by-hand", "MAGNE_PROTO"},
		{"ok by hand", "by-hand", "exits with 0"},
		{"crash at start", "hello", "no module named resize"},
		{"silent", "hello", "nothing within 2s"},
		{"stdout", "hello", "on stdout: write frames to the descriptor in MAGNE_FD_OUT"},
		{"old", "hello", "version 0"},
		{"no tasks", "hello", "tasks is empty"},
		{"chatty", "hello", `not a JSON object: "loading`},
		{"deaf", "ping", "should answer a ping: nothing within"},
		{"twice", "task", "second reply to task 1"},
		{"wrong id", "task", "task 1001, which was never issued"},
		{"mute", "task", "nothing within"},
		{"only beats", "task", "no reply within 2s, only beats and the like"},
		{"print", "task", "fd 4 is for frames only"},
		{"reverse", "order", "in the order [6 5 4 3 2]"},
		{"blind", "binary-body", ""},
		{"strict", "unknown-frame", `unknown frame \"shiny\"`},
		{"knows all", "unknown-task", "want an error with permanent true"},
		{"double cancel", "cancel", "second reply to task 1"},
		{"leaky", "descriptors", "fd 4 is not close-on-exec"},
		{"no drain", "drain", "after the drain"},
		{"drain with 3", "drain", "exit status 3"},
		{"echo to stdout", "stdout", "looks like a frame"},
		{"immortal", "eof", "should exit"},
	} {
		t.Run(tt.role, func(t *testing.T) {
			t.Parallel()
			r := run(t, options(tt.role))
			found := false
			for _, row := range r.Rows {
				if bad := row.Result == conformance.Failed || row.Result == conformance.Warning; row.Name == tt.row {
					found = bad && strings.Contains(row.Detail, tt.detail)
				} else if bad && !follows(tt.role) {
					t.Errorf("row %s is bad, too: %s", row.Name, row.Detail)
				}
			}
			if !found {
				t.Errorf("row %s does not say %q: %+v", tt.row, tt.detail, r.Rows)
			}
		})
	}
}

// follows says that a fault shows in other rows as well.
func follows(role string) bool {
	switch role {
	case "twice", "wrong id", "mute", "only beats", "print", "blind", "no tasks", "deaf", "reverse":
		return true
	}
	return false
}

// TestSDKs: the SDKs do all right.
func TestSDKs(t *testing.T) {
	sdk, err := filepath.Abs("../../sdk")
	if err != nil {
		t.Fatal(err)
	}
	workers := "../wire/testdata/workers/"
	for _, command := range [][]string{
		{os.Args[0]}, {"python3", workers + "worker.py"}, {"node", workers + "worker.js"}, {"dash", workers + "worker.sh"}, {"bash", workers + "worker.sh"},
	} {
		t.Run(filepath.Base(command[0]), func(t *testing.T) {
			t.Parallel()
			testenv.Program(t, command[0])
			o := options("good")
			o.Command, o.Timeout = command, 30*time.Second
			o.Env = append(o.Env, "MAGNE_SDK="+sdk, "PYTHONPATH="+filepath.Join(sdk, "python"), "PYTHONDONTWRITEBYTECODE=1")
			if len(command) > 1 {
				o.Task = "nothing"
			}
			r := run(t, o)
			for _, row := range r.Rows {
				if row.Result == conformance.Failed || row.Result == conformance.Warning && row.Name != "descriptors" {
					t.Errorf("%s: %s %s", row.Name, row.Result, row.Detail)
				}
			}
			if r.Count(conformance.OK) < 10 || r.SDK == "" {
				t.Errorf("got %+v", r)
			}
		})
	}
}

// TestTask: another task than the first one, with arguments.
func TestTask(t *testing.T) {
	o := options("good")
	o.Task, o.Args = "y", json.RawMessage(`["a"]`)
	r := run(t, o)
	if row := r.Rows[1]; row.Name != "hello" || row.Result != conformance.Failed || !strings.Contains(row.Detail, `"y", but x`) {
		t.Errorf("got %+v", row)
	}
	o.Task, o.Args = "x", json.RawMessage(`{"a":1}`)
	if r := run(t, o); r.Count(conformance.Failed) != 0 {
		t.Errorf("got %+v", r)
	}
}

func TestStdio(t *testing.T) {
	o := options("good")
	o.Stdio = true
	if r := run(t, o); r.Count(conformance.Failed)+r.Count(conformance.Warning) != 0 {
		t.Errorf("got %+v", r)
	}
}

func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		o    conformance.Options
		want string
	}{
		{conformance.Options{}, "no command"},
		{conformance.Options{Args: json.RawMessage("3")}, "want a JSON array or object"},
	} {
		if _, err := conformance.Run(t.Context(), tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	o := options("silent")
	o.Timeout = time.Hour
	if _, err := conformance.Run(ctx, o); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	r := run(t, conformance.Options{Command: []string{"no-such-program"}})
	if r.Count(conformance.Failed) != 2 || r.Count(conformance.OK) != 0 || !strings.Contains(r.Rows[1].Detail, "not found") {
		t.Errorf("got %+v", r)
	}
}
