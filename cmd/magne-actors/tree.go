package main

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/magne-actors/magne-actors/config"
	"github.com/magne-actors/magne-actors/internal/control"
	"github.com/magne-actors/magne-actors/internal/treeview"
)

func newTreeCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tree",
		Short: "Show the supervision tree of a running instance",
		Long: "tree shows every actor of a running instance: its state, restarts and last error, what each\n" +
			"worker runs, and how full the window of each pool is. It reads counters and asks no actor, so\n" +
			"that it answers while all of them are busy.\n\n" +
			"Exit status: 0 healthy, 1 degraded, 2 failed, 3 no instance answers.",
		Example: "  magne-actors tree\n  magne-actors tree --socket ./magne.sock -o json",
		Args:    noArgs,
	}
	socket := addSocketFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		path, err := socket()
		if err != nil {
			return err
		}
		return e.tree(cmd, path)
	}
	return cmd
}

// addSocketFlags adds the flags that find a running instance.
func addSocketFlags(cmd *cobra.Command) func() (string, error) {
	socket := cmd.Flags().String("socket", "", "control socket of the instance (default: as run with the same -c)")
	file := addConfigFlag(cmd)
	return func() (string, error) {
		if *socket != "" {
			return *socket, nil
		}
		f, err := config.Load(*file)
		switch {
		case f != nil: // its mistakes are the business of check and run
			return socketOf(f), nil
		case errors.Is(err, fs.ErrNotExist) && !cmd.Flags().Changed("config"):
			return control.DefaultSocket(os.Getenv), nil
		}
		return "", usageError(err, "--socket names the control socket, -c the configuration it is in")
	}
}

func (e *env) tree(cmd *cobra.Command, socket string) error {
	root, err := control.Client{Socket: socket}.Tree(cmd.Context())
	if errors.Is(err, control.ErrUnreachable) {
		return failed(exitUnreachable, err, "is `magne-actors run` running? --socket or -c says where it listens")
	}
	if err != nil {
		return err
	}
	options := treeview.Options{Version: version()}
	if f, ok := e.stdout.(*os.File); ok && isTerminal(f) {
		options.Color = os.Getenv("NO_COLOR") == ""
		options.Width, _, _ = term.GetSize(int(f.Fd())) // 0, no limit, where it cannot be told
	}
	if err := e.print(root, treeview.Render(root, time.Now(), options)); err != nil {
		return err
	}
	switch control.TreeHealth(root) {
	case control.Failed:
		return silent(exitFailed)
	case control.Degraded:
		return silent(exitDegraded)
	case control.Healthy:
	}
	return nil
}
