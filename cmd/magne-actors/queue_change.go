package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/magne-actors/magne-actors/broker/amqp"
)

// changed is what purge and delete print with -o json, one for each queue.
type changed struct {
	Name     string `json:"name"`
	Messages int    `json:"messages"` // that were ready and are gone
}

func newQueuePurgeCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "purge QUEUE...",
		Short: "Throw away the messages of queues",
		Long: "purge removes the messages that are ready. Those that are delivered and not settled stay. There\n" +
			"is no way back: it asks first on a terminal, and elsewhere wants --yes.",
		Example: "  magne-actors queue purge magne.v1.dead.work\n  magne-actors queue purge --yes work -o json",
		Args:    cobra.MinimumNArgs(1),
	}
	f := addQueueFlags(cmd)
	yes := addYesFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return e.change(cmd, f, *yes, "purge", args, func(ctx context.Context, q *queues, name string) (int, error) {
			return q.admin.Purge(ctx, name)
		})
	}
	return cmd
}

func newQueueDeleteCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete QUEUE...",
		Short: "Delete queues with all that is in them",
		Long: "delete removes queues, their messages and bindings. There is no way back: it asks first on a\n" +
			"terminal, and elsewhere wants --yes. RabbitMQ's quorum queues know neither --if-empty nor --if-unused.",
		Example: "  magne-actors queue delete old\n  magne-actors queue delete --if-empty --if-unused --yes old",
		Args:    cobra.MinimumNArgs(1),
	}
	f := addQueueFlags(cmd)
	yes := addYesFlag(cmd)
	ifEmpty := cmd.Flags().Bool("if-empty", false, "only a queue without ready messages")
	ifUnused := cmd.Flags().Bool("if-unused", false, "only a queue without consumers")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return e.change(cmd, f, *yes, "delete", args, func(ctx context.Context, q *queues, name string) (int, error) {
			return q.admin.Delete(ctx, name, *ifUnused, *ifEmpty)
		})
	}
	return cmd
}

func addYesFlag(cmd *cobra.Command) *bool {
	return cmd.Flags().BoolP("yes", "y", false, "do not ask")
}

// change does something to each queue, after it has asked whether to. What was
// done before one of them failed is printed.
func (e *env) change(cmd *cobra.Command, f *queueFlags, yes bool, verb string, names []string,
	do func(context.Context, *queues, string) (int, error),
) error {
	if !yes && !isTerminal(e.stdin) {
		return usageError(errors.New(verb+" asks before it does it, and there is no terminal to ask on"), "--yes does it at once")
	}
	return e.withQueues(cmd, f, func(ctx context.Context, q *queues) error {
		done := []changed{}
		answers := bufio.NewReader(e.stdin)
		var err error
		for _, name := range names {
			if !yes {
				if err = q.ask(ctx, answers, verb, name); err != nil {
					break
				}
			}
			var n int
			if n, err = do(ctx, q, name); err != nil {
				break
			}
			done = append(done, changed{name, n})
		}
		var text strings.Builder
		for _, c := range done {
			fmt.Fprintf(&text, "%sd queue %s: %s gone\n", verb, printable(c.Name), count(c.Messages, "message"))
		}
		return errors.Join(e.print(done, text.String()), refused(err))
	})
}

// ask shows what is at stake and waits for y.
func (q *queues) ask(ctx context.Context, answers *bufio.Reader, verb, name string) error {
	counts, err := q.admin.Queue(ctx, name)
	if err != nil {
		return err
	}
	fmt.Fprintf(q.e.stderr, "%s queue %s with %s and %s? [y/N] ", verb, printable(name),
		count(counts.Ready, "message"), count(counts.Consumers, "consumer"))
	return agreed(ctx, answers)
}

// agreed waits for y; all else is an error.
func agreed(ctx context.Context, answers *bufio.Reader) error {
	answer := make(chan string, 1)
	go func() {
		line, _ := answers.ReadString('\n') // its end is a no
		answer <- line
	}()
	select {
	case line := <-answer:
		if word := strings.ToLower(strings.TrimSpace(line)); word != "y" && word != "yes" {
			return errors.New("not done")
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func newQueueDeclareCmd(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "declare QUEUE",
		Short: "Declare a queue",
		Long: "declare makes a queue, or checks that the one that is there has the same properties. The queues of\n" +
			"pools are declared by run, with their dead letters: this is for others.",
		Example: "  magne-actors queue declare mail --type quorum --arg x-delivery-limit=20\n" +
			"  magne-actors queue declare scratch --durable=false --auto-delete --arg x-max-length=1000",
		Args: exactly("a queue"),
	}
	f := addQueueFlags(cmd)
	fs := cmd.Flags()
	kind := fs.String("type", "", "quorum|classic (default: the broker's)")
	durable := fs.Bool("durable", true, "survive a restart of the broker")
	autoDelete := fs.Bool("auto-delete", false, "delete it with its last consumer")
	given := fs.StringArray("arg", nil, "further argument `NAME=VALUE`; numbers, true, false and JSON are taken for what they are")
	complete(cmd, "type", []string{"quorum", "classic"})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		arguments, err := queueArguments(*kind, *given)
		if err != nil {
			return usageError(err, "write --arg x-max-length=1000")
		}
		spec := amqp.QueueSpec{Name: args[0], Durable: *durable, AutoDelete: *autoDelete, Args: arguments}
		return e.withQueues(cmd, f, func(ctx context.Context, q *queues) error {
			counts, err := q.admin.Declare(ctx, spec)
			if err != nil {
				return refused(err)
			}
			out := queueDetails{Name: counts.Name, Ready: &counts.Ready, Consumers: &counts.Consumers}
			return e.print(out, fmt.Sprintf("declared queue %s: %s, %s\n", printable(counts.Name),
				count(counts.Ready, "message"), count(counts.Consumers, "consumer")))
		})
	}
	return cmd
}

// queueArguments reads --type and the --arg flags.
func queueArguments(kind string, given []string) (map[string]any, error) {
	args := map[string]any{}
	if kind != "" {
		args["x-queue-type"] = kind
	}
	for _, text := range given {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--arg %q has no name and value", text)
		}
		if _, twice := args[name]; twice {
			return nil, fmt.Errorf("the argument %q is given twice", name)
		}
		v, err := argument(value)
		if err != nil {
			return nil, fmt.Errorf("--arg %s: %w", name, err)
		}
		args[name] = v
	}
	return args, nil
}

// argument is what a value looks like: a whole number, true or false, a JSON object,
// list, string or fraction, or else a string.
func argument(text string) (any, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if !json.Valid([]byte(text)) || d.Decode(&v) != nil || v == nil {
		return text, nil
	}
	return numbered(v)
}

// numbered makes integers of JSON's numbers where they are some.
func numbered(v any) (any, error) {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, nil
		}
		return v.Float64()
	case []any:
		for i := range v {
			var err error
			if v[i], err = numbered(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			var err error
			if v[k], err = numbered(v[k]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}
