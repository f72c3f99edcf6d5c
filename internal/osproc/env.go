package osproc

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

// Env describes the environment of a process. Nothing is inherited that Inherit
// does not name.
type Env struct {
	Inherit []string          // names of our variables; those that are not set are left out
	Set     map[string]string // these win over Inherit
	Secrets map[string]string // variable -> file with its value; these win over Set
}

// maxSecret is the longest secret in bytes: the kernel takes no longer variable.
const maxSecret = 128<<10 - 1

// Build returns the environment as KEY=value, sorted. It reads the files of the
// secrets; one LF at the end of a file does not belong to the value. No error
// shows a value.
func (e Env) Build() ([]string, error) {
	all := map[string]string{}
	for _, name := range e.Inherit {
		if value, ok := os.LookupEnv(name); ok {
			all[name] = value
		}
	}
	maps.Copy(all, e.Set)
	for name, file := range e.Secrets {
		value, err := readSecret(file)
		if err != nil {
			return nil, fmt.Errorf("osproc: secret %s: %w", name, err)
		}
		all[name] = value
	}
	list := make([]string, 0, len(all))
	for name, value := range all {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return nil, fmt.Errorf("osproc: %q is no name for an environment variable", name)
		}
		if strings.ContainsRune(value, 0) {
			return nil, fmt.Errorf("osproc: environment variable %s: a NUL byte in its value", name)
		}
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list, nil
}

// String lists the environment without the values of the secrets.
func (e Env) String() string {
	var list []string
	for _, name := range e.Inherit {
		if value, ok := os.LookupEnv(name); ok && !has(e.Set, name) && !has(e.Secrets, name) {
			list = append(list, name+"="+value)
		}
	}
	for name, value := range e.Set {
		if !has(e.Secrets, name) {
			list = append(list, name+"="+value)
		}
	}
	for name := range e.Secrets {
		list = append(list, name+"=[redacted]")
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func has(m map[string]string, name string) bool {
	_, ok := m[name]
	return ok
}

func readSecret(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+2))
	if err != nil {
		return "", err
	}
	data = bytes.TrimSuffix(data, []byte("\n"))
	if len(data) > maxSecret {
		return "", fmt.Errorf("%s has more than %d bytes", file, maxSecret)
	}
	return string(data), nil
}
