package process_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/supervisor/process"
	"github.com/magne-actors/magne-actors/task"
)

// What a worker can do wrong with a task. Each time the task gets its answer, the
// process is dead with all that it has started, and the slot has another one that
// works.
func TestFaultsInATask(t *testing.T) {
	before := descriptors(t)
	for _, tt := range []struct {
		task string
		why  string // of the LostError; "": the task is done
		text string // in the error
		soon func(*process.Options)
	}{
		{task: "garbage", why: process.WhyProtocol, text: `what is this`},
		{task: "not JSON", why: process.WhyProtocol, text: "Traceback"},
		{task: "long header", why: process.WhyProtocol, text: "a header of more than 65536 bytes"},
		{task: "long body", why: process.WhyProtocol, text: "a body of 1073741824 bytes"},
		{task: "half a frame", why: process.WhyProtocol, text: "the end within a header"},
		{task: "half a body", why: process.WhyProtocol, text: "the end within a body"},
		{task: "unknown id", why: process.WhyProtocol, text: "was never issued"},
		{task: "second hello", why: process.WhyProtocol, text: "a second hello"},
		{task: "two replies"},
		{task: "closes its pipe", why: process.WhyProtocol, text: "closed its pipe"},
		{task: "stops", why: process.WhyTimeout, text: "stopped by", soon: hardTimeout},
		{task: "stops", why: process.WhyWatchdog, text: "said nothing for", soon: func(o *process.Options) { o.Watchdog = 100 * time.Millisecond }},
		{task: "dies", why: process.WhyExit, text: "killed by SIGKILL"},
		{task: "exits", why: process.WhyExit, text: "exit status 0"},
		{task: "says a half", why: process.WhyExit, text: "exit status 1"},
		{task: "hangs", why: process.WhyTimeout, text: "killed by us", soon: hardTimeout},
		{task: "hangs with a family", why: process.WhyTimeout, text: "killed by us", soon: hardTimeout},
		{task: "grows and grows", why: process.WhyMemory, text: "more than 100", soon: func(o *process.Options) { o.Recycle.MaxRSSHard = 100 << 20 }},
		{task: "print"},
		{task: "progress"},
	} {
		t.Run(tt.task, func(t *testing.T) {
			t.Parallel()
			o := options("worker", t.Name())
			mark := "PROCESS_TEST=" + t.Name() + strconv.Itoa(os.Getpid())
			o.Spec.Env = append(o.Spec.Env, mark)
			if tt.soon != nil {
				tt.soon(&o)
			}
			g := newRig(t, rigOptions{options: o})
			if err := g.persist("ok"); err != nil {
				t.Fatalf("before: %v", err)
			}
			pid := g.pid()
			err := g.do(tt.task)
			lost, _ := errors.AsType[*process.LostError](err)
			switch {
			case tt.why == "" && err != nil:
				t.Errorf("got %v", err)
			case tt.why != "" && (lost == nil || lost.Why != tt.why || !strings.Contains(err.Error(), tt.text)):
				t.Errorf("got %v, want %s and %q", err, tt.why, tt.text)
			}
			if tt.why != "" || tt.task == "two replies" {
				g.await("another process", func() bool { n := g.node(0); return n.PID != nil && *n.PID != pid })
			}
			if err := g.persist("ok"); err != nil {
				t.Errorf("after: %v", err)
			}
			if err := g.stop(); err != nil {
				t.Error(err)
			}
			if left := marked(mark); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
	t.Cleanup(func() {
		if after := descriptors(t); after > before {
			t.Errorf("%d descriptors, before %d", after, before)
		}
	})
}

func hardTimeout(o *process.Options) { o.Timeout.Hard = 200 * time.Millisecond }

// marked are the living processes with a variable in their environment.
func marked(variable string) []string {
	var found []string
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		env, err := os.ReadFile(dir + "/environ")
		if err == nil && slices.ContainsFunc(bytes.Split(env, []byte{0}), func(v []byte) bool { return string(v) == variable }) {
			line, _ := os.ReadFile(dir + "/cmdline")
			found = append(found, filepath.Base(dir)+" "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

// What does not reach the worker at all.
func TestATaskThatDoesNotFit(t *testing.T) {
	o := options("worker")
	o.MaxBody = 1000
	g := newRig(t, rigOptions{options: o})
	g.ready()
	pid := g.pid()
	err := g.do("ok", `"`+strings.Repeat("x", 1000)+`"`)
	if task.OutcomeOf(err).Kind != task.KindDiscard || !strings.Contains(err.Error(), "over the limit") {
		t.Errorf("body: got %v", err)
	}
	m := message("ok")
	m.Headers = map[string]string{"trace": strings.Repeat("x", 70_000)}
	err = g.slots[0].Run(t.Context(), m)
	if task.OutcomeOf(err).Kind != task.KindDiscard || !strings.Contains(err.Error(), "a header of") {
		t.Errorf("header: got %v", err)
	}
	if err := g.do("ok"); err != nil {
		t.Errorf("after: %v", err)
	}
	if g.pid() != pid {
		t.Error("the worker was replaced for what was no fault of it")
	}
}

// A worker that reads nothing: what was written to it when its pipe was full is
// lost after the write timeout, and not after the hard one.
func TestASlowReader(t *testing.T) {
	o := options("deaf")
	o.WriteTimeout = 100 * time.Millisecond
	g := newRig(t, rigOptions{options: o})
	g.ready()
	err := g.do("ok", `"`+strings.Repeat("x", 1<<20)+`"`)
	lost, _ := errors.AsType[*process.LostError](err)
	if lost == nil || lost.Why != process.WhyHung {
		t.Errorf("got %v", err)
	}
}

// An idle worker that does not answer pings.
func TestADeafWorker(t *testing.T) {
	o := options("deaf")
	o.PingInterval = 50 * time.Millisecond
	g := newRig(t, rigOptions{options: o})
	g.await("a worker lost as hung", func() bool {
		exits := g.node(0).Exits
		return len(exits) > 0 && exits[0].Why == process.WhyHung
	})
}

func TestCancel(t *testing.T) {
	o := options("worker")
	g := newRig(t, rigOptions{options: o})
	g.ready()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := g.slots[0].Run(ctx, message("sleep", "300")); err != nil {
		t.Errorf("a worker that does not listen, and finishes nevertheless: got %v", err)
	}
	ctx2, cancel2 := context.WithCancel(t.Context())
	cancel2()
	if err := g.slots[0].Run(ctx2, message("ok")); !errors.Is(err, process.ErrNotStarted) {
		t.Errorf("a context that is done: got %v", err)
	}
}
