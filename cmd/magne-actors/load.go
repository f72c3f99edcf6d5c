package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/config"
)

// defaultConfig is read when -c is not given.
const defaultConfig = "magne.yaml"

// addConfigFlag adds -c to a command.
func addConfigFlag(cmd *cobra.Command) *string {
	file := cmd.Flags().StringP("config", "c", defaultConfig, "configuration `file`, - for stdin")
	if err := cmd.MarkFlagFilename("config", "yaml", "yml"); err != nil {
		panic("magne-actors: " + err.Error()) // a flag that was never added
	}
	return file
}

// load reads a configuration. The error is ready to be returned by a command, and
// contains all that the file lacks for running it.
func (e *env) load(file string) (*config.File, error) {
	f, err := e.parse(file)
	if f == nil {
		return nil, err
	}
	// Options knows more than Parse: that there are no handlers but those in the file.
	if _, err := f.Options(nil, nil); err != nil {
		return nil, usageError(err, "`magne-actors init -` shows every key")
	}
	return f, nil
}

// read is load for a command that runs no tasks: secrets of processes and handlers
// may be missing where it runs.
func (e *env) read(file string) (*config.File, error) {
	f, err := e.parse(file)
	if f != nil && err != nil {
		err = usageError(err, "`magne-actors init -` shows every key")
	}
	return f, err
}

// warn prints what is allowed but probably not meant.
func (e *env) warn(f *config.File) {
	for _, w := range f.Warnings() {
		fmt.Fprintf(e.stderr, "%v (warning)\n", w)
	}
}

// parse reads a configuration as far as it can be read: the File is nil only if
// it could not be opened.
func (e *env) parse(file string) (*config.File, error) {
	if file == "-" {
		return config.Parse(e.stdin, name(file), os.Environ())
	}
	f, err := config.Load(file)
	switch {
	case f != nil:
		return f, err
	case errors.Is(err, fs.ErrNotExist):
		return nil, usageError(err, "`magne-actors init` writes one, -c names another")
	default:
		return nil, usageError(err, "-c names another")
	}
}

// name is how messages call a configuration file.
func name(file string) string {
	if file == "-" {
		return "stdin"
	}
	return file
}
