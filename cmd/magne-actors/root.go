package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// env is what the commands have of the world. There is one for each call of run.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	output         choice // of the flag -o

	started bool // a command was found, its flags and arguments are right, and it runs
}

// run is the program. It blocks until the command has ended, and returns the exit
// status. The end of ctx stops the command as the first TERM does.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	e := &env{stdin: stdin, stdout: stdout, stderr: stderr, output: choice{words: []string{"text", "json"}, word: "text"}}
	root := newRoot(e) //nolint:contextcheck // the commands ask cmd.Context() when they run
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && cmd == root && len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		err = noSuchCommand(root, args) // rather than that its flags are unknown
	}
	if err != nil && !e.started {
		err = usageError(together(err), "try: %s --help", cmd.CommandPath())
	}
	return e.report(err)
}

// together says of flags that exclude one another what cobra says of their group:
// "if any flags in the group [in at] are set none of the others can be; [at in] were
// all set".
func together(err error) error {
	group, ok := strings.CutPrefix(err.Error(), "if any flags in the group [")
	_, set, found := strings.Cut(strings.TrimSuffix(group, "] were all set"), "; [")
	if !ok || !found {
		return err
	}
	return fmt.Errorf("--%s cannot be combined", strings.Join(strings.Fields(set), " and --"))
}

// newRoot puts the commands together.
func newRoot(e *env) *cobra.Command {
	root := &cobra.Command{
		Use:   "magne-actors",
		Short: "Run tasks from AMQP queues under a supervision tree",
		Long: "magne-actors consumes tasks from its embedded broker or from RabbitMQ, runs them on supervised\n" +
			"workers within watermarks, and settles each delivery exactly once.\n\n" +
			"Exit status: 0 ok, 1 error, 2 usage or configuration, 3 unreachable,\n" +
			"70 the root supervisor gave up, 75 temporary failure, try again.",
		Example: "  magne-actors init\n  magne-actors check\n  magne-actors run",
		Args:    noSuchCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },

		SilenceErrors: true,
		SilenceUsage:  true,

		SuggestionsMinimumDistance: 2,
		// Its place is taken by a command of ours, with -o and an example.
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.PersistentFlags().VarP(&e.output, "output", "o", "form of the output: "+e.output.list())
	complete(root, "output", e.output.words)
	root.AddCommand(
		newRunCmd(e),
		newCheckCmd(e),
		newInitCmd(e),
		newPublishCmd(e),
		newQueueCmd(e),
		newDlqCmd(e),
		newTopologyCmd(e),
		newDelayedCmd(e),
		newDoctorCmd(e),
		newSpoolCmd(e),
		newBrokerCmd(e),
		newTreeCmd(e),
		newPsCmd(e),
		newTopCmd(e),
		newStatusCmd(e),
		newInspectCmd(e),
		newWhyCmd(e),
		newEventsCmd(e),
		newLogsCmd(e),
		newTasksCmd(e),
		newRestartCmd(e),
		newScaleCmd(e),
		newLimitCmd(e),
		newPauseCmd(e),
		newResumeCmd(e),
		newCancelCmd(e),
		newWorkerCmd(e),
		newReloadCmd(e),
		newDiffCmd(e),
		newSchemaCmd(e),
		newVersionCmd(e),
		newCompletionCmd(e),
	)
	e.watch(root)
	return root
}

// watch makes every command note that it has started: an error before that is
// one of usage.
func (e *env) watch(cmd *cobra.Command) {
	if runE := cmd.RunE; runE != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			e.started = true
			return runE(cmd, args)
		}
	}
	for _, c := range cmd.Commands() {
		e.watch(c)
	}
}

// noSuchCommand is called with what stands in the place of a command.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = fmt.Sprintf(", did you mean %q?", near[0])
	}
	return fmt.Errorf("unknown command %q%s", args[0], hint)
}

// noArgs refuses arguments.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q", args[0])
	}
	return nil
}

// json reports whether -o json was given.
func (e *env) json() bool { return e.output.word == "json" }

// print writes v as indented JSON with -o json, as YAML with -o yaml, and the text
// otherwise.
func (e *env) print(v any, text string) error {
	if e.output.word == "yaml" {
		var err error
		if text, err = asYAML(v); err != nil {
			return err
		}
	}
	if !e.json() {
		_, err := io.WriteString(e.stdout, text)
		return err
	}
	enc := json.NewEncoder(e.stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// choice is a flag that takes one of some words.
type choice struct {
	words []string
	word  string
}

func (c *choice) String() string { return c.word }
func (c *choice) Type() string   { return "word" }
func (c *choice) list() string   { return strings.Join(c.words, "|") }

// Set implements pflag.Value.
func (c *choice) Set(word string) error {
	if !slices.Contains(c.words, word) {
		return errors.New("want one of " + c.list())
	}
	c.word = word
	return nil
}

// complete lets the shell complete the flag with words.
func complete(cmd *cobra.Command, flag string, words []string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic("magne-actors: " + err.Error()) // a flag that was never added
	}
}
