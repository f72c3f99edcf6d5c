package archtest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestProject holds the rules against this repository.
func TestProject(t *testing.T) {
	violations, err := Check(filepath.Join("..", ".."), Project())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range violations {
		t.Error(v)
	}
}

// TestPlanted shows that each rule catches what it is for, and nothing else.
func TestPlanted(t *testing.T) {
	rules := Rules{
		Module: "example.org/planted",
		Packages: map[string]Package{
			"actors":     {},
			"actors/sub": {},
			"bare":       {},
			"clean":      {},
			"core":       {Imports: []string{"clean"}, StdOnly: true},
			"gone":       {},
			"prog":       {},
		},
		ThirdParty: []ThirdParty{
			{Path: "example.org/lib", Packages: []string{"actors"}},
			{Path: "example.org/testonly", Tests: true},
		},
		Goroutines: map[string]string{"actors/sub/pump.go": "a reason", "clean/doc.go": "has none"},
		NoMutex:    []string{"actors"},
		MaxFile:    30, MaxFunc: 8, P90Func: 4,
	}
	violations, err := Check(filepath.Join("testdata", "planted"), rules)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range violations {
		got = append(got, v.String())
	}
	golden, err := os.ReadFile(filepath.Join("testdata", "planted.golden"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(strings.TrimSpace(string(golden)), "\n"), got); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}

// TestStdOnlyTable: a table that promises the standard library only and allows
// an import that does not is caught as well.
func TestStdOnlyTable(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a/doc.go": "// Package a is.\npackage a\n\nimport _ \"m.org/m/b\"\n",
		"b/doc.go": "// Package b is.\npackage b\n",
	} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rules := Rules{Module: "m.org/m", MaxFile: 9, Packages: map[string]Package{
		"a": {Imports: []string{"b"}, StdOnly: true}, "b": {},
	}}
	violations, err := Check(dir, rules)
	if err != nil {
		t.Fatal(err)
	}
	want := []Violation{{Where: "a/doc.go:4", What: "a links the standard library only and b does not"}}
	if diff := cmp.Diff(want, violations); diff != "" {
		t.Errorf("violations (-want +got):\n%s", diff)
	}
}

func TestSizes(t *testing.T) {
	sizes, err := Sizes(filepath.Join("testdata", "planted"))
	if err != nil {
		t.Fatal(err)
	}
	want := []Size{
		{Package: "core", Files: 1, Lines: 32, TestLines: 18, MaxFile: 32, FuncP50: 5, FuncP90: 9, MaxFunc: 9},
		{Package: "stray", Files: 1, Lines: 2, MaxFile: 2},
	}
	for _, w := range want {
		i := slices.IndexFunc(sizes, func(s Size) bool { return s.Package == w.Package })
		if i < 0 {
			t.Errorf("no size of %s", w.Package)
		} else if diff := cmp.Diff(w, sizes[i]); diff != "" {
			t.Errorf("size of %s (-want +got):\n%s", w.Package, diff)
		}
	}
	if last := sizes[len(sizes)-1]; last.Package != "total" || last.MaxFunc != 9 {
		t.Errorf("total: %+v", last)
	}
}

func TestPercentile(t *testing.T) {
	values := []int{10, 9, 8, 7, 6, 5, 4, 3, 2, 1}
	for p, want := range map[int]int{1: 1, 50: 5, 90: 9, 91: 10, 100: 10} {
		if got := percentile(values, p); got != want {
			t.Errorf("percentile(1..10, %d) = %d, want %d", p, got, want)
		}
	}
	if got := percentile(nil, 90); got != 0 {
		t.Errorf("percentile of nothing = %d, want 0", got)
	}
}

func TestUnreadableTree(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x.go"), []byte("not Go"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{dir, filepath.Join(dir, "missing")} {
		if _, err := Check(root, Rules{}); err == nil {
			t.Errorf("Check(%s): no error", root)
		}
	}
}
