package config_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/magne-actors/magne-actors/config"
)

// TestDiff runs testdata/diff.txt: two configurations with --- between them, and
// what a reload of the second one does. NAME=OLD,NEW are variables.
func TestDiff(t *testing.T) {
	datadriven.RunTest(t, "testdata/diff.txt", func(t *testing.T, d *datadriven.TestData) string {
		var sides [2]*config.File
		for i, text := range strings.Split(d.Input, "\n---\n") {
			var environ []string
			for _, arg := range d.CmdArgs {
				environ = append(environ, arg.Key+"="+arg.Vals[i])
			}
			f, err := config.ParseBare(strings.NewReader("version: 1\n"+text), "magne.yaml", environ)
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			sides[i] = f
		}
		var b strings.Builder
		for _, c := range config.Diff(sides[0], sides[1]) {
			fmt.Fprintf(&b, "%s %s %v\n  %s\n", c.Action, c.Pool, c.Keys, c.Text)
		}
		if strings.Contains(b.String(), "hunter") {
			t.Errorf("%s: a secret is shown:\n%s", d.Pos, b.String())
		}
		return b.String()
	})
}

// Every key has a value in everything.yaml that is not the default; leaving it out
// must be seen.
func TestDiffSeesEveryKey(t *testing.T) {
	full := everything(t)
	bare, err := config.ParseAsRoot(strings.NewReader(`
version: 1
broker: {url: "amqp://h/"}
pools:
  Mail.Out: {mode: thread, tasks: {t: {builtin: echo}}}
  resize: {mode: process, process: {command: [a]}}
  script: {mode: oneshot, process: {command: [a]}}
`), "bare.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{"processes": true}
	for _, c := range config.Diff(bare, full) {
		for _, k := range c.Keys {
			seen[k] = true
			for cut := strings.LastIndexByte(k, '.'); cut > 0; cut = strings.LastIndexByte(k[:cut], '.') {
				seen[k[:cut]] = true
			}
		}
	}
	for _, key := range config.Keys() {
		below := strings.TrimPrefix(key, "pools.<pool>.")
		switch {
		case strings.Contains(below, "<") || below == "version" || below == "pools":
		case strings.HasPrefix(key, "broker.embedded"), strings.HasSuffix(key, "_file"): // not used beside url; not in everything.yaml
		case below == "supervision.defaults.restart" || below == "supervision.defaults.shutdown": // they are in the pools
		case slices.Contains([]string{"mode", "broker.auth.mechanism", "supervision.pools.shutdown", "size.mode", "reload.surge"}, below): // the same in both
		case !seen[below]:
			t.Errorf("%s: not seen", key)
		}
	}
}

// The properties of Diff: a configuration does not differ from itself, what it
// says is enough to get from one to the other, nothing milder would do, and the
// way back is the same one.
func TestDiffProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old, next := drawFile(t, "old"), drawFile(t, "next")
		for _, c := range config.Diff(old, old) {
			if c.Action != config.ActionKeep || len(c.Keys) > 0 || c.Pool == "" {
				t.Fatalf("a file and itself: %+v", c)
			}
		}
		there, back := config.Diff(old, next), config.Diff(next, old)
		checkApplied(t, old, next, there)
		opposite := map[string]string{config.ActionAdd: config.ActionRemove, config.ActionRemove: config.ActionAdd}
		for _, c := range there {
			i := slices.IndexFunc(back, func(b config.Change) bool { return b.Pool == c.Pool })
			want := c.Action
			if o, found := opposite[want]; found {
				want = o
			}
			if i < 0 || back[i].Action != want || len(back[i].Keys) != len(c.Keys) {
				t.Fatalf("there %+v, back %+v", c, back)
			}
			if strings.Contains(c.Text, "hunter") {
				t.Fatalf("a secret is shown: %s", c.Text)
			}
		}
	})
}

// checkApplied does what the changes say, with nothing but what each action is for.
func checkApplied(t *rapid.T, old, next *config.File, changes []config.Change) {
	before, want := byName(old), byName(next)
	got := maps.Clone(before)
	for _, c := range changes {
		switch c.Action {
		case config.ActionManual:
			if cmp.Equal(old.Processes, next.Processes) {
				t.Fatalf("manual, and processes is %d in both", old.Processes)
			}
		case config.ActionRemove:
			delete(got, c.Pool)
		case config.ActionAdd, config.ActionRestart:
			got[c.Pool] = want[c.Pool]
		default:
			got[c.Pool] = applied(before[c.Pool], want[c.Pool], c.Action)
		}
		milder := map[string]string{config.ActionLimit: config.ActionKeep, config.ActionScale: config.ActionLimit, config.ActionRoll: config.ActionScale}[c.Action]
		if milder != "" && cmp.Equal(applied(before[c.Pool], want[c.Pool], milder), want[c.Pool]) {
			t.Fatalf("%+v, and %s would do", c, milder)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("-wanted +after the changes:\n%s\n%+v", diff, changes)
	}
}

func byName(f *config.File) map[string]config.Pool {
	all := map[string]config.Pool{}
	for _, p := range f.Pools {
		all[p.Name] = p
	}
	return all
}

// applied is the pool after an action.
func applied(p, next config.Pool, action string) config.Pool {
	switch action {
	case config.ActionRoll:
		p.Process, p.StartTimeout, p.Timeout, p.Watchdog = next.Process, next.StartTimeout, next.Timeout, next.Watchdog
		p.Recycle, p.MaxLost, p.Logs, p.Reload = next.Recycle, next.MaxLost, next.Logs, next.Reload
		fallthrough
	case config.ActionScale:
		p.Workers, p.Size = next.Workers, next.Size
		fallthrough
	case config.ActionLimit:
		p.Watermarks = next.Watermarks
	}
	return p
}

// drawFile draws a configuration out of few values, so that some are the same.
func drawFile(t *rapid.T, label string) *config.File {
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\nprocesses: %d\npools:\n", rapid.IntRange(1, 2).Draw(t, label+" processes"))
	names := rapid.Permutation([]string{"a", "b", "c"}).Draw(t, label+" order")
	for _, name := range names[:rapid.IntRange(1, 3).Draw(t, label+" pools")] {
		draw := func(what string, choices ...string) string {
			return rapid.SampledFrom(choices).Draw(t, label+" "+name+" "+what)
		}
		common := draw("watermarks", "", "watermarks: {high: 3}, ") + draw("timeout", "", "timeout: 5s, ") + draw("intensity", "", "", "intensity: 9, ")
		if draw("mode", "coroutine", modeOfProcess) == "coroutine" {
			fmt.Fprintf(&b, "  %s: {%sworkers: %s, tasks: {t: {builtin: %s}}}\n", name, common, draw("workers", "4", "5"), draw("task", "echo", "echo", "sleep"))
			continue
		}
		fmt.Fprintf(&b, "  %s: {%s%s, mode: process, %sprocess: {command: [a, %s], env: {A: %s}, secrets: {S: {env: %s}}}}\n", name, common,
			draw("size", "workers: 4", "workers: 5", "size: {max: 4}", "size: {min: 2, max: 4}", "size: {max: 5, mode: static}"),
			draw("recycle", "", "recycle: {max_tasks: 9}, "), draw("argument", "x", "y"), draw("variable", "hunter1", "hunter2"), draw("secret", "S1", "S2"))
	}
	f, err := config.ParseAsRoot(strings.NewReader(b.String()), "magne.yaml", []string{"S1=hunter1", "S2=hunter2"})
	if err != nil {
		t.Fatalf("%v\n%s", err, b.String())
	}
	return f
}

const modeOfProcess = "process"

// A mode that changes is not buried under the keys that only one of the two has.
func TestDiffOfAnotherMode(t *testing.T) {
	parse := func(text string) *config.File {
		f, err := config.ParseBare(strings.NewReader("version: 1\npools: {a: {"+text+"}}"), "magne.yaml", nil)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	got := config.Diff(parse("slots: 7, tasks: {t: {builtin: echo}}"), parse("mode: process, queue: b, process: {command: [x]}"))
	want := []config.Change{{
		Pool: "a", Action: config.ActionRestart, Keys: []string{"queue", "mode", "watermarks.high", "shutdown"},
		Text: "queue a -> b, mode coroutine -> process, watermarks.high 7 -> 1, shutdown 5s -> 30s",
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
