package main

import "github.com/spf13/cobra"

// newWorkerCmd is the parent of the commands for worker processes.
func newWorkerCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Look after the worker processes of a running instance",
		Long: "worker has the commands for worker processes: the slots of pools with mode process, and a check of\n" +
			"programs that shall become such.",
		Example: "  magne-actors worker check -- python3 worker.py\n  magne-actors worker restart mail/3",
		Args:    noSuchCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newWorkerCheckCmd(e))
	cmd.AddCommand(workerOps(e)...)
	return cmd
}
