package config

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/configuration.md")

// docs/configuration.md is made from the table. This test fails when it is old.
func TestConfigurationDoc(t *testing.T) {
	const file = "../docs/configuration.md"
	want, err := os.ReadFile("testdata/configuration.head.md")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, reference()...)
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is old: go test ./config -run TestConfigurationDoc -update", file)
	}
}

// The variables in the head of the document are those that Parse looks for.
func TestDocumentedVariables(t *testing.T) {
	head, err := os.ReadFile("testdata/configuration.head.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(head)) {
		key, variable, found := strings.Cut(strings.Trim(line, "|` \n"), "` | `")
		if !found || !strings.HasPrefix(variable, "MAGNE_") {
			continue
		}
		rows++
		var p path
		for name := range strings.SplitSeq(key, ".") {
			p = append(p, step{name: name})
		}
		if got := p.variable(); got != variable {
			t.Errorf("%s: documented %s, is %s", key, variable, got)
		}
	}
	if rows < 5 {
		t.Errorf("%d rows found", rows)
	}
}

// reference is the part of the document that describes the keys.
func reference() []byte {
	var b bytes.Buffer
	var absent []string
	for _, k := range keys() {
		switch {
		case k.absent != "":
			absent = append(absent, fmt.Sprintf("* `%s`: %s.\n", k.path, k.absent))
		case k.kind == section || k.kind == names:
			fmt.Fprintf(&b, "### `%s`\n\n%s\n\n", k.path, k.doc)
			if k.rule != "" {
				fmt.Fprintf(&b, "Default: %s.\n\n", k.rule)
			}
			if k.word != "" {
				fmt.Fprintf(&b, "Name: %s.\n\n", k.wordDoc)
			}
			if k.modes != nil {
				fmt.Fprintf(&b, "For %s only.\n\n", k.modeNames())
			}
		default:
			doc := k.doc + laterWords(&k)
			if k.modes != nil {
				doc += " For " + k.modeNames() + " only."
			}
			fmt.Fprintf(&b, "**`%s`** · %s\n\n%s\n\n", k.path, facts(&k), doc)
		}
	}
	b.WriteString("## Not in this version\n\nA file that has one of these is refused, and told why.\n\n")
	b.WriteString(strings.Join(absent, ""))
	return b.Bytes()
}

// facts is "duration · default 30s · 0s to 24h".
func facts(k *key) string {
	kinds := map[kind]string{text: "text", secret: "secret", whole: "whole number", number: "number", duration: "duration", size: "size", list: "list", percent: "share", rate: "rate"}
	list := []string{kinds[k.kind]}
	for _, word := range sortedNames(k.words) {
		list[0] += " or `" + word + "`"
	}
	switch {
	case k.required:
		list = append(list, "required")
	case k.def != "":
		list = append(list, "default `"+k.def+"`")
	case k.rule != "":
		list = append(list, "default: "+k.rule)
	case !strings.HasPrefix(k.path[strings.LastIndexByte(k.path, '.')+1:], "<"):
		list = append(list, "no default")
	}
	switch {
	case k.enum != nil:
		list = append(list, "`"+strings.Join(k.enum, "`, `")+"`")
	case k.patternDoc != "":
		list = append(list, k.patternDoc)
	case k.lo != "" && k.lo == k.hi:
		list = append(list, "only `"+k.lo+"`")
	case k.lo != "":
		list = append(list, "`"+k.lo+"` to `"+k.hi+"`")
	}
	return strings.Join(list, " · ")
}

func laterWords(k *key) string {
	var words []string
	for _, w := range sortedNames(k.later) {
		words = append(words, "`"+w+"`")
	}
	if words == nil {
		return ""
	}
	return " Not in this version: " + enumerate(words, "and") + "."
}
