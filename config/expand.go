package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
)

// environment is a set of variables; an empty one is there and empty.
type environment map[string]string

// newEnvironment reads os.Environ's form.
func newEnvironment(environ []string) environment {
	env := make(environment, len(environ))
	for _, kv := range environ {
		if name, value, ok := strings.Cut(kv, "="); ok {
			env[name] = value
		}
	}
	return env
}

// expand replaces ${NAME} and ${NAME:-default} in text; $${ stands for ${ itself.
// The default is used when the variable is not set or empty. replaced says
// that something was.
func (env environment) expand(text string) (out string, replaced bool, err error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		if !found {
			b.WriteString(text)
			return b.String(), replaced, nil
		}
		if strings.HasSuffix(before, "$") {
			b.WriteString(before + "{")
			text = rest
			continue
		}
		inner, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", false, errors.New("${ without }: close it, or write $${ for a literal ${")
		}
		value, err := env.variable(inner)
		if err != nil {
			return "", false, err
		}
		b.WriteString(before + value)
		text, replaced = after, true
	}
}

// variable is the value of what stands between ${ and }.
func (env environment) variable(inner string) (string, error) {
	name, def, hasDefault := strings.Cut(inner, ":-")
	if !regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`).MatchString(name) {
		return "", errors.New("what stands in ${...} is not the name of a variable: write ${NAME} or ${NAME:-default}, or $${ for a literal ${")
	}
	if strings.Contains(def, "${") {
		return "", fmt.Errorf("the default of ${%s} contains another ${: that is not supported", name)
	}
	value, set := env[name]
	switch {
	case value != "", set && !hasDefault:
		return value, nil
	case hasDefault:
		return def, nil
	default:
		return "", fmt.Errorf("the environment variable %s is not set: set it, or write ${%s:-default}", name, name)
	}
}

// maxRead is the size in bytes of the largest file that is read.
const maxRead = 1 << 20

// readSecret reads the file that a secret's value names after "file:"; one
// newline at its end is not part of the secret.
func readSecret(name string) (string, error) {
	b, err := readFile(name)
	if err != nil {
		return "", err
	}
	s, _ := strings.CutSuffix(string(b), "\n")
	s, _ = strings.CutSuffix(s, "\r")
	if s == "" {
		return "", fmt.Errorf("the file %q is empty: it should contain the secret", name)
	}
	return s, nil
}

// readFile reads a small regular file. Opening anything else could block, and
// reading it could go on for ever.
func readFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	if err != nil {
		return nil, unreadable(name, err)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, unreadable(name, err)
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxRead+1))
	switch {
	case err != nil:
		return nil, unreadable(name, err)
	case len(b) > maxRead:
		return nil, fmt.Errorf("the file %q is larger than 1 MiB", name)
	}
	return b, nil
}

func unreadable(name string, err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err // the path is named already
	}
	return fmt.Errorf("cannot read the file %q: %w", name, err)
}
