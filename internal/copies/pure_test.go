package copies_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/internal/copies"
	"github.com/magne-actors/magne-actors/internal/health"
	"github.com/magne-actors/magne-actors/internal/osproc"
	"github.com/magne-actors/magne-actors/supervisor"
)

func TestEnviron(t *testing.T) {
	base := []string{"PATH=/bin", "NOTIFY_SOCKET=/run/x", "WATCHDOG_USEC=1", "WATCHDOG_PID=2", "MAGNE_PROCESSES=8", "MAGNE_COPY=9", "MAGNE_COPYRIGHT=me"}
	got := copies.Environ(base, 2, "/run/m/2.sock")
	want := []string{"PATH=/bin", "MAGNE_COPYRIGHT=me", "MAGNE_COPY=2", "MAGNE_CONTROL_SOCKET=/run/m/2.sock", "MAGNE_PROCESSES=1"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMakeDir(t *testing.T) {
	short, long := t.TempDir(), filepath.Join(t.TempDir(), strings.Repeat("x", 100))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	d, err := copies.MakeDir("", "relative", "/does/not/exist", long, short)
	if err != nil || filepath.Dir(d.Path) != short {
		t.Fatalf("got %+v, %v", d, err)
	}
	if info, err := os.Stat(d.Path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if list, _ := os.ReadDir(long); len(list) > 0 {
		t.Errorf("what was too long is left: %v", list)
	}
	for _, in := range [][]string{{""}, {long}, {"/does/not/exist"}} {
		if d, err := copies.MakeDir(in...); err == nil {
			t.Errorf("%q: got %q and no error", in, d.Path)
		}
	}
	// One whose program was killed has a lock that nobody holds.
	old := filepath.Join(short, "magne-copies-1")
	if err := errors.Join(os.Mkdir(old, 0o700), os.WriteFile(filepath.Join(old, "lock"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	other, err := copies.MakeDir(short)
	if err != nil {
		t.Fatal(err)
	}
	if list, _ := os.ReadDir(short); len(list) != 2 {
		t.Errorf("got %v, want the two that are used", list)
	}
	if err := errors.Join(d.Close(), other.Close()); err != nil {
		t.Error(err)
	}
	if list, _ := os.ReadDir(short); len(list) != 0 {
		t.Errorf("left: %v", list)
	}
}

func TestDecide(t *testing.T) {
	for _, c := range []struct {
		code           int
		ever, tooOften bool
		want           string
	}{
		{0, true, false, "restart"},
		{1, false, false, "restart"},
		{-1, false, false, "restart"}, // a signal
		{2, false, false, "give up"},
		{3, false, false, "give up"},
		{2, true, false, "pause"},
		{3, true, false, "pause"},
		{70, false, false, "restart"},
		{70, true, true, "give up"},
	} {
		if got := copies.Decide(c.code, c.ever, c.tooOften); got != c.want {
			t.Errorf("%+v: got %s", c, got)
		}
	}
}

func TestGivingUpIsCounted(t *testing.T) {
	begin := time.Now()
	exit := func(code int, after time.Duration) osproc.Exit {
		return osproc.Exit{Code: code, Started: begin, Ended: begin.Add(after)}
	}
	n := 0
	for i, step := range []struct {
		exit osproc.Exit
		want int
	}{
		{exit(70, time.Second), 1},
		{exit(70, time.Second), 2},
		{exit(1, time.Second), 0},
		{exit(70, time.Second), 1},
		{exit(70, time.Hour), 1},
		{exit(70, time.Minute), 2},
	} {
		if n = copies.CountGaveUp(n, step.exit, 10*time.Minute); n != step.want {
			t.Errorf("step %d: got %d, want %d", i, n, step.want)
		}
	}
}

// What slog's JSON handler writes is read back as it was.
func TestLinesOfALogAreReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[ -~äöü\n"]{0,20}`)
		level := slog.Level(rapid.IntRange(-4, 8).Draw(t, "level"))
		record := slog.NewRecord(time.Unix(rapid.Int64Range(0, 1<<32).Draw(t, "time"), 5e6).UTC(), level, text.Draw(t, "message"), 0)
		for i := range rapid.IntRange(0, 4).Draw(t, "attributes") {
			key := fmt.Sprintf("k%d", rapid.IntRange(0, 9).Draw(t, "key")+10*i)
			switch rapid.IntRange(0, 4).Draw(t, "kind") {
			case 0:
				record.AddAttrs(slog.String(key, text.Draw(t, "value")))
			case 1:
				record.AddAttrs(slog.Int64(key, rapid.Int64().Draw(t, "number")))
			case 2:
				record.AddAttrs(slog.Bool(key, rapid.Bool().Draw(t, "bool")))
			case 3:
				record.AddAttrs(slog.Float64(key, rapid.Float64Range(-9.5, 9.5).Draw(t, "float")+0.25))
			case 4:
				record.AddAttrs(slog.Group(key, slog.String("a", "b"), slog.Int("n", i)))
			}
		}
		var first, second bytes.Buffer
		if err := slog.NewJSONHandler(&first, &slog.HandlerOptions{Level: slog.LevelDebug}).Handle(context.Background(), record); err != nil {
			t.Fatal(err)
		}
		read, ok := copies.ParseLine(strings.TrimSuffix(first.String(), "\n"))
		if !ok {
			t.Fatalf("not read: %s", first.String())
		}
		if err := slog.NewJSONHandler(&second, &slog.HandlerOptions{Level: slog.LevelDebug}).Handle(context.Background(), read); err != nil {
			t.Fatal(err)
		}
		if first.String() != second.String() {
			t.Fatalf("got  %s\nwant %s", second.String(), first.String())
		}
	})
}

func TestOtherLinesAreNoRecords(t *testing.T) {
	for _, line := range []string{"", "panic: oh", "{", `{"a":1}`, `{"msg":1}`, `["msg"]`, `{"msg":"x"} y`} {
		if r, ok := copies.ParseLine(line); ok {
			t.Errorf("%q is read as %+v", line, r)
		}
	}
}

func TestLastWords(t *testing.T) {
	for _, c := range []struct{ lines, message, hint string }{
		{"", "", ""},
		{"a\nb", "", ""},
		{"x\nmagne-actors: no such queue\n  make one", "no such queue", "make one"},
		{"magne-actors: no such queue", "no such queue", ""},
		{`{"level":"INFO","msg":"a"}` + "\n" + `{"level":"ERROR","msg":"b","err":"c"}` + "\n" + `{"level":"INFO","msg":"d"}`, "b: c", ""},
		{"panic: boom\ngoroutine 1 [running]:", "panic: boom", ""},
	} {
		var tail []osproc.Line
		for line := range strings.SplitSeq(c.lines, "\n") {
			tail = append(tail, osproc.Line{Text: line})
		}
		if message, hint := copies.LastWords(tail); message != c.message || hint != c.hint {
			t.Errorf("%q: got %q, %q", c.lines, message, hint)
		}
	}
}

// tree is a tree in one line.
func tree(n *supervisor.Node) string {
	var text strings.Builder
	text.WriteString(n.ID + " " + n.State)
	for _, c := range n.Children {
		text.WriteString(" [" + tree(c) + "]")
	}
	return text.String()
}

func above(states ...string) *supervisor.Node {
	root := &supervisor.Node{ID: "root", Kind: "root", State: "up"}
	for i, s := range states {
		root.Children = append(root.Children, &supervisor.Node{ID: fmt.Sprintf("copy/%d", i+1), Kind: "copy", State: s, Children: []*supervisor.Node{}})
	}
	return root
}

func TestMergeShowsWhatDoesNotAnswer(t *testing.T) {
	one := copies.Relabel(&supervisor.Node{ID: "root", State: "up"}, 1)
	three := copies.Relabel(&supervisor.Node{ID: "root", State: "up"}, 3)
	root := copies.Merge(above("up", "backoff", "up"), []copies.Part{{Copy: 1, Tree: one}, {Copy: 2}, {Copy: 3, Tree: three, Age: 3 * time.Second}})
	if got, want := tree(root), "root up [copy/1 up [root@1 up]] [copy/2 backoff] [copy/3 stale [root@3 up]]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if d := root.Children[2].Detail; d != "does not answer: what is below is 3s old" {
		t.Errorf("detail of the one that does not answer: %q", d)
	}
	if h := control.TreeHealth(root); h != control.Degraded {
		t.Errorf("health: %v", h)
	}
	if copies.Merge(nil, nil) != nil {
		t.Error("there is a tree before there is one")
	}
}

func TestStarted(t *testing.T) {
	with := func(state, broker, router string) *supervisor.Node {
		return &supervisor.Node{Kind: "root", State: state, Children: []*supervisor.Node{{Kind: "broker", State: broker}, {Kind: "router", State: router}}}
	}
	for tree, want := range map[*supervisor.Node]bool{
		nil:                                    false,
		with("starting", "connected", "up"):    false,
		with("up", "connecting", "connecting"): false,
		with("up", "connected", "connecting"):  false,
		with("up", "connected", "consuming"):   true,
		with("up", "connected", "suspended"):   true,
		with("up", "connected", "failed"):      true, // it does not change by itself
	} {
		if got := copies.Started(tree); got != want {
			t.Errorf("%+v: got %v", tree, got)
		}
	}
}

func TestChangesAreSaidOnce(t *testing.T) {
	c := func(pool, text string) control.Change { return control.Change{Pool: pool, Action: "scale", Text: text} }
	got := copies.Changes([][]control.Change{{c("a", "1"), c("", "x")}, nil, {c("a", "1"), c("a", "2"), c("b", "1")}})
	if want := "[{a scale [] 1} {a scale [] 2} {b scale [] 1}]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestErrorsOfCopies(t *testing.T) {
	boom := errors.New("boom")
	for _, c := range []struct {
		errs []error
		want string
	}{
		{[]error{nil, nil}, "<nil>"},
		{[]error{boom, boom}, "boom"},
		{[]error{nil, boom}, "copy/2: boom"},
		{[]error{boom, errors.New("bang")}, "copy/1: boom; copy/2: bang"},
		{[]error{control.ErrNotFound, control.ErrNotFound}, supervisor.ErrNotFound.Error()},
		{[]error{nil, fmt.Errorf("x: %w", control.ErrUnreachable), nil}, "copy/2: it does not answer"},
	} {
		if got := fmt.Sprint(copies.Unite(c.errs...)); got != c.want {
			t.Errorf("%v: got %s, want %s", c.errs, got, c.want)
		}
	}
	if err := copies.Unite(control.ErrNotFound); !errors.Is(err, supervisor.ErrNotFound) {
		t.Errorf("%v is not ErrNotFound", err)
	}
}

func TestReports(t *testing.T) {
	all := copies.AddReport(health.Report{}, 1, health.Report{Ready: true, Pools: []health.Pool{{Pool: "p", Ready: true}}}, nil)
	all = copies.AddReport(all, 2, health.Report{Reasons: []string{"no session"}, Unasked: "away", Pools: []health.Pool{{Pool: "p"}}}, nil)
	all = copies.AddReport(all, 3, health.Report{}, errors.New("gone"))
	if got, want := fmt.Sprintf("%v %s %s %d", all.Reasons, all.Unasked, all.Pools[1].Pool, len(all.Pools)), "[copy/2: no session copy/3 does not answer: gone] away p@2 2"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTasks(t *testing.T) {
	t1 := copies.RelabelTask(control.Task{ID: "mail#17", Pool: "mail", Worker: "mail/3"}, 2)
	t2 := copies.RelabelTask(control.Task{ID: "6f1c", Pool: "mail", Worker: "mail/3"}, 2)
	if t1.ID != "mail#17@2" || t1.Worker != "mail/3@2" || t2.ID != "6f1c" {
		t.Errorf("got %+v and %+v", t1, t2)
	}
}
