package treeview

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/supervisor"
)

// now is the moment of every golden test.
var now = time.Date(2026, 1, 2, 15, 0, 0, 0, time.UTC)

// TestGolden renders the JSON trees in testdata. Rewrite with
// go test ./internal/treeview -rewrite; commit a change only when you want it.
func TestGolden(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			o := Options{Version: "0.1.0", Color: d.HasArg("color"), Wide: d.HasArg("wide")}
			d.MaybeScanArgs(t, "width", &o.Width)
			return strings.ReplaceAll(shown(t, d, o), "\x1b", `\e`)
		})
	})
}

// shown is what a command of the golden tests makes of its JSON.
func shown(t *testing.T, d *datadriven.TestData, o Options) string {
	t.Helper()
	var root *supervisor.Node
	var into any = &root
	status := &control.Status{}
	var events []control.Event
	var tasks []control.Task
	var logs []control.Entry
	var changes []control.Change
	switch d.Cmd {
	case "logs":
		into = &logs
	case "changes":
		into = &changes
	case "status":
		into = status
	case "events":
		into = &events
	case "tasks":
		into = &tasks
	}
	if err := json.Unmarshal([]byte(d.Input), into); err != nil {
		d.Fatalf(t, "%v", err)
	}
	switch d.Cmd {
	case "render":
		return Render(root, now, o)
	case "ps":
		return PS(root, now, o)
	case "inspect":
		return Inspect(root, now, o)
	case "status":
		return Status(status, now, o)
	case "events":
		return Events(events, o)
	case "tasks":
		return Tasks(tasks, now, o)
	case "logs":
		return Logs(logs, o)
	case "changes":
		return Changes(changes, o)
	case "why":
		var b strings.Builder
		for _, arg := range d.CmdArgs {
			b.WriteString("# " + arg.Key + "\n" + strings.Join(append(Why(root, arg.Key, now), ""), "\n"))
		}
		return b.String()
	}
	d.Fatalf(t, "unknown command %q", d.Cmd)
	return ""
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second:                   "0.0s", // clocks of two machines
		0:                              "0.0s",
		9990 * time.Millisecond:        "9.9s",
		59999 * time.Millisecond:       "59s",
		time.Minute:                    "1m",
		time.Hour - 1:                  "59m",
		3*time.Hour + 2*time.Minute:    "3h02m",
		24 * time.Hour:                 "1d0h",
		100*24*time.Hour + 5*time.Hour: "100d5h",
	} {
		if got := age(d); got != want {
			t.Errorf("age(%v) = %q, want %q", d, got, want)
		}
	}
}

// TestAnyText: whatever the fields hold, a node is one line, nothing that a
// terminal would obey gets out, and the columns stay where they are.
func TestAnyText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bytes := rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 12), func(b []byte) string { return string(b) })
		text := rapid.OneOf(rapid.StringN(0, 12, -1), bytes)
		child := &supervisor.Node{ID: text.Draw(t, "id"), Kind: "worker", State: text.Draw(t, "state"), LastError: "LAST"}
		root := &supervisor.Node{ID: "root", Kind: "root", State: "up", LastError: "LAST", Children: []*supervisor.Node{child}}
		out := Render(root, now, Options{Version: text.Draw(t, "version")})
		lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		if len(lines) != 4 {
			t.Fatalf("got %d lines, want 4:\n%q", len(lines), out)
		}
		for _, line := range lines {
			if cleaned := clean(line); strings.TrimSpace(line) != cleaned {
				t.Fatalf("line %q has something to clean: %q", line, cleaned)
			}
		}
		column := func(line string) int { return width(line[:strings.LastIndex(line, "LAST")]) }
		for _, line := range lines[2:] {
			if column(line) != column(lines[1]) {
				t.Fatalf("LAST-ERROR is not aligned:\n%s", out)
			}
		}
	})
}

func TestTruncate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, limit := rapid.String().Draw(t, "s"), rapid.IntRange(1, 20).Draw(t, "limit")
		got := truncate(s, limit)
		if width(got) > limit {
			t.Fatalf("%q has %d cells, want at most %d", got, width(got), limit)
		}
		if width(s) <= limit && got != s {
			t.Fatalf("%q fits and became %q", s, got)
		}
	})
}

// TestAnyTree: whatever a tree looks like, why says something about each node of
// it, each sentence once, one line each, and the other views show each node.
func TestAnyTree(t *testing.T) {
	state := rapid.SampledFrom([]string{"up", "failed", "backoff", "paused", "connecting", "starting", "down", "stopping", "abandoned", "consuming", "new"})
	kind := rapid.SampledFrom([]string{"sup", "router", "pool", "worker", "broker"})
	rapid.Check(t, func(t *rapid.T) {
		all := []*supervisor.Node{{ID: "root", Kind: "root", State: state.Draw(t, "state of root")}}
		for i := range rapid.IntRange(0, 12).Draw(t, "nodes") {
			n := &supervisor.Node{
				ID: "n" + strconv.Itoa(i), Kind: kind.Draw(t, "kind"), State: state.Draw(t, "state"),
				LastError: rapid.SampledFrom([]string{"", "boom\nbang"}).Draw(t, "error"),
			}
			parent := rapid.SampledFrom(all).Draw(t, "parent")
			parent.Children = append(parent.Children, n)
			all = append(all, n)
		}
		for _, n := range all {
			lines := Why(all[0], n.ID, now)
			if len(lines) == 0 || !strings.HasPrefix(lines[0], n.ID+" ") {
				t.Fatalf("%s: %q", n.ID, lines)
			}
			if sorted := slices.Sorted(slices.Values(lines)); len(slices.Compact(sorted)) != len(lines) {
				t.Fatalf("%s: a sentence comes twice: %q", n.ID, lines)
			}
			if strings.Contains(strings.Join(lines, ""), "\n") {
				t.Fatalf("%s: a sentence of two lines: %q", n.ID, lines)
			}
		}
		if got := strings.Count(PS(all[0], now, Options{}), "\n"); got != len(all)+2 {
			t.Fatalf("ps has %d lines for %d nodes", got, len(all))
		}
	})
}

// TestSteady: pieces of one list are in line, whatever is in them.
func TestSteady(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	o := Options{Steady: true}
	text := Events(nil, o)
	o.Untitled = true
	text += Events([]control.Event{{Event: supervisor.Event{Time: at, Type: "up", ID: "a", Reason: "X"}}}, o)
	text += Events([]control.Event{{Event: supervisor.Event{Time: at, Type: "connection_lost", ID: "router:mail", Reason: "X"}}}, o)
	lines := strings.Split(text, "\n")
	for _, line := range lines[1:3] {
		if strings.Index(line, "X") != strings.Index(lines[0], "WHY") {
			t.Errorf("not in line:\n%s", text)
		}
	}
}
