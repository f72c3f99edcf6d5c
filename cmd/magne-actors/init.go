package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/config"
)

func newInitCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init [FILE]",
		Short: "Write a commented configuration to start from",
		Long: "init writes a valid configuration that shows every key with its default and what it means.\n" +
			"FILE is ./magne.yaml by default; - is stdout. A file that exists is not changed without --force.",
		Example: "  magne-actors init\n  magne-actors init - | less",
		Args:    cobra.MaximumNArgs(1),
	}
	force := cmd.Flags().Bool("force", false, "overwrite FILE")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		file := defaultConfig
		if len(args) > 0 {
			file = args[0]
		}
		return e.init(file, *force)
	}
	return cmd
}

func (e *env) init(file string, force bool) error {
	if file == "-" {
		return e.print(map[string]string{"content": string(config.Example())}, string(config.Example()))
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(file, flags, 0o600) // there may be a password in it some day
	switch {
	case errors.Is(err, fs.ErrExist):
		return usageError(fmt.Errorf("init: %s exists and was not changed", file), "--force overwrites it, or name another FILE")
	case err != nil:
		return fmt.Errorf("init: %w", err)
	}
	_, err = f.Write(config.Example())
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("init: %w", err)
	}
	return e.print(map[string]string{"file": file},
		fmt.Sprintf("wrote %s\nnext: edit it, then `magne-actors check -c %s` and `magne-actors run -c %s`\n", file, file, file))
}
