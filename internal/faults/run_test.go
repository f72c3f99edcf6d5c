package faults_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/magne-actors/magne-actors/internal/faults"
	"github.com/magne-actors/magne-actors/internal/testenv"
)

// TestShort runs one fault of each kind. Its limits in time are for a machine that is
// busy with other tests; `make chaos` runs all faults with the limits of the design.
func TestShort(t *testing.T) {
	var flags []string
	if raceEnabled {
		flags = append(flags, "-race")
	}
	program, err := faults.Build(t.Context(), t.TempDir(), flags...)
	if err != nil {
		t.Fatal(err)
	}
	o := faults.Options{Program: program, Seed: uint64(time.Now().UnixNano()), Slack: time.Minute}
	o.Row = func(row faults.Row) {
		t.Log(row.Line())
		for _, problem := range row.Problems {
			t.Errorf("%s: %s", row.Fault, problem)
		}
	}
	rep, err := faults.Run(t.Context(), faults.Short(), o)
	if errors.Is(err, testenv.ErrNotInstalled) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Rows) != len(faults.Short()) {
		t.Errorf("got %d rows, want one for each of %d faults", len(rep.Rows), len(faults.Short()))
	}
	t.Logf("seed %d", rep.Seed)
}

func TestFaultsAreNamed(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range faults.Faults() {
		if f.Name == "" || f.Title == "" || seen[f.Name] {
			t.Errorf("%q, %q: want a name of its own and a title", f.Name, f.Title)
		}
		seen[f.Name] = true
	}
	if n := len(faults.Short()); n != 5 {
		t.Errorf("the normal tests run %d faults, want 5", n)
	}
}
