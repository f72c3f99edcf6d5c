package config

import (
	"os"
	"path/filepath"
	"testing"
)

// find must come to the same result as the start of a process: a name is looked up
// in PATH, a path is relative to the directory of the process.
func TestFind(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"run": 0o755, "text": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(filepath.Dir(dir))
	t.Setenv("PATH", dir)
	for _, tt := range []struct{ program, dir, want string }{
		{"run", "", ""},
		{"run", dir, ""},
		{"./run", dir, ""},
		{"./run", filepath.Base(dir), ""},
		{filepath.Join(dir, "run"), "", ""},
		{filepath.Base(dir) + "/run", "", ""},
		{"./run", "", "no such file or directory"},
		{"none", "", "executable file not found in $PATH"},
		{"text", "", "executable file not found in $PATH"},
		{"./text", dir, "permission denied"},
		{"run", "none", "no such file or directory"},
		{"run", filepath.Join(dir, "text"), "not a directory"},
		{dir, "", "is a directory"},
	} {
		got := ""
		if err := find(tt.program, tt.dir); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s in %q: got %q, want %q", tt.program, tt.dir, got, tt.want)
		}
	}
}
