package archtest

import (
	"go/ast"
	"slices"
)

// Size is how big a package is, in lines. Functions are those of files that are
// neither tests nor generated.
type Size struct {
	Package                   string // directory
	Files, Lines, TestLines   int
	MaxFile                   int // the longest file that is not a test
	FuncP50, FuncP90, MaxFunc int
}

// Sizes returns the size of each package in root, sorted by directory, and as
// the last one that of all together, named "total".
func Sizes(root string) ([]Size, error) {
	t, err := scan(root)
	if err != nil {
		return nil, err
	}
	var sizes []Size
	for _, dir := range t.dirs() {
		sizes = append(sizes, t.size(dir, t.in(dir)))
	}
	return append(sizes, t.size("total", t.files)), nil
}

func (t *tree) size(name string, files []*file) Size {
	s := Size{Package: name}
	var lines []int
	for _, f := range files {
		if f.test {
			s.TestLines += f.lines
			continue
		}
		s.Files++
		s.Lines += f.lines
		s.MaxFile = max(s.MaxFile, f.lines)
		for _, fn := range t.funcs(f) {
			lines = append(lines, fn.lines)
		}
	}
	s.FuncP50, s.FuncP90, s.MaxFunc = percentile(lines, 50), percentile(lines, 90), percentile(lines, 100)
	return s
}

// function is a declared function or method and its length, signature and
// braces included.
type function struct {
	decl  *ast.FuncDecl
	lines int
}

// funcs returns the functions of f whose length counts.
func (t *tree) funcs(f *file) []function {
	if f.test || ast.IsGenerated(f.ast) {
		return nil
	}
	var fns []function
	for _, d := range f.ast.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			n := t.fset.Position(fn.End()).Line - t.fset.Position(fn.Pos()).Line + 1
			fns = append(fns, function{fn, n})
		}
	}
	return fns
}

// percentile returns the least value that p percent of the values do not
// exceed; 0 for no values.
func percentile(values []int, p int) int {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)*p+99)/100-1]
}
