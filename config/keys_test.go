package config

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/magne-actors/magne-actors/task/builtin"
	"github.com/magne-actors/magne-actors/task/codec"
	"github.com/magne-actors/magne-actors/task/httptask"
)

// The table is data: nothing in it is looked at before it is needed, except here.
func TestTable(t *testing.T) {
	seen := map[string]bool{"": true}
	for _, k := range keys() {
		parent := k.path[:max(strings.LastIndexByte(k.path, '.'), 0)]
		if seen[k.path] || !seen[parent] {
			t.Errorf("%s: given twice, or before the section that it is in", k.path)
		}
		seen[k.path] = true
		if k.absent != "" {
			continue
		}
		if !strings.HasSuffix(k.doc, ".") {
			t.Errorf("%s: doc %q is not a sentence", k.path, k.doc)
		}
		if (k.pattern == "") != (k.patternDoc == "") || (k.word == "") != (k.wordDoc == "") || (k.word == "") == strings.HasSuffix(k.path, ">") || k.word != "" && k.pattern != "" {
			t.Errorf("%s: patterns and their descriptions do not fit", k.path)
		}
		regexp.MustCompile(k.pattern)
		regexp.MustCompile(k.word)
		if k.kind == section || k.kind == names {
			continue
		}
		bounds := k
		bounds.lo, bounds.hi = "", ""
		sample := k.sample
		if strings.HasSuffix(k.path, ">") {
			sample = "" // a name
		}
		for _, text := range append([]string{k.lo, k.hi, k.def, sample, k.shown}, k.enum...) {
			if _, err := bounds.parse(scalar{text: text}); text != "" && err != nil {
				t.Errorf("%s: %v", k.path, err)
			}
		}
		if _, err := k.parse(scalar{text: k.def}); k.def != "" && err != nil {
			t.Errorf("%s: default: %v", k.path, err)
		}
	}
}

func TestWordsAreThoseOfThePackages(t *testing.T) {
	for _, k := range keys() {
		for _, word := range k.enum {
			var err error
			switch k.path {
			case "pools.<pool>.codec":
				_, err = codec.ByName(word)
			case "pools.<pool>.tasks.<task>.builtin":
				_, err = builtin.New(word)
			case "pools.<pool>.tasks.<task>.http.method":
				_, err = httptask.New(httptask.Options{URL: "http://h/", Method: word})
			}
			if err != nil {
				t.Errorf("%s: %v", k.path, err)
			}
		}
	}
	task := newTree().child("pools").each.child("tasks").each
	for _, name := range []string{"a", "_a.b:c/d-e", "<locals>", strings.Repeat("a", 255), "", "1", "a b", "ä", "a\n", strings.Repeat("a", 256), "-"} {
		if want := codec.CheckName(name) == nil; task.matches(name) != want {
			t.Errorf("task name %q: allowed %v, codec says %v", name, !want, want)
		}
	}
}

// The file that init writes shows each default behind a #. Taking all # away must
// not change anything, so the defaults that it shows are the real ones.
func TestExampleShowsTheRealDefaults(t *testing.T) {
	parse := func(text string) *File {
		f, err := Parse(strings.NewReader(text), "example", []string{"DB_PASSWORD=hunter2"})
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		return f
	}
	short := parse(string(Example()))
	full := parse(uncommented(string(Example())))
	if full.Control.Socket == "" || len(full.Pools[0].Tasks) != 2 || full.Broker.IsEmbedded() || len(full.Broker.Embedded.Users) != 1 {
		t.Fatalf("the # were not taken away: %+v", full)
	}
	delete(full.Pools[0].Tasks, "notify")
	if full.Pools[0].Retry.Tasks["hello"].MaxAttempts != 5 {
		t.Errorf("the policy of a task: %+v", full.Pools[0].Retry)
	}
	full.Pools[0].Retry.Tasks = nil
	if p := full.Pools[1]; p.Mode != "process" || p.Process == nil || p.Process.Secrets["DB_PASSWORD"].Value != "hunter2" || p.Size == nil {
		t.Errorf("the process pool: %+v", p)
	}
	full.Pools = full.Pools[:1]
	if full.Supervision.Defaults.Shutdown = 0; full.Control.Token == "" || full.Metrics.Listen == "" {
		t.Errorf("control %+v, metrics %+v", full.Control, full.Metrics)
	}
	opts := cmp.Options{
		cmpopts.IgnoreUnexported(File{}), cmpopts.IgnoreFields(Control{}, "Socket", "Listen", "Token"), cmpopts.IgnoreFields(Metrics{}, "Listen"),
		cmpopts.IgnoreFields(Broker{}, "URL", "URLs", "Management", "Spool.Dir"), cmpopts.IgnoreFields(Embedded{}, "Users"),
	}
	if diff := cmp.Diff(short, full, opts); diff != "" {
		t.Errorf("-as written +with all # taken away:\n%s", diff)
	}
	for _, k := range keys() {
		if name := k.path[strings.LastIndexByte(k.path, '.')+1:]; k.absent == "" && name[0] != '<' && !strings.Contains(string(Example()), name+":") {
			t.Errorf("%s is not shown", k.path)
		}
	}
}

// uncommented takes the # away from keys, and leaves it at prose ("# word").
func uncommented(text string) string {
	return regexp.MustCompile(`(?m)^( *)#((  )*[^ #\n]+:( .*)?)$`).ReplaceAllString(text, "$1$2")
}
