package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

func newCompletionCmd(e *env) *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion " + strings.Join(shells, "|"),
		Short: "Print a script that lets a shell complete commands and flags",
		Long: "completion prints a script for the named shell. Where it goes:\n" +
			"  bash        ~/.local/share/bash-completion/completions/magne-actors\n" +
			"  zsh         _magne-actors in a directory of $fpath\n" +
			"  fish        ~/.config/fish/completions/magne-actors.fish\n" +
			"  powershell  into the file that $PROFILE names",
		Example:               "  source <(magne-actors completion bash)",
		ValidArgs:             shells,
		Args:                  cobra.MatchAll(exactly("the name of a shell"), cobra.OnlyValidArgs),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			var script strings.Builder
			if err := writeCompletion(cmd.Root(), args[0], &script); err != nil {
				return fmt.Errorf("completion: %w", err)
			}
			return e.print(map[string]string{"shell": args[0], "script": script.String()}, script.String())
		},
	}
}

func writeCompletion(root *cobra.Command, shell string, w io.Writer) error {
	switch shell {
	case "bash":
		return root.GenBashCompletionV2(w, true)
	case "zsh":
		return root.GenZshCompletion(w)
	case "fish":
		return root.GenFishCompletion(w, true)
	default:
		return root.GenPowerShellCompletionWithDesc(w)
	}
}
