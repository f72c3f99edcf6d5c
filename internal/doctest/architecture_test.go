package doctest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// place is `path/file.go:name` in a document; the name is that of a function, a
// method as (T).m or (*T).m, a type, a constant or a variable.
var place = regexp.MustCompile("`([\\w./-]+\\.go)(?::([^`]+))?`")

// Every Go file that a document names exists, and has what is named in it.
func TestPlacesInTheCode(t *testing.T) {
	declared := map[string]map[string]bool{}
	for _, doc := range documents(t) {
		text := read(t, doc)
		for _, m := range place.FindAllStringSubmatch(text, -1) {
			file, name := m[1], m[2]
			if !strings.Contains(file, "/") {
				continue // a file beside the one that is spoken of
			}
			if declared[file] == nil {
				declared[file] = declarations(t, doc, file)
			}
			if name != "" && !declared[file][name] {
				t.Errorf("%s: %s does not declare %s", doc, file, name)
			}
		}
	}
	if n := len(declared["actors/router.go"]); n == 0 {
		t.Error("docs/architecture.md names nothing in actors/router.go: is the pattern right?")
	}
}

func declarations(t *testing.T, doc, file string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	src, err := os.ReadFile(file)
	if err != nil {
		t.Errorf("%s: %v", doc, err)
		return names
	}
	f, err := parser.ParseFile(token.NewFileSet(), file, src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			names[receiver(d)+d.Name.Name] = true
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					names[s.Name.Name] = true
				case *ast.ValueSpec:
					for _, n := range s.Names {
						names[n.Name] = true
					}
				}
			}
		}
	}
	return names
}

// receiver is "(*T)." for a method of *T, "(T)." for one of T, and "" otherwise.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	switch x := d.Recv.List[0].Type.(type) {
	case *ast.StarExpr:
		if id, ok := x.X.(*ast.Ident); ok {
			return "(*" + id.Name + ")."
		}
	case *ast.Ident:
		return "(" + x.Name + ")."
	}
	return ""
}

// Every test that docs/architecture.md calls as a witness exists.
func TestWitnesses(t *testing.T) {
	exists := map[string]bool{}
	for _, pattern := range []string{"*/*_test.go", "*/*/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			maps.Copy(exists, declarations(t, "a witness", file))
		}
	}
	called := regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(read(t, "docs/architecture.md"), -1)
	if len(called) < 10 {
		t.Errorf("%d tests are called: is the pattern right?", len(called))
	}
	for _, m := range called {
		if !exists[m[1]] {
			t.Errorf("docs/architecture.md: there is no %s", m[1])
		}
	}
}

// The tables of headers and reasons in docs/architecture.md are the constants in
// the code.
func TestTablesOfHeadersAndReasons(t *testing.T) {
	doc := read(t, "docs/architecture.md")
	for _, c := range []struct{ file, prefix, section string }{
		{"actors/attempt.go", "header", "## Retries and dead letters"},
		{"actors/verdict.go", "reason", "### Reasons"},
	} {
		want := constants(t, c.file, c.prefix)
		if len(want) == 0 {
			t.Errorf("%s has no constant %s...", c.file, c.prefix)
		}
		if diff := cmp.Diff(want, firstColumn(t, doc, c.section)); diff != "" {
			t.Errorf("docs/architecture.md, %s, and %s (-code +document):\n%s", c.section, c.file, diff)
		}
	}
}

// constants are the values of the string constants whose names have the prefix,
// sorted.
func constants(t *testing.T, file, prefix string) []string {
	t.Helper()
	var values []string
	for _, m := range regexp.MustCompile(`(?m)^\t`+prefix+`[A-Z]\w*\s+=\s"([^"]+)"`).FindAllStringSubmatch(read(t, file), -1) {
		values = append(values, m[1])
	}
	slices.Sort(values)
	return values
}

// firstColumn are the words in code style at the beginning of the rows below a
// heading, up to the next one, sorted.
func firstColumn(t *testing.T, doc, heading string) []string {
	t.Helper()
	_, section, found := strings.Cut(doc, heading+"\n")
	if !found {
		t.Fatalf("no %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n#")
	var values []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(section, -1) {
		values = append(values, m[1])
	}
	slices.Sort(values)
	return values
}
