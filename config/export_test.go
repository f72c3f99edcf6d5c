package config

import (
	"errors"
	"io"
	"strings"
)

// ParseAsRoot is Parse on a machine where nothing is missing: what the real one
// has does not matter then.
func ParseAsRoot(r io.Reader, name string, environ []string) (*File, error) {
	return parse(r, newReader(name, newEnvironment(environ), machine{
		linux: true, root: true, cgroup: func() error { return nil }, find: func(string, string) error { return nil },
	}))
}

// ParseBare is Parse on a machine without root, cgroups and programs whose names
// contain "none".
func ParseBare(r io.Reader, name string, environ []string) (*File, error) {
	return parse(r, newReader(name, newEnvironment(environ), machine{
		linux:  true,
		cgroup: func() error { return errors.New("osproc: no cgroup v2 hierarchy is mounted") },
		find: func(program, dir string) error {
			if strings.Contains(program+dir, "none") {
				return errors.New("no such file or directory")
			}
			return nil
		},
	}))
}

// Keys are the paths of the table.
func Keys() []string {
	var paths []string
	for _, k := range keys() {
		if k.absent == "" {
			paths = append(paths, k.path)
		}
	}
	return paths
}
