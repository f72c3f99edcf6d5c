package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// file is one parsed Go file.
type file struct {
	name    string // relative to the root, with slashes
	dir     string
	test    bool
	lines   int
	ast     *ast.File
	imports map[string]string // local name -> import path
}

// tree is a parsed module.
type tree struct {
	fset  *token.FileSet
	files []*file
}

// scan parses every Go file below root that belongs to the module: nothing
// hidden, no testdata, no vendor, no nested module.
func scan(root string) (*tree, error) {
	t := &tree{fset: token.NewFileSet()}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != root && foreign(name, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasPrefix(d.Name(), "_") || strings.HasPrefix(d.Name(), ".") {
			return nil
		}
		return t.parse(root, name)
	})
	if err != nil {
		return nil, fmt.Errorf("archtest: scan %s: %w", root, err)
	}
	return t, nil
}

// foreign reports whether a directory is not part of the module's packages.
func foreign(name, base string) bool {
	if strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "vendor" || base == "node_modules" {
		return true
	}
	_, err := os.Stat(filepath.Join(name, "go.mod"))
	return err == nil
}

func (t *tree) parse(root, name string) error {
	parsed, err := parser.ParseFile(t.fset, name, nil, parser.ParseComments)
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(root, name)
	if err != nil {
		return err
	}
	f := &file{
		name:    filepath.ToSlash(rel),
		test:    strings.HasSuffix(name, "_test.go"),
		lines:   t.fset.File(parsed.FileStart).LineCount(),
		ast:     parsed,
		imports: map[string]string{},
	}
	f.dir = path.Dir(f.name)
	for _, spec := range parsed.Imports {
		imported := strings.Trim(spec.Path.Value, "`\"")
		local := path.Base(imported)
		if spec.Name != nil {
			local = spec.Name.Name
		}
		f.imports[local] = imported
	}
	t.files = append(t.files, f)
	return nil
}

// dirs returns the directories that have Go files, sorted.
func (t *tree) dirs() []string {
	var dirs []string
	for _, f := range t.files {
		dirs = append(dirs, f.dir)
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// in returns the files of one directory.
func (t *tree) in(dir string) []*file {
	var files []*file
	for _, f := range t.files {
		if f.dir == dir {
			files = append(files, f)
		}
	}
	return files
}

// at names a position as file:line, relative to the root.
func (t *tree) at(f *file, pos token.Pos) string {
	return fmt.Sprintf("%s:%d", f.name, t.fset.Position(pos).Line)
}

// uses reports every mention of an exported name of an imported package, such
// as time.Sleep, as (import path, name).
func (f *file) uses(yield func(n ast.Node, importPath, name string)) {
	ast.Inspect(f.ast, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		// A nil Obj: the name is not declared in this file, so it is the import.
		if id, ok := sel.X.(*ast.Ident); ok && id.Obj == nil {
			if imported, ok := f.imports[id.Name]; ok {
				yield(sel, imported, sel.Sel.Name)
			}
		}
		return true
	})
}

// below reports whether dir is one of roots or inside one of them.
func below(dir string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return dir == root || strings.HasPrefix(dir, root+"/")
	})
}
