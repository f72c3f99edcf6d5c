package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/magne-actors/magne-actors/config"
)

// FuzzParse: whatever the file and the environment, nothing panics, a file without
// errors can be turned into options, and no secret is shown.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		string(config.Example()),
		"version: 1\nbroker: {url: \"amqp://u:hunter2@h/\"}\npools: {p: {tasks: {t: {http: {url: \"http://u:hunter2@h/{task}\", headers: {X: hunter2}}}}}}",
		"version: 1\nx-a: &a {workers: ${N}}\nbroker: {url: \"${U:-amqp://h/}\", heartbeat: 5s}\npools: {a: &p {<<: *a, queue: q}, b: {<<: [*a, *p]}}",
		"supervision: {defaults: {backoff: {factor: .inf}}}\npools: {? [a] : b, ~: c, 1: d}\n---\n",
		"a: &a [*a, *a]\n\"\\0\": !!binary x\n",
		"version: 1\npools: {p: {mode: process, timeout: \"${N}\", size: {max: 3}, process: {command: [a, \"${N}\"], env: {A: \"${N}\"}, secrets: {S: {env: U}}, " +
			"rlimits: {core: unlimited}, cgroup: {cpu_max: 5%}}, logs: {rate: 5/m}, shutdown: infinity}}",
		"version: 1\npools: {p: {mode: oneshot, process: {command: [a], secrets: {S: {}, T: {file: /none}}}, timeout: {hard: 5s}}}\ncontrol: {listen: \":1\", token: \"${U}\"}",
	} {
		f.Add(text, "7")
	}
	f.Fuzz(func(t *testing.T, text, n string) {
		environ := []string{"N=" + n, "U=amqp://u:hunter2@h/" + n, "MAGNE_POOLS_P_WORKERS=" + n, "MAGNE_BROKER_URL=amqp://u:hunter2@h:" + n}
		file, err := config.Parse(strings.NewReader(text), "magne.yaml", environ)
		if file == nil {
			t.Fatal("no File")
		}
		_, optErr := file.Options(nil, nil)
		if err != nil && optErr == nil {
			t.Errorf("Options takes what Parse refuses: %v", err)
		}
		var said strings.Builder
		said.WriteString(show(file))
		if optErr != nil {
			said.WriteString(optErr.Error())
		}
		for _, w := range file.Warnings() {
			said.WriteString(w.Error())
		}
		if err == nil {
			for _, c := range config.Diff(file, file) {
				if c.Action != config.ActionKeep {
					t.Errorf("differs from itself: %+v", c)
				}
			}
			other, err := config.Parse(strings.NewReader("version: 1\npools: {p: {mode: process, process: {command: [b]}}}"), "other.yaml", nil)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(&said, config.Diff(file, other), config.Diff(other, file))
		}
		// Where the file has the word itself, it may stand in a key or in a host.
		if !strings.Contains(text, "hunter2") && !strings.Contains(n, "hunter2") && strings.Contains(said.String(), "hunter2") {
			t.Errorf("shown: %s", said.String())
		}
	})
}

// A few lines that stand for very many values are refused at once.
func TestAliasesDoNotMultiply(t *testing.T) {
	var b strings.Builder
	b.WriteString("version: 1\nx-t: &t\n")
	for i := range 1000 {
		b.WriteString("  t" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + strings.Repeat("y", i/26) + ": {builtin: echo}\n")
	}
	b.WriteString("broker: {url: \"amqp://h/\"}\npools:\n")
	for i := range 1000 {
		b.WriteString("  p" + strings.Repeat("x", i%30) + strings.Repeat("y", i/30) + ": {tasks: *t}\n")
	}
	_, err := config.Parse(strings.NewReader(b.String()), "magne.yaml", nil)
	if err == nil || !strings.Contains(err.Error(), "more than 100000 values") {
		t.Errorf("got %.200v", err)
	}
	_, err = config.Parse(strings.NewReader("# "+strings.Repeat("x", 2<<20)), "magne.yaml", nil)
	if err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
		t.Errorf("got %.200v", err)
	}
}
