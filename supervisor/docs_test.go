package supervisor_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Each test that docs/supervision.md names exists, and each test of a sentence
// of OTP is named there.
func TestTheTableOfSentencesIsTrue(t *testing.T) {
	text, err := os.ReadFile("../docs/supervision.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, name := range regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(string(text), -1) {
		named[name[1]] = true
	}
	if len(named) == 0 {
		t.Fatal("the table names no test")
	}
	exists := map[string]bool{}
	for name, file := range testFunctions(t) {
		exists[name] = true
		if strings.HasPrefix(file, "otp_") && !named[name] {
			t.Errorf("%s is not in the table", name)
		}
	}
	for name := range named {
		if !exists[name] {
			t.Errorf("%s is in the table and does not exist", name)
		}
	}
}

// testFunctions maps the tests of this package to their files.
func testFunctions(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	funcs := map[string]string{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
				funcs[fn.Name.Name] = file
			}
		}
	}
	return funcs
}
