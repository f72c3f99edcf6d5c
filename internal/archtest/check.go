package archtest

import (
	"fmt"
	"go/ast"
	"maps"
	"slices"
	"strings"
)

// Violation is one place where a tree breaks the rules.
type Violation struct {
	Where string // file:line, or a directory
	What  string // what is wrong and what to do
}

// String returns "where: what".
func (v Violation) String() string { return v.Where + ": " + v.What }

// Check parses the module in root and returns where it breaks the rules, in
// the order of the files. The error says that it could not be read or parsed.
func Check(root string, rules Rules) ([]Violation, error) {
	t, err := scan(root)
	if err != nil {
		return nil, err
	}
	c := &checker{tree: t, rules: rules}
	c.tables()
	for _, f := range t.files {
		c.importRule(f)
		c.statements(f)
		if !f.test && !ast.IsGenerated(f.ast) {
			c.fileSize(f)
		}
	}
	for _, dir := range t.dirs() {
		c.documentation(dir)
	}
	c.funcSize()
	return c.found, nil
}

type checker struct {
	*tree
	rules Rules
	found []Violation
}

func (c *checker) report(where, format string, args ...any) {
	c.found = append(c.found, Violation{Where: where, What: fmt.Sprintf(format, args...)})
}

// tables reports packages without a row and rows that nothing needs.
func (c *checker) tables() {
	dirs := c.dirs()
	for _, dir := range dirs {
		if _, ok := c.rules.Packages[dir]; !ok {
			c.report(dir, "no row in packages() of internal/archtest/rules.go: add one that says what this package may import, or put the code where it belongs")
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(c.rules.Packages)) {
		if !slices.Contains(dirs, dir) {
			c.report(dir, "a row in packages() and no such package: remove the row")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.rules.Goroutines)) {
		if !slices.ContainsFunc(c.files, func(f *file) bool { return f.name == name && hasGo(f) }) {
			c.report(name, "a row in goroutines() and no go statement there: remove the row")
		}
	}
}

func hasGo(f *file) bool {
	found := false
	ast.Inspect(f.ast, func(n ast.Node) bool {
		found = found || startsGoroutine(n)
		return !found
	})
	return found
}

// startsGoroutine recognises the go statement and calls of a method Go, which
// are go statements of sync.WaitGroup and its like.
func startsGoroutine(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GoStmt:
		return true
	case *ast.CallExpr:
		sel, ok := n.Fun.(*ast.SelectorExpr)
		return ok && sel.Sel.Name == "Go" && len(n.Args) > 0
	}
	return false
}

func (c *checker) importRule(f *file) {
	for _, spec := range f.ast.Imports {
		imported, where := strings.Trim(spec.Path.Value, "`\""), c.at(f, spec.Pos())
		if own, ok := c.own(imported); ok {
			c.ownImport(f, where, own)
		} else if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") {
			c.thirdPartyImport(f, where, imported)
		}
	}
}

// own returns the directory of a package of the module.
func (c *checker) own(imported string) (string, bool) {
	if imported == c.rules.Module {
		return ".", true
	}
	return strings.CutPrefix(imported, c.rules.Module+"/")
}

func (c *checker) ownImport(f *file, where, imported string) {
	row, known := c.rules.Packages[f.dir]
	if f.test || !known {
		return // a missing row has been reported once
	}
	if !slices.Contains(row.Imports, imported) {
		c.report(where, "%s must not import %s: its row in packages() allows [%s]", f.dir, imported, strings.Join(row.Imports, " "))
	} else if row.StdOnly && !c.rules.Packages[imported].StdOnly {
		c.report(where, "%s links the standard library only and %s does not", f.dir, imported)
	}
}

func (c *checker) thirdPartyImport(f *file, where, imported string) {
	i := slices.IndexFunc(c.rules.ThirdParty, func(m ThirdParty) bool { return below(imported, m.Path) })
	if i < 0 {
		c.report(where, "%s is in no row of thirdParty() of internal/archtest/rules.go: add one that says which packages may import it", imported)
		return
	}
	m := c.rules.ThirdParty[i]
	switch {
	case f.test && m.Tests:
	case !f.test && c.rules.Packages[f.dir].StdOnly:
		c.report(where, "%s links the standard library only, not %s", f.dir, m.Path)
	case !slices.Contains(m.Packages, f.dir):
		c.report(where, "%s must not import %s: only [%s] may", f.dir, m.Path, strings.Join(m.Packages, " "))
	}
}

// statements checks what a file does rather than what it imports.
func (c *checker) statements(f *file) {
	main := f.ast.Name.Name == "main"
	bubbles := f.bubbles()
	f.uses(func(n ast.Node, imported, name string) {
		switch where := c.at(f, n.Pos()); {
		case f.test && imported == "time" && name == "Sleep" && !within(bubbles, n):
			c.report(where, "time.Sleep in a test: wait for the event itself, or use testing/synctest")
		case f.test:
		case imported == "fmt" && strings.HasPrefix(name, "Print") && !main:
			c.report(where, "fmt.%s in a library: return the text, write to an io.Writer, or log", name)
		case imported == "sync" && (name == "Mutex" || name == "RWMutex") && below(f.dir, c.rules.NoMutex...):
			c.report(where, "sync.%s among actors: one actor owns the state, others send to it", name)
		}
	})
	if f.test {
		return
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if _, named := c.rules.Goroutines[f.name]; !named && startsGoroutine(n) {
			c.report(c.at(f, n.Pos()), "a go statement: let an actor or an existing goroutine do it, or add the file to goroutines() with the reason why it ends and recovers")
		}
		if fn, ok := n.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			c.report(c.at(f, n.Pos()), "init(): make it a function that its user calls")
		}
		return true
	})
}

func (c *checker) fileSize(f *file) {
	if f.lines > c.rules.MaxFile {
		c.report(f.name, "%d lines, more than %d: split it by noun", f.lines, c.rules.MaxFile)
	}
}

// funcSize checks each function, and nine of ten of them against P90Func.
func (c *checker) funcSize() {
	var lines []int
	for _, f := range c.files {
		for _, fn := range c.funcs(f) {
			lines = append(lines, fn.lines)
			if fn.lines > c.rules.MaxFunc {
				c.report(c.at(f, fn.decl.Pos()), "%s has %d lines, more than %d: split it", fn.decl.Name.Name, fn.lines, c.rules.MaxFunc)
			}
		}
	}
	if p90 := percentile(lines, 90); p90 > c.rules.P90Func {
		c.report(".", "nine of ten functions have at most %d lines, should be %d: the longest ones need splitting", p90, c.rules.P90Func)
	}
}

// documentation wants a doc.go from each package, and an Example from each that
// exports something. Programs are exempt.
func (c *checker) documentation(dir string) {
	doc, example, exports := false, false, false
	for _, f := range c.in(dir) {
		if f.ast.Name.Name == "main" {
			return
		}
		doc = doc || f.name == strings.TrimPrefix(dir+"/doc.go", "./") && f.ast.Doc != nil
		for _, d := range f.ast.Decls {
			if f.test {
				example = example || strings.HasPrefix(funcName(d), "Example")
			} else {
				exports = exports || exported(d)
			}
		}
	}
	if !doc {
		c.report(dir, "no doc.go with a package comment: say what it is, how it is used, what blocks, who closes what")
	}
	if exports && !example {
		c.report(dir, "no Example: show in example_test.go how the package is used")
	}
}

// funcName returns the name of a function that is not a method, or "".
func funcName(d ast.Decl) string {
	if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
		return fn.Name.Name
	}
	return ""
}

// exported reports whether a declaration gives a package an exported name.
func exported(d ast.Decl) bool {
	gen, ok := d.(*ast.GenDecl)
	if !ok {
		return ast.IsExported(funcName(d))
	}
	return slices.ContainsFunc(gen.Specs, func(s ast.Spec) bool {
		switch s := s.(type) {
		case *ast.TypeSpec:
			return s.Name.IsExported()
		case *ast.ValueSpec:
			return slices.ContainsFunc(s.Names, (*ast.Ident).IsExported)
		}
		return false
	})
}

// bubbles are the calls of synctest.Test: in them time.Sleep moves the clock and
// takes no time.
func (f *file) bubbles() (calls []ast.Node) {
	ast.Inspect(f.ast, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || sel.Sel.Name != "Test" {
			return true
		}
		if id, ok := sel.X.(*ast.Ident); ok && id.Obj == nil && f.imports[id.Name] == "testing/synctest" {
			calls = append(calls, call)
		}
		return true
	})
	return calls
}

func within(outer []ast.Node, n ast.Node) bool {
	return slices.ContainsFunc(outer, func(o ast.Node) bool { return o.Pos() <= n.Pos() && n.End() <= o.End() })
}
