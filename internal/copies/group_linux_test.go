package copies_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/internal/copies"
	"github.com/magne-actors/magne-actors/internal/osproc"
	"github.com/magne-actors/magne-actors/supervisor"
)

// patience is how long anything may take on a busy machine.
const patience = 60 * time.Second

// safe is a buffer for several goroutines.
type safe struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safe) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safe) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// running is a Group whose Run goes on.
type running struct {
	*copies.Group
	t      *testing.T
	log    *safe
	events *control.Events
	stop   context.CancelFunc
	ended  chan error
	dir    string
}

// begin runs a Group of test binaries.
func begin(t *testing.T, n int, role string, change func(*copies.Options)) *running {
	t.Helper()
	log := new(safe)
	logger := slog.New(slog.NewTextHandler(log, nil))
	host, err := osproc.New(osproc.Options{ReapStrays: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(host.Close)
	dir, err := copies.MakeDir(os.TempDir(), "/tmp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dir.Close(); err != nil {
			t.Error(err)
		}
	})
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o := copies.Options{
		N: n, Command: []string{program}, Dir: dir.Path, Host: host, Events: new(control.Events), Logger: logger,
		Environ: append(os.Environ(), roleVariable+"="+role, "COPIES_TEST_DIR="+dir.Path),
		Root:    supervisor.Spec{Strategy: supervisor.RestForOne, Intensity: 1, Period: time.Minute},
		Copies:  supervisor.Spec{Intensity: 3, Period: time.Minute, Backoff: supervisor.Backoff{Initial: 10 * time.Millisecond}},
	}
	if change != nil {
		change(&o)
	}
	g, err := copies.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{Group: g, t: t, log: log, events: o.Events, stop: stop, ended: make(chan error, 1), dir: dir.Path}
	go func() { r.ended <- g.Run(ctx) }()
	t.Cleanup(func() {
		g.Abort(syscall.SIGINT)
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return r
}

// end is what Run returns.
func (r *running) end() error {
	r.t.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(patience):
		r.t.Fatal("it does not end")
		return nil
	}
}

// until waits for something.
func (r *running) until(what string, ok func() bool) {
	r.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case err := <-r.ended:
			r.t.Fatalf("it has ended with %v, and not: %s", err, what)
		case <-deadline.C:
			shown := "no tree"
			if n := r.Tree(); n != nil {
				shown = tree(n)
			}
			r.t.Fatalf("still not: %s\n%s", what, shown)
		}
	}
}

func (r *running) up() *running {
	r.t.Helper()
	r.until("all are up", r.Up)
	return r
}

func (r *running) node(id string) *supervisor.Node { return find(r.Tree(), id) }

func find(n *supervisor.Node, id string) *supervisor.Node {
	if n == nil || n.ID == id {
		return n
	}
	for _, c := range n.Children {
		if found := find(c, id); found != nil {
			return found
		}
	}
	return nil
}

func TestCopiesAreOneInstance(t *testing.T) {
	r := begin(t, 3, "good", nil).up()
	got := tree(r.Tree())
	one := "[copy/%d up [root@%d up [broker@%d connected] [router:p@%d consuming] [p/1@%d up]]]"
	var want strings.Builder
	want.WriteString("root up [copies up")
	for i := 1; i <= 3; i++ {
		want.WriteString(" " + fmt.Sprintf(one, i, i, i, i, i))
	}
	if got != want.String()+"]" {
		t.Errorf("tree: got %s, want %s", got, want.String()+"]")
	}
	if s := copies.Summary(r.Tree()); s != "3/3 copies, 3/3 workers ready, 6 in flight" {
		t.Errorf("summary: %s", s)
	}
	if n := r.Inspect("router:p@2"); n == nil || n.ID != "router:p@2" || *n.InFlight != 2 {
		t.Errorf("inspect router:p@2: %+v", n)
	}
	if n := r.Inspect("copy/2"); n == nil || find(n, "p/1@2") == nil || *n.PID != *r.node("root@2").PID {
		t.Errorf("inspect copy/2: %+v", n)
	}
	for _, id := range []string{"router:p", "router:q@2", "router:p@9", "nobody"} {
		if n := r.Inspect(id); n != nil {
			t.Errorf("inspect %s: %+v", id, n)
		}
	}
	var ids []string
	for _, task := range r.Tasks() {
		ids = append(ids, task.ID+" "+task.Worker)
	}
	if got := strings.Join(ids, ", "); got != "p#1@3 p/1@3, p#1@2 p/1@2, p#1@1 p/1@1" {
		t.Errorf("tasks: %s", got)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if rep := r.Report(ctx); rep.Ready || fmt.Sprint(rep.Reasons) != "[copy/2: it is the second]" || len(rep.Pools) != 3 {
		t.Errorf("report: %+v", rep)
	}
	if pages := r.Metrics(ctx); len(pages) != 0 { // these copies keep none
		t.Errorf("metrics: %v", pages)
	}
	r.until("the events of copies are there", func() bool {
		n := 0
		for _, e := range r.events.After(0) {
			if strings.HasPrefix(e.ID, "p/1@") {
				n++
			}
		}
		return n == 3
	})
	if !strings.Contains(r.log.String(), "level=INFO msg=hello pool=p n=7 copy=2\n") {
		t.Error("the log has nothing of copy 2")
	}
	if err := r.Ping(ctx); err != nil {
		t.Error(err)
	}
	r.stop()
	if err := r.end(); err != nil {
		t.Errorf("end: %v", err)
	}
}

func TestOperationsGoToCopies(t *testing.T) {
	r := begin(t, 3, "good", nil).up()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	high := func() (list [3]int64) {
		for i := range list {
			list[i] = *r.node(control.At("router:p", i+1)).High
		}
		return list
	}
	check := func(what string, err error, want string) {
		t.Helper()
		if got := fmt.Sprint(err); got != want {
			t.Errorf("%s: got %s, want %s", what, got, want)
		}
	}
	check("scale p", r.Scale(ctx, "p", 4), "<nil>")
	check("scale p@2", r.Scale(ctx, "p@2", 5), "<nil>")
	if got := high(); got != [3]int64{4, 5, 4} {
		t.Errorf("sizes: %v", got)
	}
	check("scale p 13", r.Scale(ctx, "p", 13), "copy/2: unlucky")
	for _, pool := range []string{"q", "q@2", "p@4"} {
		if err := r.Scale(ctx, pool, 4); !errors.Is(err, supervisor.ErrNotFound) {
			t.Errorf("scale %s: %v", pool, err)
		}
	}
	check("restart root@1", r.Restart(ctx, "root@1"), "the root of a copy is its process: restart copy/1")
	check("restart p@1", r.Restart(ctx, "p@1"), "<nil>")
	if err := r.Restart(ctx, "p"); !errors.Is(err, supervisor.ErrNotFound) {
		t.Errorf("restart p: %v", err)
	}
	for id, want := range map[string]string{"p#1": "3 <nil>", "p#1@2": "1 <nil>", "odd@2": "1 <nil>", "p#2@1": "0 no such child"} {
		n, err := r.Cancel(ctx, id)
		if got := fmt.Sprint(n, " ", err); got != want {
			t.Errorf("cancel %s: got %s, want %s", id, got, want)
		}
	}
	list, err := r.Reload(ctx)
	if got := fmt.Sprint(list, err); got != "[{p scale [] 1 -> 2}] <nil>" {
		t.Errorf("reload: %s", got)
	}
	if err := r.Kill("copy/9"); !errors.Is(err, supervisor.ErrNotFound) {
		t.Errorf("kill copy/9: %v", err)
	}
	before := *r.node("copy/3").PID
	check("restart copy/3", r.Restart(ctx, "copy/3"), "<nil>")
	r.until("copy/3 has another process", func() bool {
		n := r.node("copy/3")
		return n.PID != nil && *n.PID != before && n.State == "up"
	})
	if n := r.node("copy/3"); n.LastError != "" {
		t.Errorf("a restart that was asked for is an error: %s", n.LastError)
	}
}

func TestACopyThatDiesIsStartedAgain(t *testing.T) {
	r := begin(t, 2, "good", nil).up()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := errors.Join(r.Scale(ctx, "p", 7), r.Pause(ctx, "p@1")); err != nil {
		t.Fatal(err)
	}
	before := *r.node("copy/1").PID
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.until("copy/1 is up again", func() bool {
		n := r.node("copy/1")
		return n.PID != nil && *n.PID != before && n.State == "up" && len(n.Children) == 1
	})
	n := r.Inspect("copy/1")
	if *n.Restarts != 1 || n.Generation != 2 || len(n.Exits) != 1 || n.Exits[0].PID != before || !strings.Contains(n.LastError, "SIGKILL") {
		t.Errorf("what is known of it: %+v", n)
	}
	if n := r.node("router:p@1"); *n.High != 7 || n.State != "suspended" {
		t.Errorf("what operators have asked for is forgotten: %+v", n)
	}
	if n := r.node("router:p@2"); n.State != "consuming" {
		t.Errorf("the other copy is %s", n.State)
	}
	// What a reload has set, it has; a pool stays paused.
	if _, err := r.Reload(ctx); err != nil {
		t.Fatal(err)
	}
	if err := r.Restart(ctx, "copy/1"); err != nil {
		t.Fatal(err)
	}
	r.until("copy/1 is up again, and only paused", func() bool {
		n := r.node("router:p@1")
		return n != nil && *n.High == 1 && n.State == "suspended"
	})
}

func TestACopyThatHangsIsShownAsStale(t *testing.T) {
	r := begin(t, 2, "good", nil).up()
	r.Tree()
	if err := r.Signal("copy/2", syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	r.until("it does not answer", func() bool { return r.node("copy/2").State == copies.Stale })
	began := time.Now()
	root := r.Tree()
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the snapshot took %v", took)
	}
	if n := find(root, "copy/2"); n.State != copies.Stale || find(n, "p/1@2") == nil || find(root, "copy/1").State != "up" {
		t.Errorf("got %s", tree(root))
	}
	if err := r.Signal("copy/2", syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	r.until("it answers again", func() bool { return r.node("copy/2").State == "up" })
}

func TestTooManyRestartsEndIt(t *testing.T) {
	r := begin(t, 2, "exit 1", nil)
	if _, ok := errors.AsType[*supervisor.ExhaustedError](r.end()); !ok {
		t.Error("it does not end because of the intensity")
	}
}

func TestWhatARestartDoesNotChange(t *testing.T) {
	for _, code := range []int{2, 3} {
		r := begin(t, 2, fmt.Sprintf("exit %d", code), nil)
		exit, ok := errors.AsType[*copies.ExitError](r.end())
		if !ok || exit.Code != code || exit.Message != "it cannot work" || exit.Hint != "do something" {
			t.Errorf("exit %d: got %+v", code, exit)
		}
	}
	// Later it waits, and the others go on.
	r := begin(t, 2, "once 2", nil).up()
	if err := r.Kill("copy/1"); err != nil {
		t.Fatal(err)
	}
	r.until("it waits", func() bool { return strings.Contains(r.log.String(), "copy cannot start again") })
	if n := r.node("copy/2"); n.State != "up" {
		t.Errorf("the other is %s", n.State)
	}
	r.stop()
	if err := r.end(); err != nil {
		t.Errorf("end: %v", err)
	}
}

func TestGivingUpAgainAndAgain(t *testing.T) {
	r := begin(t, 1, "exit 70", func(o *copies.Options) { o.Copies.Intensity, o.Copies.Period = 3, time.Second })
	err := r.end()
	_, exhausted := errors.AsType[*supervisor.ExhaustedError](err)
	if exit, ok := errors.AsType[*copies.ExitError](err); !exhausted && (!ok || exit.Code != 70) {
		t.Errorf("got %v", err)
	}
}

func TestBurstEndsWithTheLastCopy(t *testing.T) {
	r := begin(t, 3, "exit 0", func(o *copies.Options) { o.Burst = true })
	if err := r.end(); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestStubbornCopiesAreKilled(t *testing.T) {
	r := begin(t, 2, "stubborn", func(o *copies.Options) { o.Grace = 50 * time.Millisecond }).up()
	r.stop()
	if err := r.end(); err == nil || !strings.Contains(err.Error(), "copy/1 was told to stop: killed by us") || !strings.Contains(err.Error(), "copy/2") {
		t.Errorf("got %v", err)
	}
}

func TestAbort(t *testing.T) {
	r := begin(t, 2, "stubborn", nil).up()
	r.stop() // they do not listen
	began := time.Now()
	r.Abort(syscall.SIGINT)
	if err := r.end(); !errors.Is(err, copies.ErrAborted) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestNewWantsWhatItNeeds(t *testing.T) {
	if _, err := copies.New(copies.Options{}); err == nil {
		t.Error("no error")
	}
}
