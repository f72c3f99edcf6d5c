package faults_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/magne-actors/magne-actors/internal/faults"
)

// TestPageHasEveryFault: docs/faults.md is of a run of the faults that there are.
func TestPageHasEveryFault(t *testing.T) {
	text, err := os.ReadFile("../../docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Concat(faults.Faults(), faults.Embedded())
	for i, line := range rows(string(text)) {
		if i >= len(want) {
			t.Errorf("docs/faults.md has more rows than the %d that are wanted: run `make chaos-docs`", len(want))
			break
		}
		if f := want[i]; !strings.HasPrefix(line, "| `"+f.Name+"` | "+f.Title+" |") {
			t.Errorf("row %d of docs/faults.md is %q, want %s (%s): run `make chaos-docs`", i+1, line, f.Name, f.Title)
		}
	}
	if n := len(rows(string(text))); n < len(want) {
		t.Errorf("docs/faults.md has %d rows, want %d: run `make chaos-docs`", n, len(want))
	}
}

// rows are the lines of the tables.
func rows(page string) []string {
	var list []string
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "| `") {
			list = append(list, line)
		}
	}
	return list
}

// TestPage: a row that fails says so, and texts are one line of Markdown.
func TestPage(t *testing.T) {
	took := 0.25
	rep := faults.Report{Broker: "RabbitMQ 3", Seed: 7, Rows: []faults.Row{
		{Fault: "one", Title: "first", Recovery: &took, Limit: 2, Why: "a |\n*b*"},
		{Fault: "two", Title: "second", Problems: []string{"it does not consume again"}},
	}}
	var b strings.Builder
	if err := faults.Page(&b, rep); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| `one` | first | 0.0 s | 0.25 s | 2.0 s | 0 | 0 | 0 of 0 | - | holds |\n",
		"| `two` | second | 0.0 s | - | 0.0 s | 0 | 0 | 0 of 0 | - | **fails** |\n",
		"* `one`: a \\| \\*b\\*\n", "* `two`: it does not consume again\n", "RabbitMQ 3", "seed 7",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}
