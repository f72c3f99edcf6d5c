package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/internal/treeview"
)

func newReloadCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Have a running instance read its configuration again",
		Long: "reload has an instance read the file again that it was started with, as the signal HUP does, and change\n" +
			"what is different; -c only says where the instance listens. Pools that are the same run on untouched,\n" +
			"those that changed end their tasks first. A file with mistakes changes nothing. What only a restart of\n" +
			"the program can change is shown as manual. It looks at the configuration alone: for a new version of a\n" +
			"worker program there is `worker restart POOL`.\n\n" +
			"Exit status: 0 ok, 1 some of it failed, 2 the file has mistakes, 3 no instance answers.",
		Example: "  magne-actors diff -c magne.yaml && magne-actors reload",
		Args:    noArgs,
	}
	e.look(cmd, func(ctx context.Context, l *looker, _ []string) error {
		list, err := l.client.Reload(ctx)
		if err != nil && len(list) == 0 {
			return l.invalid(err, "")
		}
		text := treeview.Changes(list, l.options())
		if len(list) == 0 {
			text = "nothing differs in the file that the instance was started with, nothing was done\n"
		}
		if err := l.print(list, text); err != nil {
			return err
		}
		if err != nil {
			return failed(exitError, err, "what is listed was done; `magne-actors logs` says more")
		}
		return nil
	})
	return cmd
}

func newDiffCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff -c FILE",
		Short: "Show what a reload of a running instance would change",
		Long: "diff compares a configuration with the one that an instance runs with, and shows what a reload of it\n" +
			"would do to each pool: keep, add, remove, restart, scale, limit, or roll its worker processes; manual\n" +
			"is what only a restart of the program does. The environment is that of the instance. Nothing is changed.\n\n" +
			"Exit status: 0 ok, 2 the file has mistakes, 3 no instance answers.",
		Example: "  magne-actors diff -c new.yaml\n  magne-actors diff -c new.yaml --socket ./magne.sock -o json",
		Args:    noArgs,
	}
	e.look(cmd, func(ctx context.Context, l *looker, _ []string) error {
		file, err := cmd.Flags().GetString("config")
		if err != nil {
			return err
		}
		text, err := l.text(file)
		if err != nil {
			return usageError(err, "-c names the configuration to compare")
		}
		list, err := l.client.Diff(ctx, text)
		if err != nil {
			return l.invalid(err, name(file))
		}
		return l.print(list, treeview.Changes(list, l.options()))
	})
	return cmd
}

// text is what a configuration file holds.
func (e *env) text(file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(e.stdin)
	}
	return os.ReadFile(file)
}

// invalid gives the error of a reload its exit status, and prints the mistakes of
// the file. An instance that was sent one knows it as stdin.
func (l *looker) invalid(err error, sent string) error {
	if mistakes, ok := errors.AsType[*control.InvalidError](err); ok {
		for _, each := range mistakes.Mistakes {
			if place, ok := strings.CutPrefix(each, "stdin:"); ok && sent != "" {
				each = sent + ":" + place
			}
			fmt.Fprintln(l.stderr, treeview.Clean(each))
		}
		return usageError(errors.New(count(len(mistakes.Mistakes), "error")+" in the configuration"), "nothing was changed; `magne-actors init -` shows every key")
	}
	if errors.Is(err, control.ErrUnreachable) || errors.Is(err, control.ErrNotOffered) {
		return err
	}
	return failed(exitError, err, "`magne-actors logs` says more")
}
